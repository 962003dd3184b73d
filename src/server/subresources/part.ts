/**
 * Subresources that are a part of the object itself (status, ephemeralcontainers, resize, finalize, approval): they read the whole
 * object and write their part; the pipeline and the kind's prepareForUpdate keep the rest as it was.
 */
import type { ApiResponse } from '../../api/exchange.ts'
import type { Core, ResourceCall } from '../core.ts'
import { settle } from '../custom-resources/conversion.ts'
import { patch } from '../patch.ts'
import { get } from '../read.ts'
import { keyIn, update } from '../update.ts'
import { checkVerb } from './verbs.ts'

export async function part(core: Core, call: ResourceCall): Promise<ApiResponse> {
  const { served, info, request } = call
  checkVerb(call)
  if (info.verb === 'update') return update(core, call)
  if (info.verb === 'patch') return patch(core, call)
  const key = keyIn(served.info.namespaced, info.namespace, info.name)
  const found = await get(core, served, key, info.name, request.query.get('resourceVersion') ?? '')
  return { type: 'object', status: 200, stored: await settle(() => found.in(served.view)) }
}
