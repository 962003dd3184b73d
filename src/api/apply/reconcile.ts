/**
 * A set that was written under an older schema, read under this one: who owned fields within what is now owned as a whole owns all
 * of it (structured-merge-diff's typed.ReconcileFieldSetWithSchema). The other way, from whole to fields, needs nothing.
 */
import { isEmpty, NONE, type FieldSet } from './field-set.ts'
import type { ApplyType } from './schema.ts'
import { typeIn } from './value-kind.ts'

export function reconcile(set: FieldSet, type: ApplyType): FieldSet {
  let made: Record<string, FieldSet> | undefined
  for (const element in set) {
    if (element === '.') continue
    const under = set[element]!
    const inner = innerType(element, type)
    if (!inner || isEmpty(under)) continue
    const next = isWhole(inner, under) ? NONE : reconcile(under, inner)
    if (next !== under) (made ??= { ...set })[element] = next
  }
  return made ?? set
}

function innerType(element: string, type: ApplyType): ApplyType | undefined {
  if (element[0] === 'f') return type.map && typeIn(type.map, element.slice(2))
  return type.list?.element
}

function isWhole({ map, list, scalar }: ApplyType, under: FieldSet): boolean {
  // What takes anything was never owned as a whole nor in parts by its schema.
  if (map && scalar) return false
  if (map) return map.isAtomic && !isEmpty(under)
  return list?.isAtomic === true
}
