/** The types of CEL (langdef.md, "Type checking"), how they are written, and how one stands for another. */

export interface Type {
  readonly kind:
    | 'dyn'
    | 'error'
    | 'null'
    | 'bool'
    | 'int'
    | 'uint'
    | 'double'
    | 'string'
    | 'bytes'
    | 'timestamp'
    | 'duration'
    | 'list'
    | 'map'
    | 'type'
    | 'param'
    | 'object'
  /** Of a parameter or an object; 'optional_type' is an object with a parameter. */
  readonly name: string
  readonly params: readonly Type[]
}

const simple = (kind: Type['kind'], name: string = kind): Type => ({ kind, name, params: [] })

export const DYN = simple('dyn')
export const ERROR = simple('error', '!error!')
export const NULL = simple('null')
export const BOOL = simple('bool')
export const INT = simple('int')
export const UINT = simple('uint')
export const DOUBLE = simple('double')
export const STRING = simple('string')
export const BYTES = simple('bytes')
export const TIMESTAMP = simple('timestamp')
export const DURATION = simple('duration')

export const listOf = (element: Type): Type => ({ kind: 'list', name: 'list', params: [element] })
export const mapOf = (key: Type, value: Type): Type => ({ kind: 'map', name: 'map', params: [key, value] })
export const typeOf = (type: Type): Type => ({ kind: 'type', name: 'type', params: [type] })
export const objectOf = (name: string, ...params: Type[]): Type => ({ kind: 'object', name, params })
export const paramOf = (name: string): Type => ({ kind: 'param', name, params: [] })
export const optionalOf = (type: Type): Type => objectOf('optional_type', type)

export const isOptional = (type: Type): boolean => type.kind === 'object' && type.name === 'optional_type'
export const isDynamic = (type: Type): boolean => type.kind === 'dyn' || type.kind === 'error'

export function formatType(type: Type): string {
  return type.params.length === 0 ? type.name : `${type.name}(${type.params.map(formatType).join(', ')})`
}

/** As Go prints the types whose names differ. */
const GO_NAMES: Partial<Readonly<Record<Type['kind'], string>>> = {
  null: 'null_type',
  timestamp: 'google.protobuf.Timestamp',
  duration: 'google.protobuf.Duration',
}
export const goNameOf = (type: Type): string => GO_NAMES[type.kind] ?? formatType(type)

export const isSameType = (a: Type, b: Type): boolean =>
  a === b ||
  (a.kind === b.kind && a.name === b.name && a.params.length === b.params.length && a.params.every((p, i) => isSameType(p, b.params[i]!)))

const BY_NAME: Readonly<Record<string, Type>> = {
  dyn: DYN,
  null: NULL,
  bool: BOOL,
  int: INT,
  uint: UINT,
  double: DOUBLE,
  string: STRING,
  bytes: BYTES,
  timestamp: TIMESTAMP,
  duration: DURATION,
}

/** Reads a type as the declarations write it: `map(string, list(T))`, `optional(int)`, `net.IP`; one capital letter is a parameter. */
export function parseType(text: string): Type {
  const open = text.indexOf('(')
  if (open < 0) return BY_NAME[text] ?? (/^[A-Z]$/.test(text) ? paramOf(text) : objectOf(text))
  const params = splitTypes(text.slice(open + 1, -1)).map(parseType)
  switch (text.slice(0, open)) {
    case 'list':
      return listOf(params[0]!)
    case 'map':
      return mapOf(params[0]!, params[1]!)
    case 'type':
      return typeOf(params[0]!)
    default:
      return optionalOf(params[0]!)
  }
}

/** Splits at the commas outside parentheses. */
export function splitTypes(text: string): readonly string[] {
  const parts: string[] = []
  let depth = 0
  let from = 0
  for (let i = 0; i <= text.length; i++) {
    if (text[i] === '(') depth++
    else if (text[i] === ')') depth--
    else if ((text[i] === ',' || i === text.length) && depth === 0) {
      parts.push(text.slice(from, i).trim())
      from = i + 1
    }
  }
  return parts.filter(Boolean)
}

/** What type parameters stand for, so far. */
export type Substitution = Map<string, Type>

export function substitute(known: Substitution, type: Type, paramsToDyn = false): Type {
  if (type.kind === 'param') {
    const found = known.get(type.name)
    if (found) return substitute(known, found, paramsToDyn)
    return paramsToDyn ? DYN : type
  }
  if (type.params.length === 0) return type
  return { ...type, params: type.params.map((param) => substitute(known, param, paramsToDyn)) }
}

/** Whether a value of the second type can stand where the first is asked for; notes what parameters must be for that. */
export function isAssignable(known: Substitution, a: Type, b: Type): boolean {
  if (b.kind === 'param') {
    const verdict = trySubstitution(known, a, b)
    if (verdict.isValid) return true
    if (verdict.hasSubstitution) return false
  }
  if (a.kind === 'param') return trySubstitution(known, b, a).isValid
  if (isDynamic(a) || isDynamic(b)) return true
  if (a.kind === 'null' || b.kind === 'null') return isNullable(a.kind === 'null' ? b : a)
  if (a.kind === 'type' && b.kind === 'type') return true
  return (
    a.kind === b.kind &&
    a.name === b.name &&
    a.params.length === b.params.length &&
    a.params.every((param, i) => isAssignable(known, param, b.params[i]!))
  )
}

/** Objects, timestamps and durations are messages: they may be null. */
const isNullable = ({ kind }: Type): boolean => kind === 'null' || kind === 'object' || kind === 'timestamp' || kind === 'duration'

function trySubstitution(known: Substitution, type: Type, param: Type): { readonly isValid: boolean; readonly hasSubstitution: boolean } {
  if (isSameType(type, param)) return { isValid: true, hasSubstitution: true }
  const found = known.get(param.name)
  if (found) {
    if (isSameType(type, found)) return { isValid: true, hasSubstitution: true }
    if (!isAssignable(known, type, found)) return { isValid: false, hasSubstitution: true }
    const general = isMoreGeneral(type, found) ? type : found
    if (!refersTo(known, param, general)) known.set(param.name, general)
    return { isValid: true, hasSubstitution: true }
  }
  if (refersTo(known, param, type)) return { isValid: false, hasSubstitution: false }
  known.set(param.name, type)
  return { isValid: true, hasSubstitution: false }
}

function refersTo(known: Substitution, param: Type, type: Type): boolean {
  if (type.kind === 'param') {
    if (type.name === param.name) return true
    const found = known.get(type.name)
    return found !== undefined && refersTo(known, param, found)
  }
  return type.params.some((inner) => refersTo(known, param, inner))
}

function isMoreGeneral(a: Type, b: Type): boolean {
  if (isDynamic(a)) return true
  if (isDynamic(b) || b.kind === 'null') return a.kind !== 'param' && b.kind === 'null' && a.kind !== 'null'
  if (a.kind === 'param') return true
  return (
    a.kind === b.kind && a.params.length > 0 && a.params.every((param, i) => b.params[i] !== undefined && isMoreGeneral(param, b.params[i]))
  )
}
