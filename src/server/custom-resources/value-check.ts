/**
 * Checks a value against a schema, keyword by keyword, with the errors that upstream's validator (kube-openapi pkg/validation/validate)
 * gives. A schema is compiled once; checking a value that is right allocates nothing.
 *
 * Ratcheting (KEP-4008): on an update, what is wrong with a part that did not change is not told.
 */
import type { JSONSchemaProps } from '../../api/generated/apiextensions/v1.ts'
import type { Json } from '../../api/object.ts'
import type { FieldError } from '../../api/status.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { invalid, notSupported, required, tooLong, tooMany } from '../resources/rules.ts'
import { formatCheck, isKnownFormat } from './formats.ts'
import { compilePattern } from './patterns.ts'

/** There is no old value that a new one could be compared with. */
export const NEW: unique symbol = Symbol('new')
export type Old = Json | typeof NEW

type JsonObject = Readonly<Record<string, Json | undefined>>

interface Fault {
  /** "spec.replicas"; undefined for what upstream tells without a place. */
  readonly name: string | undefined
  readonly message: string
  readonly told: (field: string, message: string) => FieldError
}

/** What one pass finds. `matched` counts what was right: it chooses among the failures of `anyOf` and `oneOf`. */
export class Findings {
  readonly faults: Fault[] = []
  matched = 0
  readonly path: (string | number)[]

  constructor(path: (string | number)[] = []) {
    this.path = path
  }

  place(): string {
    return this.path.reduce<string>((text, part) => (typeof part === 'number' ? `${text}[${part}]` : text ? `${text}.${part}` : part), '')
  }

  add(fault: Fault): void {
    if (!this.faults.some(({ message }) => message === fault.message)) this.faults.push(fault)
  }

  /** A fault at the place where the check is; `text` is what follows "spec.x in body". */
  here(text: string, told: Fault['told'], name = this.place()): void {
    this.add({ name, message: `${name} in body ${text}`, told })
  }

  /** A fault that upstream tells without a place. */
  nowhere(message: string): void {
    this.add({ name: undefined, message, told: (field, text) => invalid(field, '', text) })
  }

  merge(other: Findings): void {
    this.matched += other.matched
    for (const fault of other.faults) this.add(fault)
  }

  /** The faults as field errors below a path ("" for a whole object). */
  errors(under = ''): readonly FieldError[] {
    return this.faults.map(({ name, message, told }) => {
      const relative = (name ?? '').replace(/^\./, '')
      const field = relative === '' ? under || '<nil>' : under ? `${under}.${relative}` : relative
      return told(field, message)
    })
  }
}

export interface ValueCheck {
  /** Adds to `out` what is wrong with the value, and counts what is right. */
  run(value: Json, old: Old, out: Findings): void
}

interface Child {
  readonly check: ValueCheck
}

const typeOf = (value: Json): string => {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number'
  return typeof value
}

type Step = (value: Json, out: Findings) => void

