/**
 * Costs and sizes that are known only between bounds, for estimates of what an expression may cost before it ever runs (cel-go
 * checker/cost.go). Whole numbers; what exceeds 64 bits stays at the largest of them.
 */
import type { Type } from './types.ts'

export interface Range {
  readonly min: number
  readonly max: number
}

export const MOST = 2 ** 64
export const UNKNOWN: Range = { min: 0, max: MOST }
export const fixed = (value: number): Range => ({ min: value, max: value })
export const ONE = fixed(1)

const capped = (value: number): number => Math.min(value, MOST)
const scaled = (value: number, factor: number): number => capped(Math.ceil(value * factor))

export const plus = (...ranges: readonly Range[]): Range => ({
  min: capped(ranges.reduce((sum, { min }) => sum + min, 0)),
  max: capped(ranges.reduce((sum, { max }) => sum + max, 0)),
})
export const times = (a: Range, b: Range): Range => ({ min: capped(a.min * b.min), max: capped(a.max * b.max) })
/** Rounded up, as every cost is. */
export const scale = ({ min, max }: Range, factor: number): Range => ({ min: scaled(min, factor), max: scaled(max, factor) })
export const union = (a: Range, b: Range): Range => ({ min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) })

/** What is known of an argument before it is evaluated. */
export interface Operand {
  readonly type: Type
  /** How long it is: code points, bytes, elements. */
  readonly size: Range
  /** Of the elements when it is a list. */
  readonly elements: () => { readonly type: Type; readonly size: Range } | undefined
  /** When it is written out. */
  readonly literal: unknown
}

export interface Estimate {
  readonly cost: Range
  /** Of the result, if it has one. */
  readonly size?: Range
}
