/**
 * The documents by which clients learn what is served: the old ones, a request a group version, and the aggregated one (KEP-3352).
 * Pure functions of the list of resources, whose order they keep: groups by priority, the preferred version of each first.
 */
import { apiVersionOf, type GroupVersionKind, type ResourceInfo, type SubresourceInfo } from '../api/schema.ts'
import { sha256 } from '../base/sha256.ts'

export interface APIResource {
  readonly name: string
  readonly singularName: string
  readonly namespaced: boolean
  readonly group?: string
  readonly version?: string
  readonly kind: string
  readonly verbs: readonly string[]
  readonly shortNames?: readonly string[]
  readonly categories?: readonly string[]
  readonly storageVersionHash?: string
}

interface GroupVersionForDiscovery {
  readonly groupVersion: string
  readonly version: string
}

export interface APIGroup {
  readonly name: string
  readonly versions: readonly GroupVersionForDiscovery[]
  readonly preferredVersion: GroupVersionForDiscovery
}

/** One group of the aggregated document; a server behind the aggregation layer answers with its own. */
export interface APIGroupDiscovery {
  readonly metadata: { readonly name?: string }
  readonly versions: readonly {
    readonly version: string
    readonly resources?: readonly object[]
    readonly freshness: 'Current' | 'Stale'
  }[]
}

const versionOf = (group: string, version: string): GroupVersionForDiscovery => ({
  groupVersion: apiVersionOf({ group, version }),
  version,
})

/** Resources by group, then by version, in the order given. */
function byGroup(resources: Iterable<ResourceInfo>): ReadonlyMap<string, ReadonlyMap<string, readonly ResourceInfo[]>> {
  const groups = Map.groupBy(resources, ({ group }) => group)
  return new Map(Array.from(groups, ([group, infos]) => [group, Map.groupBy(infos, ({ version }) => version)]))
}

/** /api */
export const apiVersions = (serverAddress: string): object => ({
  kind: 'APIVersions',
  versions: ['v1'],
  serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress }],
})

function groupOf(name: string, versions: Iterable<string>): APIGroup | undefined {
  const all = Array.from(versions, (version) => versionOf(name, version))
  const [preferredVersion] = all
  return preferredVersion && { name, versions: all, preferredVersion }
}

/** /apis: every group but the core one; `more` are those of servers behind the aggregation layer. */
export function apiGroupList(resources: Iterable<ResourceInfo>, more: readonly APIGroupDiscovery[] = []): object {
  const versions = new Map([...byGroup(resources)].map(([name, served]) => [name, new Set(served.keys())]))
  for (const { metadata, versions: others } of more) {
    const name = metadata.name ?? ''
    versions.set(name, new Set([...(versions.get(name) ?? []), ...others.map(({ version }) => version)]))
  }
  const groups = [...versions].flatMap(([name, served]) => (name === '' ? [] : (groupOf(name, served) ?? [])))
  return { kind: 'APIGroupList', apiVersion: 'v1', groups }
}

/** /apis/<group>; undefined when nothing of it is served. */
export function apiGroup(resources: Iterable<ResourceInfo>, group: string, more: readonly APIGroupDiscovery[] = []): object | undefined {
  const versions = new Set(Array.from(resources).flatMap((info) => (info.group === group ? [info.version] : [])))
  for (const { metadata, versions: others } of more) if (metadata.name === group) for (const { version } of others) versions.add(version)
  const found = groupOf(group, versions)
  return found && { kind: 'APIGroup', apiVersion: 'v1', ...found }
}

/** Discovery names the group and version of a kind only where they are not those of the list. */
function foreignKind(kind: GroupVersionKind, info: ResourceInfo): { readonly group?: string; readonly version?: string } {
  return kind.group === info.group && kind.version === info.version ? {} : { group: kind.group, version: kind.version }
}

/** By which clients see that objects are stored in another version: the first eight bytes of a SHA-256 (upstream's StorageVersionHash). */
const storageVersionHash = ({ group, version, kind }: GroupVersionKind): string =>
  sha256(`${group}/${version}/${kind}`).subarray(0, 8).toBase64()

