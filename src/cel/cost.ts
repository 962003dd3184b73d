/**
 * What evaluating costs, as cel-go counts it (interpreter/runtimecost.go): one for a name or a selection, nothing for a constant
 * or has(), and for a call something in proportion to what it must read.
 */
import { CelMap, isList, lengthOf, Optional, CostLimitExceeded, type Value } from './values.ts'

export const LIST_COST = 10
export const MAP_COST = 30
export const STRUCT_COST = 40

/** What a single evaluation has spent, and its variables. */
export interface Frame {
  readonly activation: Readonly<Record<string, unknown>>
  /** The variables of folds, by slot. */
  readonly locals: Value[]
  cost: number
  readonly limit: number
}

export function charge(frame: Frame, cost: number): void {
  frame.cost += cost
  if (frame.cost > frame.limit) throw new CostLimitExceeded()
}

/** How much there is to read: code points, bytes, elements; one for scalars. */
export function sizeOf(value: Value): number {
  if (typeof value === 'string') return lengthOf(value)
  if (value === null || typeof value !== 'object') return 1
  if (isList(value) || value instanceof Uint8Array) return value.length
  if (value instanceof CelMap) return value.size
  return value instanceof Optional && value.value !== undefined ? sizeOf(value.value) : 1
}

/** Reading text once; `times` for several times. */
export const traversal = (size: number, times = 1): number => Math.ceil(size * times * 0.1)

export const traverseFirst = ([first]: readonly Value[]): number => traversal(sizeOf(first!))
export const traverseFirstTwice = ([first]: readonly Value[]): number => traversal(sizeOf(first!), 2)
export const traverseShorter = ([a, b]: readonly Value[]): number => traversal(Math.min(sizeOf(a!), sizeOf(b!)))
export const traverseBoth = ([a, b]: readonly Value[]): number => traversal(sizeOf(a!) + sizeOf(b!))
export const regexCost = ([text, pattern]: readonly Value[]): number => traversal(1 + sizeOf(text!)) * Math.ceil(sizeOf(pattern!) * 0.25)
/** Going through everything a value holds. */
export function deepTraversal(value: Value): number {
  if (typeof value === 'string' || value instanceof Uint8Array) return Math.floor(value.length * 0.1)
  if (value === null || typeof value !== 'object') return 1
  if (isList(value)) return value.reduce((sum: number, item) => sum + deepTraversal(item), 0)
  if (value instanceof CelMap)
    return value.keys().reduce((sum: number, key) => sum + deepTraversal(key) + deepTraversal(value.get(key)!), 0)
  return 1
}

export const traverseDeep = ([first]: readonly Value[]): number => deepTraversal(first!)
export const one = (): number => 1