/** `properties`, `items` and `additional` are the compiled children where the schema is part of a skeleton; else they are compiled here. */
export function createValueCheck(
  props: JSONSchemaProps,
  properties: ReadonlyMap<string, Child> = compileFields(props),
  items: Child | undefined = compileOne(props.items as JSONSchemaProps | undefined),
  additional: Child | undefined = compileOne(objectOf(props.additionalProperties)),
): ValueCheck {
  const types = props['x-kubernetes-int-or-string'] ? ['integer', 'string'] : props.type ? [props.type] : []
  const checkType = typeStep(types, props)
  const combine = combineStep(props)
  const strings = stringStep(props)
  const numbers = numberStep(props, types)
  const isEnum = enumStep(props)
  const forbidsOthers = props.additionalProperties === false
  const { minItems, maxItems, uniqueItems, minProperties, maxProperties, required: requiredFields = [] } = props

  const list = (value: readonly Json[], old: Old, out: Findings): void => {
    if (items) {
      const match = correlate(props, old)
      for (let index = 0; index < value.length; index++) {
        out.path.push(index)
        runChild(items.check, value[index]!, match(value[index]!), out)
        out.path.pop()
      }
    }
    if (minItems !== undefined && value.length < minItems)
      out.here(`should have at least ${minItems} items`, (field, text) => invalid(field, value.length, text))
    if (maxItems !== undefined && value.length > maxItems)
      out.here(`should have at most ${maxItems} items`, (field) => tooMany(field, value.length, maxItems))
    if (uniqueItems && value.some((item, index) => value.slice(0, index).some((other) => deepEqual(item, other))))
      out.here("shouldn't contain duplicates", (field, text) => invalid(field, '', text))
    out.matched++
  }

  const object = (value: JsonObject, old: Old, out: Findings): void => {
    if (minProperties !== undefined || maxProperties !== undefined) {
      const count = Object.keys(value).length
      if (minProperties !== undefined && count < minProperties)
        out.here(`should have at least ${minProperties} properties`, (field, text) => invalid(field, count, text))
      if (maxProperties !== undefined && count > maxProperties)
        out.here(`should have at most ${maxProperties} properties`, (field) => tooMany(field, count, maxProperties))
    }
    const before = typeof old === 'object' && old !== null && !Array.isArray(old) ? (old as JsonObject) : undefined
    for (const name in value) {
      const given = value[name]
      if (given === undefined) continue
      const child = properties.get(name) ?? additional
      if (child) {
        // A root's kind and apiVersion are the same for both by conversion; they are looked at always.
        const isTypeMeta = out.path.length === 0 && (name === 'kind' || name === 'apiVersion')
        out.path.push(name)
        runChild(child.check, given, isTypeMeta || before?.[name] === undefined ? NEW : before[name], out)
        out.path.pop()
      } else if (forbidsOthers && !properties.has(name)) {
        const place = out.place()
        out.add({
          name: place,
          message: `${place}.${name} in body is a forbidden property`,
          told: (field, text) => invalid(field, name, text),
        })
      }
    }
    for (const name of requiredFields) {
      if (value[name] !== undefined) continue
      out.here('is required', (field) => required(field), `${out.place()}.${name}`)
    }
  }

  return {
    run(value, old, out) {
      if (value === null) {
        checkType?.(value, out)
        isEnum?.(value, out)
        return
      }
      if (checkType) {
        checkType(value, out)
        out.matched++
      }
      combine?.(value, old, out)
      out.matched += 2
      if (typeof value === 'string') strings?.(value, out)
      else if (typeof value === 'number') numbers(value, out)
      else if (Array.isArray(value)) list(value as readonly Json[], old, out)
      isEnum?.(value, out)
      out.matched += 2
      if (typeof value === 'object' && !Array.isArray(value)) object(value as JsonObject, old, out)
      out.matched++
    },
  }
}

const objectOf = (value: unknown): JSONSchemaProps | undefined => (typeof value === 'object' && value !== null ? value : undefined)

const compileOne = (props: JSONSchemaProps | undefined): Child | undefined => props && { check: createValueCheck(props) }

const compileFields = (props: JSONSchemaProps): ReadonlyMap<string, Child> =>
  new Map(Object.entries(props.properties ?? {}).map(([name, field]) => [name, { check: createValueCheck(field) }]))

/** A part of a value: what is wrong with it is not told when it is as it was. */
export function runChild(check: ValueCheck, value: Json, old: Old, out: Findings): void {
  // The same part of the same object: it was accepted, or must be borne.
  if (value === old && typeof value === 'object') return
  const before = out.faults.length
  check.run(value, old, out)
  if (out.faults.length > before && old !== NEW && deepEqual(value, old)) out.faults.length = before
}

const UNMATCHED = (): Old => NEW

/** Items of lists that are maps are the same when their keys are; those of others cannot be told. */
function correlate(props: JSONSchemaProps, old: Old): (item: Json) => Old {
  const keys = props['x-kubernetes-list-map-keys']
  if (props['x-kubernetes-list-type'] !== 'map' || !keys || !Array.isArray(old)) return UNMATCHED
  const keyOf = (item: Json): string => JSON.stringify(keys.map((key) => (item as JsonObject | null)?.[key] ?? null))
  const known = new Map((old as readonly Json[]).map((item) => [keyOf(item), item]))
  return (item) => known.get(keyOf(item)) ?? NEW
}

