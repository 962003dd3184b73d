/**
 * Protobuf documents to built-in objects. What Go's JSON would leave out when it is empty is left out here too, so that an object is
 * the same whichever way it came.
 */
import { parseJson } from './json.ts'
import type { Json, KubeObject } from './object.ts'
import { gvkOf, MAGIC, nodeOf, SCHEMA_PROPS, schemaFor, typeOfField, type Node } from './protobuf-layout.ts'
import { ProtobufError, ProtobufReader } from './protobuf-reader.ts'
import type { Field } from './schema.ts'
import { schemaOf } from './schema-table.ts'
import { formatTime } from './time.ts'

/** Messages within messages; JSON schemas are the deepest of them. */
const MAX_DEPTH = 500
/** What a Date can hold. */
const MAX_SECONDS = 8.64e12

/** A value that Go's JSON leaves out: zero, and no pointer to one. */
function isLeftOut(value: unknown, field: Field): boolean {
  if (value === undefined) return true
  if (field.isPointer || field.isAlwaysWritten) return false
  if (field.type === 'message') return Object.keys(value as object).length === 0
  return value === '' || value === 0 || value === false
}

function readNode(reader: ProtobufReader, node: Node, target: Record<string, unknown>, depth: number): void {
  if (depth > MAX_DEPTH) throw new ProtobufError('proto: nested too deeply')
  while (!reader.isDone) {
    const tag = reader.varint()
    const [number, wireType] = [Math.floor(tag / 8), tag % 8]
    const field = node.fields.get(number)
    const inner = node.embedded.get(number)
    if (field) readField(reader, wireType, field, target, depth)
    else if (inner && wireType === 2) readNode(reader.message(), inner, target, depth + 1)
    else reader.skip(wireType)
  }
}

function readField(reader: ProtobufReader, wireType: number, field: Field, target: Record<string, unknown>, depth: number): void {
  if (wireType !== wireTypeOf(field)) {
    if (wireType !== 2 || field.container !== 'list') throw new ProtobufError(`proto: wrong wireType = ${wireType} for field ${field.name}`)
    const packed = reader.message()
    const items = (target[field.name] ??= []) as unknown[]
    while (!packed.isDone) items.push(readSingle(packed, field, depth))
    return
  }
  switch (field.container) {
    case undefined: {
      const value = readSingle(reader, field, depth)
      if (!isLeftOut(value, field)) target[field.name] = value
      break
    }
    case 'list':
      ;((target[field.name] ??= []) as unknown[]).push(readSingle(reader, field, depth))
      break
    case 'map':
    case 'mapOfLists':
      readEntry(reader.message(), field, (target[field.name] ??= {}) as Record<string, unknown>, depth)
  }
}

function wireTypeOf(field: Field): number {
  if (field.container === 'map' || field.container === 'mapOfLists') return 2
  switch (field.type) {
    case 'int32':
    case 'int64':
    case 'boolean':
      return 0
    case 'double':
      return 1
    default:
      return 2
  }
}

function readEntry(entry: ProtobufReader, field: Field, map: Record<string, unknown>, depth: number): void {
  let key = ''
  let value: unknown = field.container === 'mapOfLists' ? [] : emptyOf(field)
  while (!entry.isDone) {
    const tag = entry.varint()
    if (tag === 10) key = entry.text()
    else if (Math.floor(tag / 8) === 2)
      value = field.container === 'mapOfLists' ? readItems(entry.message(), field, depth) : (readSingle(entry, field, depth) ?? null)
    else entry.skip(tag % 8)
  }
  Object.defineProperty(map, key, { value, enumerable: true, writable: true, configurable: true })
}

function readItems(reader: ProtobufReader, field: Field, depth: number): unknown[] {
  const items: unknown[] = []
  while (!reader.isDone) {
    const tag = reader.varint()
    if (Math.floor(tag / 8) === 1) items.push(readSingle(reader, field, depth))
    else reader.skip(tag % 8)
  }
  return items
}

/** What an entry without a value holds. */
const emptyOf = (field: Field): unknown => ({ message: {}, quantity: '0', boolean: false, int32: 0, int64: 0 })[field.type as string] ?? ''

