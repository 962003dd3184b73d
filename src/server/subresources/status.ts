/** The status endpoint of a kind: reads the whole object, writes its status alone (the pipeline sees to that). */
import type { ApiResponse } from '../../api/exchange.ts'
import type { Core, ResourceCall } from '../core.ts'
import { get } from '../read.ts'
import { keyIn, patch, update } from '../update.ts'
import { unsupportedVerb } from './verbs.ts'

export async function status(core: Core, call: ResourceCall): Promise<ApiResponse> {
  const { served, info, request } = call
  switch (info.verb) {
    case 'get': {
      const key = keyIn(served.info.namespaced, info.namespace, info.name)
      const found = await get(core, served, key, info.name, request.query.get('resourceVersion') ?? '')
      return { type: 'object', status: 200, stored: found.in(served.view) }
    }
    case 'update':
      return update(core, call)
    case 'patch':
      return patch(core, call)
    default:
      throw unsupportedVerb()
  }
}
