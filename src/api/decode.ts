/**
 * JSON values to objects of the API, driven by the schema: types are checked with the errors of Go's decoder, unknown fields are
 * dropped and told, null and the zeros that Go leaves out are absent, quantities and times take their canonical form. What needs no
 * change is shared, not copied.
 */
import type { Field, TypeSchema } from './schema.ts'
import type { Json, KubeObject } from './object.ts'
import { noteEmpty } from './given-empty.ts'
import { canonicalQuantity } from './quantity.ts'
import { builtInSchemas, type Schemas } from './schema-table.ts'
import { canonicalMicroTime, canonicalTime } from './time.ts'

/** A value that its type cannot hold; the message is Go's: "json: cannot unmarshal string into Go struct field ...". */
export class DecodeError extends Error {
  override readonly name = 'DecodeError'
  /** What did not fit: the JSON kind of the value, and the Go type that it met. */
  readonly mismatch: { readonly value: string; readonly type: string } | undefined

  constructor(message: string, options: ErrorOptions & { readonly mismatch?: DecodeError['mismatch'] } = {}) {
    super(message, options)
    this.mismatch = options.mismatch
  }
}

const GO_KINDS: Readonly<Record<string, string>> = { array: 'slice', object: 'map', number: 'int64' }

/** The same in the words of the converter that upstream's strategic merges end in (runtime.FromUnstructured): without the place. */
export function conversionFault({ message, mismatch }: DecodeError): string {
  if (!mismatch) return message
  const [value = ''] = mismatch.value.split(' ')
  const kind = GO_KINDS[value] ?? value
  const { type } = mismatch
  if (type.startsWith('map[') || type.endsWith('ResourceList')) return `cannot restore map from ${kind}`
  if (type.startsWith('[]')) return `cannot restore slice from ${kind}`
  if (type.includes('.')) return `cannot restore struct from: ${kind}`
  if (value === 'number' && type !== 'bool') return `cannot convert ${kind} to ${type}`
  return `unrecognized type: ${type}`
}

export interface Decoded {
  readonly object: KubeObject
  /** Paths of fields that the type does not have: "spec.containers[0].imag". */
  readonly unknown: readonly string[]
}

/** Unknown fields beyond this are dropped without being told. */
const MAX_UNKNOWN = 100

type JsonObject = Readonly<Record<string, Json | undefined>>

const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

function set(target: Record<string, unknown>, key: string, value: unknown): void {
  // A plain assignment would change the prototype.
  if (key === '__proto__') Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true })
  else target[key] = value
}

function copyOf(source: JsonObject, keys: readonly string[], count: number): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  for (let index = 0; index < count; index++) set(copy, keys[index] ?? '', source[keys[index] ?? ''])
  return copy
}

const goName = (typeName: string): string => typeName.slice(typeName.lastIndexOf('.') + 1)

/** "core/v1.PodSpec" -> "v1.PodSpec" */
const goTypeName = (typeName: string): string => typeName.slice(typeName.lastIndexOf('/') + 1)

const GO_SCALARS: Readonly<Record<string, string>> = {
  string: 'string',
  int32: 'int32',
  int64: 'int64',
  double: 'float64',
  boolean: 'bool',
  bytes: '[]uint8',
  time: 'string',
  microTime: 'string',
  duration: 'string',
  quantity: 'resource.Quantity',
  intOrString: 'int32',
}

function goElementType({ type, ref = '' }: Field): string {
  return ref ? goTypeName(ref) : (GO_SCALARS[type] ?? 'interface {}')
}

