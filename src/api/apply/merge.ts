/**
 * An applied configuration merged into an object (structured-merge-diff's typed.Merge): what the configuration says wins, what it
 * does not say stays. What does not change is shared.
 */
import type { Json } from '../object.ts'
import type { ApplyList, ApplyMap, ApplyType } from './schema.ts'
import { formOf, isList, isMap, itemElement, typeIn, type JsonMap } from './value-kind.ts'

type Value = Json | undefined

export function merge(live: Value, applied: Value, type: ApplyType): Value {
  if (applied === undefined || live === applied) return live
  if (live === undefined) return applied
  const form = formOf(type, applied ?? live)
  if (form === 'scalar' || type[form]!.isAtomic || (live !== null && formOf(type, live) !== form)) return applied
  if (form === 'map') return mergeMaps(isMap(live) ? live : undefined, isMap(applied) ? applied : undefined, type.map!) ?? applied
  return mergeLists(isList(live) ? live : [], isList(applied) ? applied : [], type.list!) ?? applied
}

/** Undefined when both are empty: then it matters which kind of nothing was applied. */
function mergeMaps(live: JsonMap | undefined, applied: JsonMap | undefined, map: ApplyMap): JsonMap | undefined {
  let made: Record<string, Value> | undefined
  for (const name in applied) {
    const type = typeIn(map, name)
    const merged = type ? merge(live?.[name], applied[name], type) : applied[name]
    if (merged !== live?.[name]) (made ??= { ...live })[name] = merged
  }
  if (made) return made
  return live && Object.keys(live).length > 0 ? live : undefined
}

/**
 * The items of both lists: in the order of the live one where the configuration does not ask for another, what it adds following
 * what stands before it there.
 */
function mergeLists(live: readonly Json[], applied: readonly Json[], list: ApplyList): readonly Json[] | undefined {
  if (live.length === 0 && applied.length === 0) return undefined
  const left = live.map((item) => itemElement(list, item))
  const right = applied.map((item) => itemElement(list, item))
  const at = new Map(left.map((element, index) => [element, index]))
  const isTwice = new Set(left.filter((element, index) => at.get(element) !== index))
  const wanted = new Map(right.map((element, index) => [element, applied[index]!]))
  // Of items that are there twice it is not known which one is meant: the applied one replaces them.
  const lookUp = (element: string): Value => (isTwice.has(element) ? null : at.has(element) ? live[at.get(element)!] : undefined)
  const shared = right.filter((element) => at.has(element))
  const out: Json[] = []
  const taken = new Set<string>()
  let nextShared = shared.shift()
  const take = (element: string) => {
    taken.add(element)
    const merged = merge(lookUp(element), wanted.get(element), list.element)
    if (merged !== undefined) out.push(merged)
  }
  for (let l = 0, r = 0; l < left.length || r < right.length;) {
    const element = left[l]
    if (element !== undefined && r < right.length) {
      if (element === right[r]) {
        take(element)
        l++
        r++
        nextShared = shared.shift()
        continue
      }
      // Shared, but not the one whose turn it is.
      if (wanted.has(element) && nextShared !== undefined && nextShared !== element) {
        l++
        continue
      }
    }
    if (element !== undefined) {
      if (!wanted.has(element)) {
        out.push(live[l]!)
        l++
        continue
      }
      if (taken.has(element)) l++
    }
    if (r < right.length) {
      take(right[r]!)
      if (nextShared === right[r]) nextShared = shared.shift()
      r++
    }
  }
  return out.length === live.length && out.every((item, index) => item === live[index]) ? live : out
}
