/**
 * How built-in types lie in protobuf, from the schema's field numbers: what the encoder and the decoder share. An object is JSON to
 * everyone else; only these files know the types whose two forms differ.
 */
import { ProtobufError } from './protobuf-reader.ts'
import { parseApiVersion, type Field, type GroupVersionKind, type TypeSchema } from './schema.ts'
import { schemaOf, schemaOfKind } from './schema-table.ts'

/** Every protobuf document begins with these. */
export const MAGIC = Uint8Array.of(0x6b, 0x38, 0x73, 0x00)

/** The type within which JSON schemas nest; its alternatives have names that begin with it. */
export const SCHEMA_PROPS = 'apiextensions/v1.JSONSchemaProps'

/** The fields of a message by number, those of embedded structs in nodes of their own. */
export interface Node {
  readonly fields: Map<number, Field>
  readonly embedded: Map<number, Node>
  /** Numbers of both, descending: the order of writing. */
  readonly order: number[]
}

const newNode = (): Node => ({ fields: new Map(), embedded: new Map(), order: [] })

const nodes = new WeakMap<TypeSchema, Node>()

export function nodeOf(type: TypeSchema): Node {
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

export function typeOfField(field: Field): TypeSchema {
  const type = schemaOf(field.ref ?? '')
  if (!type) throw new ProtobufError(`no type ${field.ref}`)
  return type
}

/** Kinds of meta/v1 that clients send under the group and version of the resource. */
const COMMON_KINDS = new Set([
  'DeleteOptions',
  'CreateOptions',
  'UpdateOptions',
  'PatchOptions',
  'GetOptions',
  'ListOptions',
  'Status',
  'WatchEvent',
])

export function schemaFor(gvk: GroupVersionKind): TypeSchema | undefined {
  return schemaOfKind(gvk) ?? (COMMON_KINDS.has(gvk.kind) ? schemaOf(`meta/v1.${gvk.kind}`) : undefined)
}

export const gvkOf = (apiVersion: string, kind: string): GroupVersionKind => ({ ...parseApiVersion(apiVersion), kind })

/** Whether a kind has a protobuf form: built-in kinds do, custom resources and Tables do not. */
export const hasProtobuf = (apiVersion: string, kind: string): boolean => schemaFor(gvkOf(apiVersion, kind)) !== undefined