function goType(field: Field): string {
  // Go names the one map of quantities that the API has.
  if (field.container === 'map' && field.type === 'quantity') return 'v1.ResourceList'
  const prefix = { list: '[]', map: 'map[string]', mapOfLists: 'map[string][]' }
  return `${field.container ? prefix[field.container] : ''}${goElementType(field)}`
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  return typeof value === 'boolean' ? 'bool' : typeof value
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** The byte at which base64 breaks, as Go names it. */
function base64Fault(text: string): number | undefined {
  if (BASE64.test(text)) return undefined
  return /[^A-Za-z0-9+/]/.exec(text)?.index ?? text.length - (text.length % 4)
}

class Decoder {
  readonly unknown: string[] = []
  readonly #schemas: Schemas
  readonly #dropsDisabled: boolean
  /** Where the reader is: names, indexes and keys. */
  readonly #path: (string | number)[] = []
  /** The same in names of Go's fields alone, as its errors have it. */
  readonly #fields: string[] = []
  #struct = ''
  /** The first mismatch. As Go's decoder does, reading goes on: what a type's own reader refuses is told before it. */
  fault: DecodeError | undefined

  constructor(schemas: Schemas, dropsDisabled: boolean) {
    this.#schemas = schemas
    this.#dropsDisabled = dropsDisabled
  }

  message(value: Json, type: TypeSchema): JsonObject | undefined {
    if (!isObject(value)) return this.#mismatch(describe(value), goTypeName(type.name))
    const keys = Object.keys(value)
    const outer = this.#struct
    let copy: Record<string, unknown> | undefined
    for (let index = 0; index < keys.length; index++) {
      const key = keys[index] ?? ''
      const given = value[key]
      const field = type.fields.get(key)
      this.#struct = type.name
      const decoded = field ? this.#field(given, field) : this.#unknown(key)
      if (decoded === given) {
        if (copy && decoded !== undefined) set(copy, key, decoded)
        continue
      }
      copy ??= copyOf(value, keys, index)
      if (decoded !== undefined) set(copy, key, decoded)
      else if (field?.container && typeof given === 'object' && given && isEmpty(given)) noteEmpty(copy, key, given)
    }
    this.#struct = outer
    return (copy as JsonObject | undefined) ?? value
  }

  #unknown(key: string): undefined {
    if (this.unknown.length >= MAX_UNKNOWN) return
    this.#path.push(key)
    this.unknown.push(this.#pathText())
    this.#path.pop()
  }

  #pathText(): string {
    return this.#path.reduce<string>((text, part) => (typeof part === 'number' ? `${text}[${part}]` : text ? `${text}.${part}` : part), '')
  }

  #mismatch(value: string, type: string): undefined {
    this.fault ??= this.#mismatchError(value, type)
  }

  #mismatchError(value: string, type: string): DecodeError {
    const target = this.#fields.length > 0 ? `Go struct field ${goName(this.#struct)}.${this.#fields.join('.')}` : 'Go value'
    return new DecodeError(`json: cannot unmarshal ${value} into ${target} of type ${type}`, { mismatch: { value, type } })
  }

  #field(value: Json | undefined, field: Field): unknown {
    if (value === null || value === undefined) return undefined
    this.#path.push(field.name)
    this.#fields.push(field.name)
    const decoded = this.#contained(value, field)
    this.#path.pop()
    this.#fields.pop()
    return (this.#dropsDisabled && field.isDisabled) || isLeftOut(decoded, field) ? undefined : decoded
  }

  #contained(value: Json, field: Field): unknown {
    switch (field.container) {
      case undefined:
        return this.#single(value, field)
      case 'list':
        return this.#list(value, field)
      case 'map':
        return this.#map(value, field, (item) => (item === null ? zeroOf(field) : this.#single(item, field)))
      case 'mapOfLists':
        return this.#map(value, field, (item) => (item === null ? [] : this.#list(item, field)))
    }
  }

  #list(value: Json, field: Field): unknown {
    if (!Array.isArray(value)) return this.#mismatch(describe(value), `[]${goElementType(field)}`)
    const items = value as readonly Json[]
    let copy: unknown[] | undefined
    for (let index = 0; index < items.length; index++) {
      const item = items[index] ?? null
      this.#path.push(index)
      const decoded = item === null ? zeroOf(field) : this.#single(item, field)
      this.#path.pop()
      if (copy) copy.push(decoded)
      else if (decoded !== item) copy = [...items.slice(0, index), decoded]
    }
    return copy ?? items
  }

  #map(value: Json, field: Field, decode: (item: Json) => unknown): unknown {
    if (!isObject(value)) return this.#mismatch(describe(value), goType(field))
    const keys = Object.keys(value)
    let copy: Record<string, unknown> | undefined
    for (let index = 0; index < keys.length; index++) {
      const key = keys[index] ?? ''
      const item = value[key] ?? null
      this.#path.push(key)
      const decoded = decode(item)
      this.#path.pop()
      if (decoded !== item) copy ??= copyOf(value, keys, index)
      if (copy) set(copy, key, decoded)
    }
    return copy ?? value
  }

  #single(value: Json, field: Field): unknown {
    switch (field.type) {
      case 'message': {
        const type = this.#schemas.schemaOf(field.ref ?? '')
        return type ? this.message(value, type) : value
      }
      case 'json':
        return value
      case 'string':
      case 'duration':
        return this.#string(value, field)
      case 'boolean':
        return typeof value === 'boolean' ? value : this.#mismatch(describe(value), 'bool')
      case 'double':
        return typeof value === 'number' ? value : this.#mismatch(describe(value), 'float64')
      case 'int32':
        return this.#integer(value, field, 2 ** 31)
      case 'int64':
        return this.#integer(value, field, 2 ** 63)
      case 'intOrString':
        return typeof value === 'string' ? value : this.#refuseMismatch(this.#integer(value, field, 2 ** 31), value)
      case 'bytes':
        return this.#bytes(this.#string(value, field))
      case 'quantity':
        return canonical(canonicalQuantity, (typeof value === 'string' ? value : JSON.stringify(value)).trim())
      case 'time':
      case 'microTime':
        if (typeof value !== 'string') throw this.#mismatchError(describe(value), 'string')
        return canonical(field.type === 'time' ? canonicalTime : canonicalMicroTime, value)
    }
  }

  /** Int-or-string has a reader of its own, whose fault is told at once. */
  #refuseMismatch(result: number | undefined, value: Json): number {
    if (result !== undefined) return result
    throw this.#mismatchError(typeof value === 'number' ? `number ${value}` : describe(value), 'int32')
  }

  #string(value: Json, field: Field): string | undefined {
    return typeof value === 'string' ? value : this.#mismatch(describe(value), goElementType(field))
  }

  #bytes(text: string | undefined): string | undefined {
    const at = text === undefined ? undefined : base64Fault(text)
    if (at !== undefined) this.fault ??= new DecodeError(`illegal base64 data at input byte ${at}`)
    return text
  }

  #integer(value: Json, field: Field, limit: number): number | undefined {
    if (typeof value !== 'number') return this.#mismatch(describe(value), goElementType(field))
    if (Number.isInteger(value) && value < limit && value >= -limit) return value
    return this.#mismatch(`number ${value}`, goElementType(field))
  }
}

