/**
 * The words in which field errors are told (apimachinery's util/validation/field), and small rules that add them to a list.
 * A validator takes the list, the path of what it looks at and the value, and adds what is wrong in upstream's order.
 */
import type { FieldError } from '../../api/status.ts'
import { dns1123SubdomainFaults, rangeFaults, regexFault } from '../../api/names.ts'
import { isSemanticallyEqual } from './immutable.ts'
import { internalEqual, internalForm } from './internal-form.ts'

export type FieldErrors = FieldError[]
/** What is wrong with the form of a text, usually nothing: see api/names.ts. */
export type Format = (value: string) => readonly string[]

/** A value as messages show it: strings in quotes, all else as JSON with map keys in order, as Go writes it. */
function show(value: unknown): string {
  if (value === undefined) return 'null'
  if (typeof value === 'string') return JSON.stringify(value)
  const json = JSON.stringify(value, (_key, part: unknown) =>
    part && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  )
  return json.replaceAll('<', '\\u003c').replaceAll('>', '\\u003e').replaceAll('&', '\\u0026')
}

const withDetail = (text: string, detail: string): string => (detail ? `${text}: ${detail}` : text)

export const required = (field: string, detail = ''): FieldError => ({
  type: 'FieldValueRequired',
  field,
  detail: withDetail('Required value', detail),
})
/** `typeName` where upstream shows a value as it holds it: see internal-form.ts. */
export const invalid = (field: string, value: unknown, detail: string, typeName?: string): FieldError => ({
  type: 'FieldValueInvalid',
  field,
  detail: withDetail(`Invalid value: ${typeName === undefined ? show(value) : internalForm(value, typeName)}`, detail),
})
/** What keeps upstream from looking further: told as its own fault, but for a field. */
export const internal = (field: string, detail: string): FieldError => ({
  type: 'InternalError',
  field,
  detail: `Internal error: ${detail}`,
})
/** Of a part that is wrong as a whole, whose value is not shown. */
export const invalidAsWhole = (field: string, detail: string): FieldError => ({
  type: 'FieldValueInvalid',
  field,
  detail: `Invalid value: ${detail}`,
})
export const forbidden = (field: string, detail: string): FieldError => ({
  type: 'FieldValueForbidden',
  field,
  detail: withDetail('Forbidden', detail),
})
export const duplicate = (field: string, value: unknown, typeName?: string): FieldError => ({
  type: 'FieldValueDuplicate',
  field,
  detail: `Duplicate value: ${typeName === undefined ? show(value) : internalForm(value, typeName)}`,
})
export const notFound = (field: string, value: unknown): FieldError => ({
  type: 'FieldValueNotFound',
  field,
  detail: `Not found: ${show(value)}`,
})
export const tooLong = (field: string, maximum: number): FieldError => ({
  type: 'FieldValueTooLong',
  field,
  detail: maximum < 0 ? 'Too long: value is too long' : `Too long: may not be more than ${maximum} byte${maximum === 1 ? '' : 's'}`,
})
export const tooMany = (field: string, actual: number, maximum: number): FieldError => ({
  type: 'FieldValueTooMany',
  field,
  detail: `Too many: ${actual}: must have at most ${maximum} item${maximum === 1 ? '' : 's'}`,
})
/** `supported` in the order in which upstream lists it (sorted, for the sets that it prints). */
export const notSupported = (field: string, value: unknown, supported: readonly string[], typeName?: string): FieldError => ({
  type: 'FieldValueNotSupported',
  field,
  detail: withDetail(
    `Unsupported value: ${typeName === undefined ? show(value) : internalForm(value, typeName)}`,
    supported.length === 0 ? '' : `supported values: ${supported.map((item) => show(item)).join(', ')}`,
  ),
})

export const IMMUTABLE = 'field is immutable'
export const NOT_NEGATIVE = 'must be greater than or equal to 0'

/** Adds an error for each thing wrong with the format of a value. */
export function checkFormat<V>(errors: FieldErrors, path: string, value: V, format: (value: V) => readonly string[]): void {
  for (const problem of format(value)) errors.push(invalid(path, value, problem))
}

/** A value of a closed set. */
export function checkOneOf(errors: FieldErrors, path: string, value: string | undefined, supported: readonly string[]): void {
  if (value === undefined || !supported.includes(value)) errors.push(notSupported(path, value ?? '', supported))
}

/** A value of a closed set that must be there. */
export function checkRequiredOneOf(errors: FieldErrors, path: string, value: string | undefined, supported: readonly string[]): void {
  if (!value) errors.push(required(path))
  else checkOneOf(errors, path, value, supported)
}

export function checkNotNegative(errors: FieldErrors, path: string, value: number | undefined): void {
  if (value !== undefined && value < 0) errors.push(invalid(path, value, NOT_NEGATIVE))
}

export function checkInRange(errors: FieldErrors, path: string, value: number | undefined, low: number, high: number): void {
  if (value === undefined) return
  for (const fault of rangeFaults(value, low, high)) errors.push(invalid(path, value, fault))
}

/** A field that an update may not change. */
export function checkImmutable(errors: FieldErrors, path: string, next: unknown, old: unknown, typeName?: string): void {
  const isEqual = typeName === undefined ? isSemanticallyEqual(next, old) : internalEqual(next, old, typeName)
  if (!isEqual) errors.push(invalid(path, next, IMMUTABLE, typeName))
}

const HTTP_PATH = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+"
const HTTP_PATH_PATTERN = new RegExp(`^${HTTP_PATH}$`)

/** "acme.io/foo": the keys of what a user has beside name and groups. */
export function checkDomainPrefixedPath(errors: FieldErrors, path: string, value: string): void {
  if (value === '') return void errors.push(required(path))
  const slash = value.indexOf('/')
  if (slash <= 0 || slash === value.length - 1) {
    return void errors.push(invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")'))
  }
  checkFormat(errors, path, value.slice(0, slash), dns1123SubdomainFaults)
  const rest = value.slice(slash + 1)
  if (!HTTP_PATH_PATTERN.test(rest)) errors.push(invalid(path, rest, regexFault('Invalid path', HTTP_PATH)))
}
