/** Which function answers which subresource: status and scale of any kind, the others by name. */
import type { ApiResponse } from '../../api/exchange.ts'
import type { Core, ResourceCall } from '../core.ts'
import type { ServedResource } from '../resource-registry.ts'
import { status } from './status.ts'

export type SubresourceHandler = (core: Core, call: ResourceCall) => Promise<ApiResponse>

const byName: Readonly<Record<string, SubresourceHandler>> = {
}

export function findSubresource(served: ServedResource, name: string): SubresourceHandler | undefined {
  if (!served.subresources.has(name)) return undefined
  if (name === 'status') return status
  const { group, resource } = served.info
  return byName[group ? `${group}/${resource}/${name}` : `${resource}/${name}`]
}
