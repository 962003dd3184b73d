/** Built-in objects to protobuf documents, as upstream's own code writes them: what client-go asks for by default. */
import type { Json, KubeObject } from './object.ts'
import { gvkOf, MAGIC, nodeOf, SCHEMA_PROPS, schemaFor, typeOfField, type Node } from './protobuf-layout.ts'
import { ProtobufError } from './protobuf-reader.ts'
import { ProtobufWriter } from './protobuf-writer.ts'
import type { Field } from './schema.ts'
import { schemaOf } from './schema-table.ts'

type Value = Readonly<Record<string, unknown>>

const encoder = new TextEncoder()

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
      for (const [key, item] of Object.entries(value as Value).toReversed()) {
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

function nodeFor({ apiVersion = '', kind = '' }: KubeObject): Node {
  const type = schemaFor(gvkOf(apiVersion, kind))
  if (!type) throw new ProtobufError(`no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in protobuf`)
  return nodeOf(type)
}

/** An object with its apiVersion and kind as a protobuf document. Throws a ProtobufError for kinds that have none. */
export function encodeProtobuf(object: KubeObject): Uint8Array {
  const { apiVersion = '', kind = '' } = object
  const node = nodeFor(object)
  const writer = new ProtobufWriter()
  writeText(writer, 4, '')
  writeText(writer, 3, '')
  writeMessage(writer, 2, () => writeNode(writer, object, node))
  writeMessage(writer, 1, () => {
    writeText(writer, 2, kind)
    writeText(writer, 1, apiVersion)
  })
  writer.raw(MAGIC)
  return writer.finish()
}

/** The field of every list that holds its objects, and that of the document that holds the list. */
const ITEMS = 2
const RAW = 2

/** An object as it stands in a list, between what encodeProtobufListHead writes and PROTOBUF_LIST_END. */
export function encodeProtobufItem(object: KubeObject): Uint8Array {
  const writer = new ProtobufWriter()
  const node = nodeFor(object)
  writeMessage(writer, ITEMS, () => writeNode(writer, object, node))
  return writer.finish()
}

/** What comes before the objects of a list, which take so many bytes together. */
export function encodeProtobufListHead(list: Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'>, itemsBytes: number): Uint8Array {
  const { apiVersion = '', kind = '', metadata } = list
  const writer = new ProtobufWriter()
  writeNode(writer, { metadata }, nodeFor(list))
  writer.varint(writer.size + itemsBytes)
  writer.tag(RAW, 2)
  writeMessage(writer, 1, () => {
    writeText(writer, 2, kind)
    writeText(writer, 1, apiVersion)
  })
  writer.raw(MAGIC)
  return writer.finish()
}

/** The empty contentEncoding and contentType of the document. */
export const PROTOBUF_LIST_END = Uint8Array.of(0x1a, 0, 0x22, 0)

/** One event of a watch: its length in four bytes, then the event around the object's protobuf document. */
export function encodeProtobufWatchFrame(type: string, object: Uint8Array): Uint8Array {
  const writer = new ProtobufWriter()
  writeMessage(writer, 2, () => writeMessage(writer, 1, () => writer.raw(object)))
  writeText(writer, 1, type)
  const length = writer.size
  for (let shift = 0; shift < 32; shift += 8) writer.byte((length >>> shift) & 255)
  return writer.finish()
}