function canonical(convert: (text: string) => string, text: string): string {
  try {
    return convert(text)
  } catch (cause) {
    if (cause instanceof RangeError) throw new DecodeError(cause.message, { cause })
    throw cause
  }
}

/** What Go's JSON leaves out again: a zero that no pointer holds, an empty list or map. */
function isLeftOut(value: unknown, field: Field): boolean {
  if (field.isPointer || field.isAlwaysWritten || field.isEmptyKept) return false
  // An empty list of owners is an order to forget them.
  if (field.container === 'list') return (value as readonly unknown[] | undefined)?.length === 0 && field.name !== 'managedFields'
  if (field.container) return value !== undefined && isEmpty(value as object)
  if (field.isNullWritten) return false
  return value === '' || value === 0 || value === false
}

function isEmpty(value: object): boolean {
  for (const _key in value) return false
  return true
}

/** What a null within a list or map becomes. */
function zeroOf({ type }: Field): unknown {
  switch (type) {
    case 'message':
      return {}
    case 'boolean':
      return false
    case 'int32':
    case 'int64':
    case 'double':
    case 'intOrString':
      return 0
    case 'quantity':
      return '0'
    case 'json':
    case 'time':
    case 'microTime':
      return null
    default:
      return ''
  }
}

export interface DecodeOptions {
  readonly schemas?: Schemas
  /** Whether fields of features that are off are dropped, as a server does with what clients send. */
  readonly dropsDisabled?: boolean
}

/** Decodes a JSON value as an object of a type. Throws a DecodeError. */
export function decodeObject(
  value: Json,
  type: TypeSchema,
  { schemas = builtInSchemas, dropsDisabled = false }: DecodeOptions = {},
): Decoded {
  const decoder = new Decoder(schemas, dropsDisabled)
  const object = decoder.message(value, type) as KubeObject
  if (decoder.fault) throw decoder.fault
  return { object, unknown: decoder.unknown }
}

/**
 * The faults that strict field validation tells: fields given twice and fields that are not known, once each. Those of JSON come in
 * the order of the text (`positions`); YAML's reader finds the former before anything is known of the latter.
 */
export function strictFaults(
  unknown: readonly string[],
  duplicates: readonly string[],
  positions?: ReadonlyMap<string, number>,
): readonly string[] {
  const isWithinUnknown = (path: string): boolean =>
    unknown.some((other) => path === other || path.startsWith(`${other}.`) || path.startsWith(`${other}[`))
  const repeated = duplicates.filter((path) => !isWithinUnknown(path))
  const faults = [...repetitions(repeated), ...unknown.map((path) => ({ path, text: `unknown field ${JSON.stringify(path)}` }))]
  const position = ({ path }: { readonly path: string }): number => positions?.get(path) ?? Infinity
  // An unknown place compares as equal: such faults stay behind the others in the order given.
  const ordered = positions ? faults.toSorted((a, b) => (position(a) === position(b) ? 0 : position(a) - position(b))) : faults
  return ordered.map(({ text }) => text)
}

const isLine = (fault: string): boolean => fault.startsWith('line ')

/** Fields given twice: JSON's by path, YAML's in the words of its reader. */
export function repetitions(duplicates: readonly string[]): readonly { readonly path: string; readonly text: string }[] {
  return duplicates.map((path) => ({ path, text: isLine(path) ? path : `duplicate field ${JSON.stringify(path)}` }))
}

/** Upstream's text for all of them: what `fieldValidation=Strict` answers. */
export function strictDecodingMessage(faults: readonly string[]): string {
  const lines = faults.filter(isLine)
  const others = faults.filter((fault) => !isLine(fault))
  const yaml = lines.length > 0 ? [`yaml: unmarshal errors:\n  ${lines.join('\n  ')}`] : []
  return `strict decoding error: ${[...yaml, ...others].join(', ')}`
}
