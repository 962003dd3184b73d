/** The versions in which one stored kind is served, for webhooks that want another one than was asked for. */
import type { KubeObject } from '../../../api/object.ts'
import type { ResourceInfo } from '../../../api/schema.ts'
import type { ResourceRegistry, ServedResource, StoredKind } from '../../resource-registry.ts'

export interface Versions {
  equivalents(resource: ResourceInfo): readonly ResourceInfo[]
  /** A stored object in this version; objects of other kinds (subresources' own) stay as they are. Call within `settle`. */
  show(object: KubeObject | undefined, resource: ResourceInfo): KubeObject | undefined
  /**
   * Decodes what a webhook made of a shown object, fills defaults, and takes it to the version that the pipeline works in for a request
   * about `requested`: the stored one, or the request's where a webhook converts. Call within `settle`.
   */
  store(object: KubeObject, resource: ResourceInfo, requested: ResourceInfo): KubeObject
}

export function versionsOf(registry: ResourceRegistry): Versions {
  let byKind: Map<StoredKind, ResourceInfo[]> | undefined
  registry.onChange(() => (byKind = undefined))
  const served = ({ group, version, resource }: ResourceInfo): ServedResource | undefined => registry.find(group, version, resource)
  return {
    equivalents(resource) {
      if (!byKind) {
        byKind = new Map()
        for (const { stored, info } of registry.served()) {
          const known = byKind.get(stored)
          if (known) known.push(info)
          else byKind.set(stored, [info])
        }
      }
      const found = served(resource)
      return (found && byKind.get(found.stored)) ?? []
    },
    show(object, resource) {
      const found = served(resource)
      if (!object || !found?.view.convert || object.kind !== found.stored.kind) return object
      return found.view.convert(object)
    },
    store(object, resource, requested) {
      const found = served(resource)
      if (!found || object.kind !== found.info.kind) return object
      const { object: decoded } = found.rules.decode(object)
      const stored = found.toStored({ ...decoded, apiVersion: found.apiVersion, kind: found.info.kind })
      if (!found.custom?.isConvertedOutside) return found.stored.rules.defaults(stored)
      return served(requested)?.custom?.fromStored(stored) ?? stored
    },
  }
}
