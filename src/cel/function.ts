/**
 * How functions are declared: a name, and overloads with a signature in text and the code. `startsWith` is
 * `overload('starts_with_string', 'string.(string) string', ...)`: what stands before the dot is the receiver.
 */
import type { Cost } from './cost.ts'
import { parseType, splitTypes, type Type } from './types.ts'
import { CelMap, Duration, isList, Opaque, Optional, Timestamp, TypeValue, Uint, type Value } from './values.ts'

export interface Overload {
  readonly id: string
  readonly isMember: boolean
  /** The receiver first, if there is one. */
  readonly args: readonly Type[]
  readonly result: Type
  call(...args: readonly Value[]): Value
  /** What a call costs; undefined: one. */
  readonly cost?: Cost
}

export type Functions = ReadonlyMap<string, readonly Overload[]>

/** Parameters of the code are what the signature says; that is checked before every call. */
type Code = (...args: never[]) => Value

export function overload(id: string, signature: string, code: Code, cost?: Cost): Overload {
  const close = matchingClose(signature)
  const open = openingOf(signature, close)
  const receiver = signature.slice(0, open)
  const args = splitTypes(signature.slice(open + 1, close)).map(parseType)
  return {
    id,
    isMember: receiver !== '',
    args: receiver ? [parseType(receiver.slice(0, -1)), ...args] : args,
    result: parseType(signature.slice(close + 1).trim()),
    call: code,
    ...(cost ? { cost } : {}),
  }
}

/** The parenthesis that ends the parameters: the last one before the space in front of the result. */
function matchingClose(signature: string): number {
  let depth = 0
  for (let i = 0; i < signature.length; i++) {
    if (signature[i] === '(') depth++
    else if (signature[i] === ')' && --depth === 0 && signature[i + 1] === ' ') return i
  }
  throw new Error(`signature ${signature} has no result`)
}

function openingOf(signature: string, close: number): number {
  let depth = 0
  for (let i = close; i >= 0; i--) {
    if (signature[i] === ')') depth++
    else if (signature[i] === '(' && --depth === 0) return i
  }
  throw new Error(`signature ${signature} is not balanced`)
}

/** Whether a value is of a declared type; parameters and dyn take anything. */
export function isOfType(value: Value, { kind, name }: Type): boolean {
  switch (kind) {
    case 'dyn':
    case 'param':
    case 'error':
      return true
    case 'null':
      return value === null
    case 'bool':
      return typeof value === 'boolean'
    case 'int':
      return typeof value === 'bigint'
    case 'uint':
      return value instanceof Uint
    case 'double':
      return typeof value === 'number'
    case 'string':
      return typeof value === 'string'
    case 'bytes':
      return value instanceof Uint8Array
    case 'timestamp':
      return value instanceof Timestamp
    case 'duration':
      return value instanceof Duration
    case 'list':
      return isList(value)
    case 'map':
      return value instanceof CelMap
    case 'type':
      return value instanceof TypeValue
    case 'object':
      if (name === 'optional_type') return value instanceof Optional
      return value instanceof CelMap || (value instanceof Opaque && value.typeName === name)
  }
}