function apiResources(info: ResourceInfo, stored: GroupVersionKind | undefined): APIResource[] {
  const { resource, singular, namespaced, kind, verbs, shortNames, categories } = info
  const whole: APIResource = {
    name: resource,
    singularName: singular,
    namespaced,
    kind,
    verbs,
    ...(shortNames.length > 0 ? { shortNames } : {}),
    ...(categories.length > 0 ? { categories } : {}),
    ...(stored && verbs.includes('watch') ? { storageVersionHash: storageVersionHash(stored) } : {}),
  }
  const parts = info.subresources.map((sub): APIResource => ({
    name: `${resource}/${sub.name}`,
    singularName: '',
    namespaced,
    ...foreignKind(sub.kind, info),
    kind: sub.kind.kind,
    verbs: sub.verbs,
  }))
  return [whole, ...parts]
}

/** /api/v1 and /apis/<group>/<version>; undefined when nothing of it is served. `storedAs` says in what version, for what is stored. */
export function apiResourceList(
  resources: Iterable<ResourceInfo>,
  group: string,
  version: string,
  storedAs: (info: ResourceInfo) => GroupVersionKind | undefined = () => undefined,
): object | undefined {
  const own = Array.from(resources).filter((info) => info.group === group && info.version === version)
  if (own.length === 0) return undefined
  const listed = own.flatMap((info) => apiResources(info, storedAs(info)))
  // Those of definitions stand as they were written.
  const sorted = own.every(({ type }) => type !== undefined) ? listed.toSorted((a, b) => (a.name < b.name ? -1 : 1)) : listed
  // That of the core group is older than its apiVersion.
  const apiVersion = group === '' ? {} : { apiVersion: 'v1' }
  return { kind: 'APIResourceList', ...apiVersion, groupVersion: apiVersionOf({ group, version }), resources: sorted }
}

const responseKind = (kind: GroupVersionKind, info: ResourceInfo): object => ({
  group: '',
  version: '',
  ...foreignKind(kind, info),
  kind: kind.kind,
})

const discoverSubresource = (sub: SubresourceInfo, info: ResourceInfo): object => ({
  subresource: sub.name,
  responseKind: responseKind(sub.kind, info),
  verbs: sub.verbs,
})

function discoverResource(info: ResourceInfo): object {
  return {
    resource: info.resource,
    responseKind: responseKind(info, info),
    scope: info.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: info.singular,
    verbs: info.verbs,
    ...(info.shortNames.length > 0 ? { shortNames: info.shortNames } : {}),
    ...(info.categories.length > 0 ? { categories: info.categories } : {}),
    ...(info.subresources.length > 0 ? { subresources: info.subresources.map((sub) => discoverSubresource(sub, info)) } : {}),
  }
}

/** /api ("core") or /apis ("named") in its aggregated form; `more` are the groups of servers behind the aggregation layer. */
export function aggregatedDiscovery(
  resources: Iterable<ResourceInfo>,
  groups: 'core' | 'named',
  more: readonly APIGroupDiscovery[] = [],
): object {
  const own = [...byGroup(resources)].filter(([name]) => (name === '') === (groups === 'core'))
  const items = own.map(([name, versions]): APIGroupDiscovery => ({
    metadata: name ? { name } : {},
    versions: Array.from(versions, ([served, infos]) => ({
      version: served,
      resources: infos.map(discoverResource),
      freshness: 'Current' as const,
    })),
  }))
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: 'apidiscovery.k8s.io/v2',
    metadata: {},
    items: [...items, ...(groups === 'named' ? more : [])],
  }
}

const AGGREGATED = ['g=apidiscovery.k8s.io', 'v=v2', 'as=APIGroupDiscoveryList']

/** Whether the Accept header takes the aggregated form: whoever does gets it, whatever else is taken. */
export const wantsAggregated = (accept = ''): boolean =>
  accept.split(',').some((clause) => {
    const [type, ...parameters] = clause.split(';').map((part) => part.trim())
    return (type === 'application/json' || type === '*/*') && AGGREGATED.every((parameter) => parameters.includes(parameter))
  })

/** The content type that tells a client that it got the aggregated form. */
export const AGGREGATED_TYPE = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'
