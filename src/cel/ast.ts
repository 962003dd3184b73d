/**
 * The tree that the parser makes. Macros are already expanded: what iterates is a `fold`, the one loop of the language
 * (langdef.md, "Macros"), so that the checker, the evaluator and the cost see a single construct.
 */
import type { Value } from './values.ts'

interface Node {
  /** Offset in the source, for messages. */
  readonly at: number
}

export interface Constant extends Node {
  readonly kind: 'constant'
  readonly value: Value
}
export interface Ident extends Node {
  readonly kind: 'ident'
  readonly name: string
}
export interface Select extends Node {
  readonly kind: 'select'
  readonly operand: Expr
  readonly field: string
  /** Made by has(): asks whether the field is there. */
  readonly isTest: boolean
}
export interface Call extends Node {
  readonly kind: 'call'
  readonly name: string
  readonly target: Expr | undefined
  readonly args: readonly Expr[]
}
export interface ListLiteral extends Node {
  readonly kind: 'list'
  readonly elements: readonly Expr[]
  /** Indices of elements written `?x`: left out when the optional is empty. */
  readonly optional: ReadonlySet<number>
}
export interface MapEntry {
  readonly key: Expr
  readonly value: Expr
  readonly isOptional: boolean
}
export interface MapLiteral extends Node {
  readonly kind: 'map'
  readonly entries: readonly MapEntry[]
}
export interface StructField extends Node {
  readonly name: string
  readonly value: Expr
  readonly isOptional: boolean
}
export interface StructLiteral extends Node {
  readonly kind: 'struct'
  readonly type: string
  readonly fields: readonly StructField[]
}
export interface Fold extends Node {
  readonly kind: 'fold'
  readonly range: Expr
  /** One variable: elements of a list, keys of a map. Two: index and element, or key and value. */
  readonly variables: readonly [string] | readonly [string, string]
  readonly accumulator: string
  readonly init: Expr
  readonly condition: Expr
  readonly step: Expr
  readonly result: Expr
}

export type Expr = Constant | Ident | Select | Call | ListLiteral | MapLiteral | StructLiteral | Fold

/** A fault in the source. */
export interface Issue {
  readonly at: number
  readonly message: string
}

/**
 * Upstream's form: `ERROR: <input>:1:5: message`, the line, and a caret under the place. Tabs are shown as one space, and what is
 * written in several bytes has dots and a caret of full width.
 */
export function formatIssue(source: string, { at, message }: Issue): string {
  // Of nothing there is no place to show.
  if (source === '') return `ERROR: <input>:1:0: ${message}`
  const before = source.slice(0, at).split('\n')
  const column = Array.from(before.at(-1)!)
  const line = (source.split('\n')[before.length - 1] ?? '').replaceAll('\t', ' ')
  const dots = column.map((letter) => (letter > '\x7f' ? '．' : '.')).join('')
  const caret = (Array.from(line)[column.length] ?? '') > '\x7f' ? '＾' : '^'
  return `ERROR: <input>:${before.length}:${column.length + 1}: ${message}\n | ${line}\n | ${dots}${caret}`
}
