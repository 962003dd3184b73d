/** Which function answers which subresource: status and scale of any kind, the others by name. */
import type { ApiResponse } from '../../api/exchange.ts'
import type { Core, ResourceCall } from '../core.ts'
import type { ServedResource } from '../resource-registry.ts'
import { bind } from './binding.ts'
import { evict } from './eviction.ts'
import { log } from './log.ts'
import { part } from './part.ts'
import { proxy } from './proxy.ts'
import { scale } from './scale.ts'
import { attach, exec, portForward } from './streams.ts'
import { requestToken } from './token.ts'

export type SubresourceHandler = (core: Core, call: ResourceCall) => Promise<ApiResponse>

const byName: Readonly<Record<string, SubresourceHandler>> = {
  'pods/binding': bind,
  'pods/eviction': evict,
  'pods/log': log,
  'pods/exec': exec,
  'pods/attach': attach,
  'pods/portforward': portForward,
  'pods/proxy': proxy,
  'services/proxy': proxy,
  'nodes/proxy': proxy,
  'pods/ephemeralcontainers': part,
  'pods/resize': part,
  'namespaces/finalize': part,
  'serviceaccounts/token': requestToken,
  'certificates.k8s.io/certificatesigningrequests/approval': part,
}

export function findSubresource(served: ServedResource, name: string): SubresourceHandler | undefined {
  if (!served.subresources.has(name)) return undefined
  if (name === 'status') return part
  if (name === 'scale') return scale
  const { group, resource } = served.info
  return byName[group ? `${group}/${resource}/${name}` : `${resource}/${name}`]
}