function typeStep(types: readonly string[], { format, nullable }: JSONSchemaProps): Step | undefined {
  if (types.length === 0) return undefined
  const wanted = types.join(',')
  const isAny = new Set(types)
  const isNumeric = isAny.has('number') || isAny.has('integer')
  const known = format && isKnownFormat({ type: types[0]!, format }) ? format : undefined
  const mismatch = (out: Findings, expected: string, found: string): void =>
    out.here(`must be of type ${expected}: ${JSON.stringify(found)}`, (field, text) => typeInvalid(field, found, text))
  return (value, out) => {
    const type = typeOf(value)
    const isOfType = type === 'null' ? nullable === true : isAny.has(type) || (type === 'integer' && isAny.has('number'))
    const isListOrText = type === 'string' || type === 'array'
    if (isOfType || (known && isListOrText && !isNumeric)) out.matched++
    else if (known && !isListOrText && type !== 'null') mismatch(out, known, GO_FORMATS[type] ?? '')
    else mismatch(out, wanted, type)
  }
}

/** How Go's validator names the format of a number. */
const GO_FORMATS: Readonly<Record<string, string>> = { integer: 'int64', number: 'float64' }

const typeInvalid = (field: string, value: unknown, text: string): FieldError => ({
  ...invalid(field, value, text),
  type: 'FieldValueTypeInvalid',
})

/** Go counts characters, not units of UTF-16. */
function lengthOf(text: string): number {
  let length = text.length
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) >= 0xd800 && text.charCodeAt(index) < 0xdc00) length--
  return length
}

function stringStep(props: JSONSchemaProps): ((value: string, out: Findings) => void) | undefined {
  const { maxLength, minLength, pattern, format } = props
  const isFormat = format && isKnownFormat(props) ? formatCheck(format) : undefined
  const compiled = pattern ? compilePattern(pattern) : undefined
  if (maxLength === undefined && minLength === undefined && !compiled && !isFormat) return (_value, out) => void out.matched++
  return (value, out) => {
    if (maxLength !== undefined && lengthOf(value) > maxLength)
      out.here(`should be at most ${maxLength} chars long`, (field) => tooLong(field, maxLength))
    else if (minLength !== undefined && lengthOf(value) < minLength)
      out.here(`should be at least ${minLength} chars long`, (field, text) => invalid(field, value, text))
    else if (compiled && 'fault' in compiled)
      out.here(`should match '${pattern}, but pattern is invalid: ${compiled.fault}'`, (field, text) => invalid(field, value, text))
    else if (compiled && !compiled.isIn(value)) out.here(`should match '${pattern}'`, (field, text) => invalid(field, value, text))
    out.matched++
    if (!isFormat) return
    if (!isFormat(value)) out.here(`must be of type ${format}: ${JSON.stringify(value)}`, (field, text) => typeInvalid(field, value, text))
    out.matched++
  }
}

const INT32 = 2 ** 31
const INT64 = 2 ** 63
const FLOAT32 = 3.4028234663852886e38

function numberStep(props: JSONSchemaProps, types: readonly string[]): (value: number, out: Findings) => void {
  const { multipleOf, maximum, minimum, exclusiveMaximum, exclusiveMinimum } = props
  const type = types.length === 1 ? types[0] : undefined
  const format = props.format && isKnownFormat(props) ? props.format : ''
  const isInRange = (value: number): boolean => {
    if (type === 'integer') {
      const limit = format === 'int32' ? INT32 : INT64
      return Number.isInteger(value) && value >= -limit && value < limit
    }
    return !(type === 'number' && format === 'float') || Math.abs(value) <= FLOAT32
  }
  const range = (value: number, what: string, out: Findings): boolean => {
    if (isInRange(value)) return true
    out.nowhere(`${what} value must be of type ${type} ${format ? `with format ${format}` : '(default format)'} in ${out.place()}`)
    return false
  }
  // A limit of integers is cut to an integer, as Go's conversion does.
  const limitFor = (limit: number, value: number, fits: boolean): number => (fits && Number.isInteger(value) ? Math.trunc(limit) : limit)
  return (value, out) => {
    range(value, 'Checked', out)
    const told = (field: string, text: string): FieldError => invalid(field, value, text)
    if (multipleOf !== undefined) {
      const factor = limitFor(multipleOf, value, range(multipleOf, 'MultipleOf', out))
      if (factor <= 0) {
        const place = out.place()
        out.add({
          name: place,
          message: `factor MultipleOf declared for ${place} must be positive: ${factor}`,
          told: (field, text) => invalid(field, factor, text),
        })
      } else if (!isWhole(factor < 1 ? (1 / factor) * value : value / factor)) out.here(`should be a multiple of ${factor}`, told)
    }
    if (maximum !== undefined) {
      const limit = limitFor(maximum, value, range(maximum, 'Maximum boundary', out))
      if (exclusiveMaximum ? value >= limit : value > limit)
        out.here(`should be less than ${exclusiveMaximum ? '' : 'or equal to '}${limit}`, told)
    }
    if (minimum !== undefined) {
      const limit = limitFor(minimum, value, range(minimum, 'Minimum boundary', out))
      if (exclusiveMinimum ? value <= limit : value < limit)
        out.here(`should be greater than ${exclusiveMinimum ? '' : 'or equal to '}${limit}`, told)
    }
    out.matched += 2
  }
}

