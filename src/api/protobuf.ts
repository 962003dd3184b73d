/**
 * The protobuf form of built-in objects, both ways, driven by the schema's field numbers: what client-go speaks by default. An
 * object is JSON to everyone else; this file knows the few types whose two forms differ (quantities, times, int-or-string, raw
 * JSON, the alternatives within a JSON schema) and what Go's JSON leaves out when it is empty.
 */
import { parseApiVersion, type Field, type GroupVersionKind, type TypeSchema } from './schema.ts'
import type { Json, KubeObject } from './object.ts'
import { ProtobufError, ProtobufReader } from './protobuf-reader.ts'
import { ProtobufWriter } from './protobuf-writer.ts'
import { schemaOf, schemaOfKind } from './schema-table.ts'
import { formatTime } from './time.ts'

export { ProtobufError } from './protobuf-reader.ts'

export const PROTOBUF_CONTENT_TYPE = 'application/vnd.kubernetes.protobuf'

/** Every protobuf document begins with these. */
const MAGIC = Uint8Array.of(0x6b, 0x38, 0x73, 0x00)
/** Messages within messages; JSON schemas are the deepest of them. */
const MAX_DEPTH = 500
/** What a Date can hold. */
const MAX_SECONDS = 8.64e12

type Value = Readonly<Record<string, unknown>>

/** The fields of a message by number, those of embedded structs in nodes of their own. */
interface Node {
  readonly fields: Map<number, Field>
  readonly embedded: Map<number, Node>
  /** Numbers of both, descending: the order of writing. */
  readonly order: number[]
}

const newNode = (): Node => ({ fields: new Map(), embedded: new Map(), order: [] })

const nodes = new WeakMap<TypeSchema, Node>()

function nodeOf(type: TypeSchema): Node {
  const known = nodes.get(type)
  if (known) return known
  const root = newNode()
  for (const field of type.fields.values()) {
    if (field.number === 0) continue
    let node = root
    for (const number of field.embedded ?? []) {
      const inner = node.embedded.get(number) ?? newNode()
      if (!node.embedded.has(number)) node.order.push(number)
      node.embedded.set(number, inner)
      node = inner
    }
    node.fields.set(field.number, field)
    node.order.push(field.number)
  }
  sortOrder(root)
  nodes.set(type, root)
  return root
}

function sortOrder(node: Node): void {
  node.order.sort((a, b) => b - a)
  for (const inner of node.embedded.values()) sortOrder(inner)
}

