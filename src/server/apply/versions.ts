/** The versions of a kind as managed fields need them: each owner tells its fields in the version that it wrote. */
import { DEDUCED, type ApplyType } from '../../api/apply/schema.ts'
import type { Versions } from '../../api/apply/update-owners.ts'
import type { KubeObject } from '../../api/object.ts'
import { parseApiVersion } from '../../api/schema.ts'
import type { KindRules } from '../kind-rules.ts'
import type { ResourceRegistry, ServedResource } from '../resource-registry.ts'
import { writableFields } from './reset-fields.ts'

export const applyTypeOf = (rules: KindRules): ApplyType => rules.applyType?.() ?? DEDUCED

/** An object of the store in the version of the request. */
export const shown = ({ view }: ServedResource, object: KubeObject): KubeObject => view.convert?.(object) ?? object

export function versionsOf(registry: ResourceRegistry, served: ServedResource, subresource: string): Versions {
  const { apiVersion } = served
  const find = (other: string): ServedResource | undefined => {
    if (other === apiVersion) return served
    const { group, version } = parseApiVersion(other)
    const found = registry.find(group, version, served.info.resource)
    return found?.stored === served.stored ? found : undefined
  }
  return {
    apiVersion,
    convert(object, target) {
      if (object.apiVersion === target) return object
      const [from, to] = [find(object.apiVersion ?? ''), find(target)]
      return from && to && shown(to, from.toStored(object))
    },
    typeOf(other) {
      const found = find(other)
      return found ? applyTypeOf(found.rules) : DEDUCED
    },
    writable: writableFields(served, subresource),
  }
}
