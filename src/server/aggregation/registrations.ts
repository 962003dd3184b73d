/**
 * Which group versions other API servers serve: those whose APIService names a service (kube-aggregator). Read from the cache, kept
 * until an APIService changes; without any, a request costs one comparison of numbers.
 */
import type { UserInfo } from '../../api/exchange.ts'
import type { APIService } from '../../api/generated/apiregistration/v1.ts'
import type { Core } from '../core.ts'
import type { APIGroupDiscovery } from '../discovery.ts'
import { groupVersionOf, type ResourceList } from './resource-list.ts'
import { endpointOf } from '../webhook-call.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import type { OutgoingTls } from '../outgoing.ts'
import type { PublishedOpenApi } from './published-openapi.ts'

const GROUP = 'apiregistration.k8s.io'
const DEFAULT_PORT = 443

export interface Registrations {
  /** The APIService of a path below /apis/GROUP/VERSION, when another server serves it. */
  find(path: string): APIService | undefined
  /** Takes in what a server told that it serves under /apis/GROUP/VERSION; undefined when it tells nothing any more. */
  learn(service: APIService, list: ResourceList | undefined): void
  /** Takes in the documents that a server publishes. */
  learnOpenApi(service: APIService, published: PublishedOpenApi): void
  /** What those that are available publish. */
  openApi(): readonly { readonly service: APIService; readonly published: PublishedOpenApi }[]
  /** What those that are available serve, for discovery. */
  groups(): readonly APIGroupDiscovery[]
  /** Counts changes of `groups` and `openApi`. */
  readonly generation: number
}

/** `builtIn` are groups that this server answers itself without storing anything; a registration of the same name takes its place. */
export function createRegistrations({ registry }: Pick<Core, 'registry'>, builtIn: readonly APIGroupDiscovery[] = []): Registrations {
  let known: ReadonlyMap<string, APIService> = new Map()
  let at = -1
  let generation = 0
  const learned = new Map<string, { readonly text: string; readonly version: APIGroupDiscovery['versions'][number] }>()
  const documents = new Map<string, PublishedOpenApi>()
  const current = (): ReadonlyMap<string, APIService> => {
    const cache = registry.find(GROUP, 'v1', 'apiservices')?.stored.cache
    if (!cache || cache.lastChange === at) return known
    at = cache.lastChange
    const found = new Map<string, APIService>()
    cache.walk('', undefined, ({ object }) => {
      const service = object as APIService
      if (service.spec?.service) found.set(`${service.spec.group}/${service.spec.version}`, service)
    })
    generation++
    return (known = found)
  }
  return {
    find(path) {
      const services = current()
      if (services.size === 0 || !path.startsWith('/apis/')) return undefined
      const [group, version] = path.slice('/apis/'.length).split('/', 2)
      return version ? services.get(`${group}/${version}`) : undefined
    },
    learn(service, list) {
      const name = service.metadata?.name ?? ''
      const text = list && JSON.stringify(list)
      if (learned.get(name)?.text === text) return
      if (list && text) learned.set(name, { text, version: groupVersionOf(service, list) })
      else learned.delete(name)
      generation++
    },
    learnOpenApi(service, published) {
      const name = service.metadata?.name ?? ''
      if (deepEqual(documents.get(name)?.index, published.index)) return
      documents.set(name, published)
      generation++
    },
    openApi: () =>
      [...current().values()].flatMap((service) => {
        const published = documents.get(service.metadata?.name ?? '')
        return published && isAvailable(service) ? [{ service, published }] : []
      }),
    groups() {
      const taken = new Set([...current().values()].map(({ spec }) => spec?.group))
      const groups = new Map(
        builtIn.flatMap((group) => (taken.has(group.metadata.name) ? [] : [[group.metadata.name ?? '', group] as const])),
      )
      for (const service of current().values()) {
        const { version } = learned.get(service.metadata?.name ?? '') ?? {}
        const name = service.spec?.group ?? ''
        if (!version || !isAvailable(service)) continue
        groups.set(name, { metadata: { name }, versions: [...(groups.get(name)?.versions ?? []), version] })
      }
      return [...groups.values()]
    },
    get generation() {
      current()
      return generation
    },
  }
}

/** Whether the last check found that the server behind it answers. */
export const isAvailable = ({ status }: APIService): boolean =>
  status?.conditions?.some(({ type, status: value }) => type === 'Available' && value === 'True') ?? false

export interface Backend {
  readonly host: string
  readonly port: number
  readonly tls: OutgoingTls
}

/** An endpoint of the service behind a registration, and how its certificate is checked; throws when there is none. */
export function backendOf(core: Pick<Core, 'reader' | 'runtime' | 'roads'>, { spec }: APIService): Backend {
  const { name = '', namespace = '', port = DEFAULT_PORT } = spec?.service ?? {}
  const trust = spec?.insecureSkipTLSVerify ? ({ isUnverified: true } as const) : spec?.caBundle ? { ca: atob(spec.caBundle) } : {}
  const tls = { ...core.roads?.aggregatorTls, serverName: `${name}.${namespace}.svc`, ...trust }
  return { ...endpointOf(core.reader, core.runtime.random, namespace, name, port), tls }
}

/** By these a server behind us knows the user, whom we have authenticated (requestheader authentication). */
export function userHeaders({ name, uid, groups, extra = {} }: UserInfo): [string, string][] {
  const headers: [string, string][] = [['x-remote-user', name]]
  if (uid) headers.push(['x-remote-uid', uid])
  for (const group of groups) headers.push(['x-remote-group', group])
  for (const [key, values] of Object.entries(extra))
    for (const value of values) headers.push([`x-remote-extra-${encodeURIComponent(key).toLowerCase()}`, value])
  return headers
}