function typeOfField(field: Field): TypeSchema {
  const type = schemaOf(field.ref ?? '')
  if (!type) throw new ProtobufError(`no type ${field.ref}`)
  return type
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

// Writing

function writeNode(writer: ProtobufWriter, object: Value, node: Node): void {
  for (const number of node.order) {
    const field = node.fields.get(number)
    if (field) {
      const value = object[field.name]
      if (value !== undefined && value !== null) writeField(writer, number, value, field)
      continue
    }
    const before = writer.size
    const inner = node.embedded.get(number)
    if (inner) writeNode(writer, object, inner)
    if (writer.size > before) writer.delimit(number, before)
  }
}

function writeField(writer: ProtobufWriter, number: number, value: unknown, field: Field): void {
  switch (field.container) {
    case undefined:
      writeSingle(writer, number, value, field)
      break
    case 'list':
      writeList(writer, number, value as readonly unknown[], field)
      break
    case 'map':
    case 'mapOfLists':
      for (const [key, item] of Object.entries(value as Value).reverse()) {
        const before = writer.size
        if (field.container === 'map') writeSingle(writer, 2, item, field)
        else {
          const inner = writer.size
          writeList(writer, 1, item as readonly unknown[], field)
          writer.delimit(2, inner)
        }
        writeText(writer, 1, key)
        writer.delimit(number, before)
      }
  }
}

function writeList(writer: ProtobufWriter, number: number, items: readonly unknown[], field: Field): void {
  for (let index = items.length - 1; index >= 0; index--) writeSingle(writer, number, items[index], field)
}

function writeText(writer: ProtobufWriter, number: number, text: string): void {
  const before = writer.size
  writer.text(text)
  writer.delimit(number, before)
}

function writeInteger(writer: ProtobufWriter, number: number, value: number): void {
  writer.varint(value)
  writer.tag(number, 0)
}

/** A nested message whose fields `write` writes, last one first. */
function writeMessage(writer: ProtobufWriter, number: number, write: () => void): void {
  const before = writer.size
  write()
  writer.delimit(number, before)
}

function writeSingle(writer: ProtobufWriter, number: number, value: unknown, field: Field): void {
  switch (field.type) {
    case 'message':
      writeMessage(writer, number, () => writeNode(writer, (value ?? {}) as Value, nodeOf(typeOfField(field))))
      break
    case 'string':
    case 'duration':
      writeText(writer, number, value as string)
      break
    case 'int32':
    case 'int64':
      writeInteger(writer, number, value as number)
      break
    case 'boolean':
      writeInteger(writer, number, value ? 1 : 0)
      break
    case 'double':
      writer.double(value as number)
      writer.tag(number, 1)
      break
    case 'bytes':
      writeMessage(writer, number, () => writer.raw(Uint8Array.fromBase64(value as string)))
      break
    case 'quantity':
      writeMessage(writer, number, () => writeText(writer, 1, String(value)))
      break
    case 'time':
    case 'microTime':
      writeMessage(writer, number, () => writeTime(writer, value as string | null))
      break
    case 'intOrString':
      writeMessage(writer, number, () => {
        writeText(writer, 3, typeof value === 'string' ? value : '')
        writeInteger(writer, 2, typeof value === 'number' ? value : 0)
        writeInteger(writer, 1, typeof value === 'string' ? 1 : 0)
      })
      break
    case 'json':
      writeMessage(writer, number, () => writeJson(writer, value as Json, field.ref ?? ''))
  }
}

function writeTime(writer: ProtobufWriter, text: string | null): void {
  if (!text) return
  const milliseconds = Date.parse(text)
  const micros = Number((/\.(\d{1,6})/.exec(text)?.[1] ?? '').padEnd(6, '0'))
  writeInteger(writer, 2, micros * 1000)
  writeInteger(writer, 1, Math.floor(milliseconds / 1000))
}

const SCHEMA_PROPS = 'apiextensions/v1.JSONSchemaProps'

function writeSchema(writer: ProtobufWriter, number: number, value: Json): void {
  const type = schemaOf(SCHEMA_PROPS)
  if (type) writeMessage(writer, number, () => writeNode(writer, value as Value, nodeOf(type)))
}

function writeJson(writer: ProtobufWriter, value: Json, ref: string): void {
  const isObject = typeof value === 'object' && !Array.isArray(value)
  switch (ref) {
    case `${SCHEMA_PROPS}OrArray`:
      if (Array.isArray(value)) for (const item of value.toReversed()) writeSchema(writer, 2, item as Json)
      else writeSchema(writer, 1, value)
      break
    case `${SCHEMA_PROPS}OrBool`:
      if (isObject) writeSchema(writer, 2, value)
      writeInteger(writer, 1, value === false ? 0 : 1)
      break
    case `${SCHEMA_PROPS}OrStringArray`:
      if (Array.isArray(value)) for (const item of value.toReversed()) writeText(writer, 2, item as string)
      else writeSchema(writer, 1, value)
      break
    default:
      writeMessage(writer, 1, () => writer.raw(encoder.encode(JSON.stringify(value))))
  }
}

/** Kinds of meta/v1 that clients send under the group and version of the resource. */
const COMMON_KINDS = new Set(['DeleteOptions', 'CreateOptions', 'UpdateOptions', 'PatchOptions', 'GetOptions', 'ListOptions', 'Status', 'WatchEvent'])

function schemaFor(gvk: GroupVersionKind): TypeSchema | undefined {
  return schemaOfKind(gvk) ?? (COMMON_KINDS.has(gvk.kind) ? schemaOf(`meta/v1.${gvk.kind}`) : undefined)
}

const gvkOf = (apiVersion: string, kind: string): GroupVersionKind => ({ ...parseApiVersion(apiVersion), kind })

/** Whether a kind has a protobuf form: built-in kinds do, custom resources and Tables do not. */
export const hasProtobuf = (apiVersion: string, kind: string): boolean => schemaFor(gvkOf(apiVersion, kind)) !== undefined

/** An object with its apiVersion and kind as a protobuf document. Throws a ProtobufError for kinds that have none. */
export function encodeProtobuf(object: KubeObject): Uint8Array {
  const { apiVersion = '', kind = '' } = object
  const type = schemaFor(gvkOf(apiVersion, kind))
  if (!type) throw new ProtobufError(`no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in protobuf`)
  const writer = new ProtobufWriter()
  writeText(writer, 4, '')
  writeText(writer, 3, '')
  writeMessage(writer, 2, () => writeNode(writer, object, nodeOf(type)))
  writeMessage(writer, 1, () => {
    writeText(writer, 2, kind)
    writeText(writer, 1, apiVersion)
  })
  writer.raw(MAGIC)
  return writer.finish()
}

/** One event of a watch: its length in four bytes, then the event around the object's protobuf document. */
export function encodeProtobufWatchFrame(type: string, object: Uint8Array): Uint8Array {
  const writer = new ProtobufWriter()
  writeMessage(writer, 2, () => writeMessage(writer, 1, () => writer.raw(object)))
  writeText(writer, 1, type)
  const length = writer.size
  for (let shift = 0; shift < 32; shift += 8) writer.byte((length >>> shift) & 255)
  return writer.finish()
}

// Reading

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
    else if (Math.floor(tag / 8) === 2) value = field.container === 'mapOfLists' ? readItems(entry.message(), field, depth) : (readSingle(entry, field, depth) ?? null)
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
      return readTime(reader, (milliseconds, nanos) => formatTime(milliseconds).replace('Z', `.${String(Math.floor(nanos / 1000)).padStart(6, '0')}Z`))
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
  for (const message = reader.message(); !message.isDone; ) {
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
    if (!isAlternative && number === 1) value = readRaw(reader.bytes())
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
function readRaw(bytes: Uint8Array): Json {
  if (bytes.length === 0) return null
  if (isDocument(bytes)) return decodeProtobuf(bytes) as Json
  try {
    return JSON.parse(decoder.decode(bytes)) as Json
  } catch (cause) {
    throw new ProtobufError('proto: raw JSON cannot be parsed', { cause })
  }
}

/** The object of a protobuf document, with apiVersion and kind. Throws a ProtobufError. */
export function decodeProtobuf(bytes: Uint8Array): KubeObject {
  if (!isDocument(bytes)) throw new ProtobufError(`provided data does not appear to be a protobuf message, expected prefix [${[...MAGIC].join(' ')}]`)
  let apiVersion = ''
  let kind = ''
  let raw = new Uint8Array()
  for (const reader = new ProtobufReader(bytes, MAGIC.length); !reader.isDone; ) {
    const tag = reader.varint()
    if (tag === 10) {
      const typeMeta = numbered(new ProtobufReader(bytes, reader.position))
      reader.skip(2)
      apiVersion = typeMeta.get(1)?.text ?? ''
      kind = typeMeta.get(2)?.text ?? ''
    } else if (tag === 18) raw = new Uint8Array(reader.bytes())
    else reader.skip(tag % 8)
  }
  const type = schemaFor(gvkOf(apiVersion, kind))
  if (!type) throw new ProtobufError(`no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)}`)
  const target: Record<string, unknown> = { kind, apiVersion }
  readNode(new ProtobufReader(raw), nodeOf(type), target, 0)
  return target as KubeObject
}
