/**
 * What the server serves: for each group and resource how it is stored, for each version of it how it is shown. Built-in resources
 * are there from the start; those of CustomResourceDefinitions come and go.
 */
import type { KubeObject } from '../api/object.ts'
import { apiVersionOf, kindNameOf, type ResourceInfo, type SubresourceInfo } from '../api/schema.ts'
import { assert } from '../base/assert.ts'
import type { KindRules } from './kind-rules.ts'
import type { Resource } from './resource.ts'
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
}

export interface ServedVersion {
  readonly info: ResourceInfo
  readonly rules: KindRules
}

export interface ResourceRegistry {
  find(group: string, version: string, resource: string): ServedResource | undefined
  /** By kind: "apps/v1/Deployment". */
  ofKind(kindName: string): ServedResource | undefined
  hasGroupVersion(group: string, version: string): boolean
  /** One for each group and resource. */
  all(): Iterable<StoredKind>
  served(): Iterable<ServedResource>
  /** Adds a resource with all the versions (also of other groups) that it is served in, or replaces it. */
  add(definition: Resource, versions: readonly ServedVersion[], options?: { readonly isCustom?: boolean }): void
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
    all: () => stored.values(),
    served: () => byPath.values(),
    add(definition, versions, options = {}) {
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
        isCustom: options.isCustom ?? false,
      }
      stored.set(`${group}/${resource}`, kind)
      for (const { info, rules } of versions) {
        const served = serve(kind, info, rules)
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
    subresources: new Map(info.subresources.map((subresource) => [subresource.name, subresource])),
    toStored: isStored ? (object) => object : toStored,
  }
}

export const partialMetadata = (object: KubeObject): KubeObject => ({
  kind: 'PartialObjectMetadata',
  apiVersion: 'meta.k8s.io/v1',
  metadata: object.metadata!,
})
