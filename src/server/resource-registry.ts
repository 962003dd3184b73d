/**
 * What the server serves: for each group and resource how it is stored, for each version of it how it is shown. Built-in resources
 * are there from the start; those of CustomResourceDefinitions come and go.
 */
import type { KubeObject } from '../api/object.ts'
import { apiVersionOf, kindNameOf, type ResourceInfo, type SubresourceInfo } from '../api/schema.ts'
import { assert } from '../base/assert.ts'
import type { KindRules } from './kind-rules.ts'
import type { PublishedSchema } from './custom-resources/published-schema.ts'
import type { Column, Resource } from './resource.ts'
import type { View } from './revision.ts'
import type { ResourceCache, WatchCaches } from './watch-cache.ts'

/** A resource as it lies in the store, whatever version it is asked for in. */
export interface StoredKind {
  readonly group: string
  readonly resource: string
  readonly version: string
  readonly kind: string
  readonly isNamespaced: boolean
  readonly definition: Resource
  readonly cache: ResourceCache
  /** "/registry/core/pods/" */
  readonly prefix: string
  /** Of the stored version. */
  readonly rules: KindRules
  readonly isCustom: boolean
}

/** A resource in one of its versions. */
export interface ServedResource {
  readonly info: ResourceInfo
  readonly stored: StoredKind
  readonly apiVersion: string
  readonly view: View
  /** Its metadata alone, as PartialObjectMetadata. */
  readonly partialView: View
  readonly rules: KindRules
  readonly subresources: ReadonlyMap<string, SubresourceInfo>
  toStored(object: KubeObject): KubeObject
  readonly custom: CustomVersion | undefined
}

/** What is particular to a version of a custom resource; of built-in kinds all of it is the same in every version. */
export interface CustomVersion {
  /** Served to nobody, but stored. */
  readonly isHidden: boolean
  /** How discovery tells of it, where that differs: a kind that is going lets nothing new be made. */
  readonly discovered?: ResourceInfo
  /** A webhook converts: what shows or stores objects must be done within `settle` (custom-resources/conversion.ts). */
  readonly isConvertedOutside: boolean
  /** An object of the store, or of another version, as this version shows it; the same object where it is just so. */
  fromStored(object: KubeObject): KubeObject
  /** An object of this version, named as the stored version is; left as it is where a webhook converts it in the end. */
  toStored(object: KubeObject): KubeObject
  /** Runs last before the commit: in the stored version, without what that does not know. */
  forStorage(object: KubeObject): KubeObject
  readonly columns: readonly Column[]
  readonly fieldSelectors: Readonly<Record<string, (object: KubeObject) => string>>
  readonly scale?: NonNullable<Resource['scale']>
  /** For a Warning header of every answer: the version is deprecated. */
  readonly warning?: string
  readonly published: PublishedSchema
}

export interface ServedVersion {
  readonly info: ResourceInfo
  readonly rules: KindRules
  readonly custom?: CustomVersion
}

export interface ResourceRegistry {
  find(group: string, version: string, resource: string): ServedResource | undefined
  /** By kind: "apps/v1/Deployment". */
  ofKind(kindName: string): ServedResource | undefined
  hasGroupVersion(group: string, version: string): boolean
  /** By group and resource, also when no version of it is served. */
  stored(group: string, resource: string): StoredKind | undefined
  /** One for each group and resource. */
  all(): Iterable<StoredKind>
  served(): Iterable<ServedResource>
  /** Adds a resource with all the versions (also of other groups) that it is served in, or replaces it. */
  add(definition: Resource, versions: readonly ServedVersion[]): void
  remove(group: string, resource: string): void
  /** Is called after each change of what is served. */
  onChange(listener: () => void): void
}

const gvr = (group: string, version: string, resource: string): string => `${group}/${version}/${resource}`

