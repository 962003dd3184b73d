/**
 * The resources that are served: the built-in ones out of the generated table, in upstream's order of groups and versions, and
 * those that CustomResourceDefinitions add.
 */
import rows from './generated/resources.json' with { type: 'json' }
import {
  apiVersionOf,
  kindNameOf,
  parseKindName,
  type GroupVersionKind,
  type ResourceInfo,
  type SubresourceInfo,
  type Verb,
} from './schema.ts'

export interface GroupVersion {
  readonly group: string
  readonly version: string
}

type SubresourceRow = readonly [name: string, kind: string, verbs: string]
type Row = readonly [
  kind: string,
  resource: string,
  singular: string,
  namespaced: number,
  verbs: string,
  shortNames: string,
  categories: string,
  type: string,
  subresources: readonly SubresourceRow[],
]

const list = (text: string): readonly string[] => (text ? text.split(',') : [])

const readSubresource = ([name, kind, verbs]: SubresourceRow): SubresourceInfo => ({
  name,
  verbs: list(verbs) as readonly Verb[],
  kind: parseKindName(kind),
})

function readRow([kind, resource, singular, namespaced, verbs, shortNames, categories, type, subresources]: Row): ResourceInfo {
  return {
    ...parseKindName(kind),
    resource,
    singular,
    shortNames: list(shortNames),
    categories: list(categories),
    namespaced: namespaced === 1,
    verbs: list(verbs) as readonly Verb[],
    subresources: subresources.map(readSubresource),
    type: type || undefined,
  }
}

/** Every built-in resource of every version that upstream can serve. */
export const resources: readonly ResourceInfo[] = (rows as unknown as readonly Row[]).map(readRow)

/** Upstream serves general availability by default; beta and alpha versions are turned on by runtime-config (KEP-3136). */
export const isServedByDefault = ({ version }: { readonly version: string }): boolean => /^v\d+$/.test(version)

const pathOf = (group: string, version: string, resource: string): string => `${group}/${version}/${resource}`

/** A set of resources, looked up by kind and by path. Changes rarely, is read on every request. */
export class ResourceTable {
  readonly #byPath = new Map<string, ResourceInfo>()
  readonly #byKind = new Map<string, ResourceInfo>()

  constructor(initial: Iterable<ResourceInfo> = []) {
    for (const info of initial) this.add(info)
  }

  /** Adds a resource, or replaces the one of the same path. */
  add(info: ResourceInfo): void {
    const path = pathOf(info.group, info.version, info.resource)
    const old = this.#byPath.get(path)
    if (old && kindNameOf(old) !== kindNameOf(info)) this.#byKind.delete(kindNameOf(old))
    this.#byPath.set(path, info)
    this.#byKind.set(kindNameOf(info), info)
  }

  remove(info: { readonly group: string; readonly version: string; readonly resource: string }): void {
    const path = pathOf(info.group, info.version, info.resource)
    const old = this.#byPath.get(path)
    if (!old) return
    this.#byPath.delete(path)
    if (this.#byKind.get(kindNameOf(old)) === old) this.#byKind.delete(kindNameOf(old))
  }

  /** By the plural that paths use. */
  at(group: string, version: string, resource: string): ResourceInfo | undefined {
    return this.#byPath.get(pathOf(group, version, resource))
  }

  ofKind(gvk: GroupVersionKind): ResourceInfo | undefined {
    return this.#byKind.get(kindNameOf(gvk))
  }

  /** In the order of adding. */
  all(): readonly ResourceInfo[] {
    return [...this.#byPath.values()]
  }

  /** In the order of adding: groups by priority, the preferred version of each first. */
  groupVersions(): readonly GroupVersion[] {
    return groupVersionsOf(this.all())
  }
}

/** The distinct group versions of some resources, in their order. */
export function groupVersionsOf(infos: Iterable<ResourceInfo>): readonly GroupVersion[] {
  const found = new Map<string, GroupVersion>()
  for (const { group, version } of infos) {
    const name = apiVersionOf({ group, version })
    if (!found.has(name)) found.set(name, { group, version })
  }
  return [...found.values()]
}

const builtIn = new ResourceTable(resources)

/** The built-in resource of a kind. */
export const findResource = (gvk: GroupVersionKind): ResourceInfo | undefined => builtIn.ofKind(gvk)

/** The built-in resource at a path. */
export const findResourceAt = (group: string, version: string, resource: string): ResourceInfo | undefined =>
  builtIn.at(group, version, resource)

/** The group versions of the built-in resources. */
export const groupVersions: readonly GroupVersion[] = builtIn.groupVersions()