function readSingle(reader: ProtobufReader, field: Field, depth: number): unknown {
  switch (field.type) {
    case 'message': {
      const target: Record<string, unknown> = {}
      readNode(reader.message(), nodeOf(typeOfField(field)), target, depth + 1)
      return target
    }
    case 'string':
    case 'duration':
      return reader.text()
    case 'int32':
    case 'int64':
      return reader.varint()
    case 'boolean':
      return reader.varint() !== 0
    case 'double':
      return reader.double()
    case 'bytes':
      return reader.bytes().toBase64()
    case 'quantity':
      return numbered(reader).get(1)?.text || '0'
    case 'time':
      return readTime(reader, formatTime)
    case 'microTime':
      return readTime(reader, (milliseconds, nanos) =>
        formatTime(milliseconds).replace('Z', `.${String(Math.floor(nanos / 1000)).padStart(6, '0')}Z`),
      )
    case 'intOrString': {
      const parts = numbered(reader)
      return parts.get(1)?.number === 1 ? (parts.get(3)?.text ?? '') : (parts.get(2)?.number ?? 0)
    }
    case 'json':
      return readJson(reader.message(), field.ref ?? '', depth + 1)
  }
}

/** The fields of a small message of numbers and strings. */
function numbered(reader: ProtobufReader): Map<number, { readonly text?: string; readonly number?: number }> {
  const parts = new Map<number, { text?: string; number?: number }>()
  for (const message = reader.message(); !message.isDone;) {
    const tag = message.varint()
    if (tag % 8 === 2) parts.set(Math.floor(tag / 8), { text: message.text() })
    else if (tag % 8 === 0) parts.set(Math.floor(tag / 8), { number: message.varint() })
    else message.skip(tag % 8)
  }
  return parts
}

function readTime(reader: ProtobufReader, format: (milliseconds: number, nanos: number) => string): string | undefined {
  const parts = numbered(reader)
  const seconds = parts.get(1)?.number
  // The zero time is an empty message.
  if (seconds !== undefined && Math.abs(seconds) > MAX_SECONDS) throw new ProtobufError('proto: a time out of range')
  return seconds === undefined ? undefined : format(seconds * 1000, parts.get(2)?.number ?? 0)
}

function readSchema(reader: ProtobufReader, depth: number): Json {
  const target: Record<string, unknown> = {}
  const type = schemaOf(SCHEMA_PROPS)
  if (type) readNode(reader.message(), nodeOf(type), target, depth)
  return target as Json
}

function readJson(reader: ProtobufReader, ref: string, depth: number): Json {
  const isOrBool = ref === `${SCHEMA_PROPS}OrBool`
  const isAlternative = ref.startsWith(`${SCHEMA_PROPS}Or`)
  let value: Json = isOrBool ? false : null
  while (!reader.isDone) {
    const tag = reader.varint()
    const number = Math.floor(tag / 8)
    if (!isAlternative && number === 1) value = readRaw(reader.bytes(), depth)
    else if (isOrBool && number === 1) value = reader.varint() !== 0
    else if (isAlternative && number === (isOrBool ? 2 : 1)) value = readSchema(reader, depth)
    else if (isAlternative && number === 2) {
      const item = ref.endsWith('OrStringArray') ? reader.text() : readSchema(reader, depth)
      value = Array.isArray(value) ? [...value, item] : [item]
    } else reader.skip(tag % 8)
  }
  return value
}

const isDocument = (bytes: Uint8Array): boolean => MAGIC.every((byte, index) => bytes[index] === byte)

/** The content of a RawExtension: JSON, or a protobuf document of its own. */
function readRaw(bytes: Uint8Array, depth: number): Json {
  if (bytes.length === 0) return null
  if (isDocument(bytes)) return readDocument(bytes, depth)
  try {
    return parseJson(bytes).value
  } catch (cause) {
    throw new ProtobufError('proto: raw JSON cannot be parsed', { cause })
  }
}

function readDocument(bytes: Uint8Array, depth: number): KubeObject {
  let apiVersion = ''
  let kind = ''
  let raw: Uint8Array = new Uint8Array()
  const reader = new ProtobufReader(bytes, MAGIC.length)
  while (!reader.isDone) {
    const tag = reader.varint()
    if (tag === 10) {
      const typeMeta = numbered(reader)
      apiVersion = typeMeta.get(1)?.text ?? ''
      kind = typeMeta.get(2)?.text ?? ''
    } else if (tag === 18) raw = reader.bytes()
    else reader.skip(tag % 8)
  }
  const type = schemaFor(gvkOf(apiVersion, kind))
  if (!type) throw new ProtobufError(`no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)}`)
  const target: Record<string, unknown> = { kind, apiVersion }
  readNode(new ProtobufReader(raw), nodeOf(type), target, depth)
  return target
}

/** The object of a protobuf document, with apiVersion and kind. Throws a ProtobufError. */
export function decodeProtobuf(bytes: Uint8Array): KubeObject {
  if (isDocument(bytes)) return readDocument(bytes, 0)
  throw new ProtobufError(`provided data does not appear to be a protobuf message, expected prefix [${[...MAGIC].join(' ')}]`)
}