/** Quotients of floating numbers are whole when they are nearly so. */
const isWhole = (quotient: number): boolean =>
  Number.isInteger(quotient) || Math.abs(quotient - Math.round(quotient)) < 1e-9 * Math.max(1, Math.abs(quotient))

function enumStep({ enum: values }: JSONSchemaProps): Step | undefined {
  if (!values || values.length === 0) return undefined
  const scalars = new Set<unknown>(values.filter((value) => typeof value !== 'object' || value === null))
  const rest = values.filter((value) => typeof value === 'object' && value !== null)
  const listed = values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value)))
  return (value, out) => {
    if (value !== null && (scalars.has(value) || rest.some((other) => deepEqual(value, other)))) return
    out.here(`should be one of [${listed.join(' ')}]`, (field) => notSupported(field, value, listed))
  }
}

type Combine = (value: Json, old: Old, out: Findings) => void

/** allOf, anyOf, oneOf and not; undefined when there is none. */
function combineStep(props: JSONSchemaProps): Combine | undefined {
  const compile = (schemas: readonly JSONSchemaProps[] | undefined): readonly ValueCheck[] =>
    (schemas ?? []).map((schema) => createValueCheck(schema))
  const [all, any, one] = [compile(props.allOf), compile(props.anyOf), compile(props.oneOf)]
  const none = props.not && createValueCheck(props.not)
  if (all.length + any.length + one.length === 0 && !none) return undefined
  const run = (check: ValueCheck, value: Json, old: Old, out: Findings): Findings => {
    const findings = new Findings(out.path)
    check.run(value, old, findings)
    return findings
  }
  return (value, old, out) => {
    if (any.length > 0)
      anyOf(
        any.values().map((check) => run(check, value, old, out)),
        out,
      )
    if (one.length > 0)
      oneOf(
        one.map((check) => run(check, value, old, out)),
        out,
      )
    if (all.length > 0)
      allOf(
        all.map((check) => run(check, value, old, out)),
        out,
      )
    if (none && run(none, value, old, out).faults.length === 0)
      out.nowhere(`${JSON.stringify(out.place())} must not validate the schema (not)`)
  }
}

const isRight = ({ faults }: Findings): boolean => faults.length === 0

/** Of several failures, the one nearest to being right; the first of equals. */
const nearest = (failures: readonly Findings[]): Findings | undefined =>
  failures.reduce<Findings | undefined>((best, failure) => (!best || failure.matched > best.matched ? failure : best), undefined)

function anyOf(results: Iterable<Findings>, out: Findings): void {
  const failures: Findings[] = []
  for (const result of results) {
    if (isRight(result)) {
      out.merge(result)
      return
    }
    failures.push(result)
  }
  out.nowhere(`${JSON.stringify(out.place())} must validate at least one schema (anyOf)`)
  out.merge(nearest(failures)!)
}

function oneOf(results: readonly Findings[], out: Findings): void {
  const right = results.filter(isRight)
  if (right.length === 1) {
    out.merge(right[0]!)
    return
  }
  const found = right.length === 0 ? 'Found none valid' : `Found ${right.length} valid alternatives`
  out.nowhere(`${JSON.stringify(out.place())} must validate one and only one schema (oneOf). ${found}`)
  if (right.length === 0) out.merge(nearest(results)!)
}

function allOf(results: readonly Findings[], out: Findings): void {
  for (const result of results) out.merge(result)
  const right = results.filter(isRight).length
  if (right < results.length)
    out.nowhere(`${JSON.stringify(out.place())} must validate all the schemas (allOf)${right === 0 ? '. None validated' : ''}`)
}