export function createResourceRegistry(caches: WatchCaches): ResourceRegistry {
  const byPath = new Map<string, ServedResource>()
  const byKind = new Map<string, ServedResource>()
  const stored = new Map<string, StoredKind>()
  const groupVersions = new Map<string, number>()
  const listeners: (() => void)[] = []
  const changed = () => {
    groupVersions.clear()
    for (const { info } of byPath.values()) groupVersions.set(`${info.group}/${info.version}`, 1)
    for (const listener of listeners) listener()
  }

  const remove = (group: string, resource: string) => {
    const known = stored.get(`${group}/${resource}`)
    if (!known) return
    stored.delete(`${group}/${resource}`)
    for (const [key, served] of byPath) {
      if (served.stored !== known) continue
      byPath.delete(key)
      byKind.delete(kindNameOf(served.info))
    }
  }

  return {
    find: (group, version, resource) => byPath.get(gvr(group, version, resource)),
    ofKind: (kindName) => byKind.get(kindName),
    hasGroupVersion: (group, version) => groupVersions.has(`${group}/${version}`),
    stored: (group, resource) => stored.get(`${group}/${resource}`),
    all: () => stored.values(),
    served: () => byPath.values(),
    add(definition, versions) {
      const storage = versions.find(({ info }) => info.group === definition.group && info.version === definition.version) ?? versions[0]
      assert(storage, `${definition.kind} is served in no version`)
      const { group, resource } = storage.info
      remove(group, resource)
      const kind: StoredKind = {
        group,
        resource,
        version: definition.version,
        kind: definition.kind,
        isNamespaced: storage.info.namespaced,
        definition,
        cache: caches.of(group, resource),
        prefix: `/registry/${group || 'core'}/${resource}/`,
        rules: storage.rules,
        isCustom: storage.custom !== undefined,
      }
      stored.set(`${group}/${resource}`, kind)
      for (const version of versions) {
        if (version.custom?.isHidden) continue
        const { info } = version
        const served = version.custom ? serveCustom(kind, version, version.custom) : serve(kind, info, version.rules)
        byPath.set(gvr(info.group, info.version, info.resource), served)
        byKind.set(kindNameOf(info), served)
      }
      changed()
    },
    remove(group, resource) {
      remove(group, resource)
      changed()
    },
    onChange: (listener) => void listeners.push(listener),
  }
}

function serve(stored: StoredKind, info: ResourceInfo, rules: KindRules): ServedResource {
  const apiVersion = apiVersionOf(info)
  const storedApiVersion = apiVersionOf(stored)
  // A version of another group (events of events.k8s.io) is named with it.
  const conversion = stored.definition.versions?.[info.group === stored.group ? info.version : apiVersion]
  const isStored = apiVersion === storedApiVersion && info.kind === stored.kind
  const relabel = (object: KubeObject): KubeObject => ({ ...object, apiVersion, kind: info.kind })
  const convert = conversion ? (object: KubeObject) => relabel(conversion.fromStored(object)) : relabel
  const toStored = (object: KubeObject): KubeObject => ({
    ...(conversion ? conversion.toStored(object) : object),
    apiVersion: storedApiVersion,
    kind: stored.kind,
  })
  return {
    info,
    stored,
    apiVersion,
    view: isStored ? { apiVersion } : { apiVersion, convert },
    partialView: { apiVersion: 'meta.k8s.io/v1', convert: partialMetadata },
    rules,
    subresources: subresourcesOf(info),
    toStored: isStored ? (object) => object : toStored,
    custom: undefined,
  }
}

const subresourcesOf = (info: ResourceInfo): ReadonlyMap<string, SubresourceInfo> =>
  new Map(info.subresources.map((subresource) => [subresource.name, subresource]))

function serveCustom(stored: StoredKind, { info, rules }: ServedVersion, custom: CustomVersion): ServedResource {
  const apiVersion = apiVersionOf(info)
  return {
    info,
    stored,
    apiVersion,
    view: { apiVersion, convert: custom.fromStored },
    // A webhook may change labels and annotations.
    partialView: {
      apiVersion: 'meta.k8s.io/v1',
      convert: custom.isConvertedOutside ? (object) => partialMetadata(custom.fromStored(object)) : partialMetadata,
    },
    rules,
    subresources: subresourcesOf(info),
    toStored: custom.toStored,
    custom,
  }
}

export const partialMetadata = (object: KubeObject): KubeObject => ({
  kind: 'PartialObjectMetadata',
  apiVersion: 'meta.k8s.io/v1',
  metadata: object.metadata!,
})
