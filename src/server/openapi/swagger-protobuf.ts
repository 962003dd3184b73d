/**
 * Swagger 2.0 in protobuf, the form that kubectl checks manifests by (github.com/google/gnostic, openapiv2/OpenAPIv2.proto): its
 * messages as a table of what a JSON document may hold. Maps are lists of named values; whatever has no type of its own is YAML text.
 */
import { ProtobufWriter } from '../../api/protobuf-writer.ts'
import { assert } from '../../base/assert.ts'
import type { OpenApiObject } from './schema-writer.ts'

/** Writes one field. The writer goes from the last byte to the first. */
type Encode = (writer: ProtobufWriter, field: number, value: unknown) => void

const delimited =
  (write: (writer: ProtobufWriter, value: unknown) => void): Encode =>
  (writer, field, value) => {
    const before = writer.size
    write(writer, value)
    writer.delimit(field, before)
  }

const text = delimited((writer, value) => writer.text(value as string))
const flag: Encode = (writer, field, value) => {
  if (!value) return
  writer.byte(1)
  writer.tag(field, VARINT)
}
const integer: Encode = (writer, field, value) => {
  writer.varint(value as number)
  writer.tag(field, VARINT)
}
const double: Encode = (writer, field, value) => {
  writer.double(value as number)
  writer.tag(field, FIXED_64)
}
const VARINT = 0
const FIXED_64 = 1

const many =
  (encode: Encode): Encode =>
  (writer, field, value) => {
    for (const item of (value as readonly unknown[]).toReversed()) encode(writer, field, item)
  }

/** A message that holds nothing but this field. */
const within = (inner: number, encode: Encode): Encode => delimited((writer, value) => encode(writer, inner, value))

/** The entries of a map, each a message of name and value. */
const named =
  (encode: Encode): Encode =>
  (writer, field, value) => {
    for (const [name, item] of Object.entries(value as OpenApiObject).toReversed()) {
      delimited((entry) => {
        encode(entry, 2, item)
        text(entry, 1, name)
      })(writer, field, undefined)
    }
  }

const any = delimited((writer, value) => text(writer, 2, JSON.stringify(value)))

type Fields = Readonly<Record<string, readonly [field: number, encode: Encode]>>

/** `extensions` is where what begins with "x-" goes. */
const message = (fields: () => Fields, extensions?: number): Encode =>
  delimited((writer, value) => {
    const known = fields()
    for (const [name, item] of Object.entries(value as OpenApiObject).toReversed()) {
      if (item === undefined) continue
      if (extensions !== undefined && name.startsWith('x-')) named(any)(writer, extensions, { [name]: item })
      else {
        const entry = known[name]
        assert(entry, `Swagger's protobuf form has no field ${name}`)
        entry[1](writer, entry[0], item)
      }
    }
  })

const schema: Encode = message(() => SCHEMA, 31)

const SCHEMA: Fields = {
  $ref: [1, text],
  format: [2, text],
  title: [3, text],
  description: [4, text],
  default: [5, any],
  multipleOf: [6, double],
  maximum: [7, double],
  exclusiveMaximum: [8, flag],
  minimum: [9, double],
  exclusiveMinimum: [10, flag],
  maxLength: [11, integer],
  minLength: [12, integer],
  pattern: [13, text],
  maxItems: [14, integer],
  minItems: [15, integer],
  uniqueItems: [16, flag],
  maxProperties: [17, integer],
  minProperties: [18, integer],
  required: [19, many(text)],
  enum: [20, many(any)],
  additionalProperties: [
    21,
    (writer, field, value) => within(typeof value === 'boolean' ? 2 : 1, typeof value === 'boolean' ? flag : schema)(writer, field, value),
  ],
  type: [22, within(1, text)],
  items: [23, within(1, schema)],
  allOf: [24, many(schema)],
  properties: [25, within(1, named(schema))],
  externalDocs: [29, message(() => ({ description: [1, text], url: [2, text] }))],
  example: [30, any],
}

const body = message(() => ({ description: [1, text], name: [2, text], in: [3, text], required: [4, flag], schema: [5, schema] }))
const query = message(() => ({
  required: [1, flag],
  in: [2, text],
  description: [3, text],
  name: [4, text],
  type: [6, text],
  uniqueItems: [20, flag],
}))
const path = message(() => ({
  required: [1, flag],
  in: [2, text],
  description: [3, text],
  name: [4, text],
  type: [5, text],
  uniqueItems: [19, flag],
}))

/** One of body, query and path parameters: each a choice within a choice. */
const parameter: Encode = (writer, field, value) => {
  const place = (value as { readonly in: string }).in
  const inner = place === 'body' ? within(1, body) : within(2, place === 'path' ? within(4, path) : within(3, query))
  within(1, inner)(writer, field, value)
}

const response = message(() => ({ description: [1, text], schema: [2, within(1, schema)] }), 5)

const operation = message(
  () => ({
    tags: [1, many(text)],
    summary: [2, text],
    description: [3, text],
    operationId: [5, text],
    produces: [6, many(text)],
    consumes: [7, many(text)],
    parameters: [8, many(parameter)],
    responses: [9, within(1, named(within(1, response)))],
    schemes: [10, many(text)],
    deprecated: [11, flag],
  }),
  13,
)

const pathItem = message(
  () => ({
    get: [2, operation],
    put: [3, operation],
    post: [4, operation],
    delete: [5, operation],
    options: [6, operation],
    head: [7, operation],
    patch: [8, operation],
    parameters: [9, many(parameter)],
  }),
  10,
)

const apiKey = message(() => ({ type: [1, text], name: [2, text], in: [3, text], description: [4, text] }))

const DOCUMENT: Fields = {
  swagger: [1, text],
  info: [2, message(() => ({ title: [1, text], version: [2, text], description: [3, text] }))],
  paths: [8, within(2, named(pathItem))],
  definitions: [9, within(1, named(schema))],
  security: [12, many(within(1, named(within(1, many(text)))))],
  securityDefinitions: [13, within(1, named(within(2, apiKey)))],
}

export function swaggerProtobuf(document: OpenApiObject): Uint8Array {
  const writer = new ProtobufWriter()
  for (const [name, value] of Object.entries(document).toReversed()) {
    const entry = DOCUMENT[name]
    assert(entry, `Swagger's protobuf form has no field ${name}`)
    entry[1](writer, entry[0], value)
  }
  return writer.finish()
}
