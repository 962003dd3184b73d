/**
 * Merges what a MutatingAdmissionPolicy applies into an object, as server-side apply merges (upstream: policy/mutating/patch/smd.go).
 * What is atomic may not be touched, lest the rest of it be lost.
 */
import { merge } from '../../../api/apply/merge.ts'
import type { ApplyType } from '../../../api/apply/schema.ts'
import { typeFaults } from '../../../api/apply/validate.ts'
import { formOf, isList, isMap, typeIn } from '../../../api/apply/value-kind.ts'
import type { Json, KubeObject } from '../../../api/object.ts'

/** Throws an Error that names what is not in the schema, or what may not be changed. */
export function applyConfiguration(live: KubeObject, patch: KubeObject, type: ApplyType): KubeObject {
  const faults = typeFaults(patch, type)
  if (faults) throw new Error(`failed to convert patch object to typed object: ${faults}`)
  const atomics = [...atomicParts(patch, type, '')]
  if (atomics.length > 0)
    throw new Error(`invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: ${atomics.join(', ')}`)
  return merge(live, patch, type) as KubeObject
}

function* atomicParts(value: Json | undefined, type: ApplyType, path: string): Generator<string> {
  const form = formOf(type, value)
  if (form === 'scalar' || value === undefined || value === null) return
  if (type[form]!.isAtomic) yield path
  else if (isList(value)) for (const [i, item] of value.entries()) yield* atomicParts(item, type.list!.element, `${path}[${i}]`)
  else if (isMap(value))
    for (const [name, item] of Object.entries(value)) {
      const within = typeIn(type.map!, name)
      if (within) yield* atomicParts(item, within, `${path}.${name}`)
    }
}
