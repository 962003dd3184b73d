/**
 * The schema of the built-in API, out of the generated table. The text of a type is read when the type is first asked for: a
 * start must not pay for 900 types of which it uses a few. tools/generate/table.ts writes this encoding and describes it.
 */
import table from './generated/schema.json' with { type: 'json' }
import { DISABLED_FIELDS } from './disabled-fields.ts'
import { kindNameOf, parseKindName, type Field, type FieldType, type GroupVersionKind, type TypeSchema } from './schema.ts'

/** Where types are looked up: the built-in ones, and those of custom resources on top of them. */
export interface Schemas {
  /** By name, "core/v1.Pod". */
  schemaOf(typeName: string): TypeSchema | undefined
  schemaOfKind(gvk: GroupVersionKind): TypeSchema | undefined
}

const types: Readonly<Record<string, string>> = table.types
const kinds: Readonly<Record<string, string>> = table.kinds
const packages: Readonly<Record<string, string>> = table.packages
const irregular: Readonly<Record<string, string>> = table.irregular

const LETTERS: Readonly<Record<string, FieldType>> = {
  s: 'string',
  i: 'int32',
  l: 'int64',
  d: 'double',
  b: 'boolean',
  y: 'bytes',
  t: 'time',
  u: 'microTime',
  n: 'duration',
  q: 'quantity',
  x: 'intOrString',
  j: 'json',
}
const CONTAINERS: Readonly<Record<string, Field['container'] & string>> = { '[': 'list', '{': 'map', '<': 'mapOfLists' }

/** Groups whose objects upstream does not store as protobuf. */
const STORED_AS_JSON: ReadonlySet<string> = new Set(['apiextensions', 'apiregistration'])

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

const qualify = (ref: string, file: string): string => (ref.includes('/') ? ref : `${file}.${ref}`)

function setType(field: Mutable<Field>, text: string, file: string): void {
  const container = CONTAINERS[text[0] ?? '']
  if (container) field.container = container
  const rest = container ? text.slice(1) : text
  const letter = LETTERS[rest[0] ?? '']
  if (letter && rest.length === 1) field.type = letter
  else if (rest.startsWith('j:')) field.ref = qualify(rest.slice(2), file)
  else [field.type, field.ref] = ['message', qualify(rest, file)]
}

function setFlag(field: Mutable<Field>, flag: string): void {
  const value = flag.slice(2)
  switch (flag[0]) {
    case '!':
      field.required = true
      break
    case '*':
      field.isPointer = true
      break
    case '0':
      field.isAlwaysWritten = true
      break
    case '~':
      field.isNullWritten = true
      break
    case 'a':
      field.atomicMap = true
      break
    case 'g':
      field.granularMap = true
      break
    case 'l':
      field.listType = value as 'atomic' | 'set' | 'map'
      break
    case 'k':
      field.mapKeys = value.split(',')
      break
    case 'p':
      field.patchStrategy = value.split(',') as ('merge' | 'replace' | 'retainKeys')[]
      break
    case 'm':
      field.mergeKey = value
      break
    case 'e':
      field.enum = value.split(',')
      break
    case 'd':
      field.default = JSON.parse(value)
      break
  }
}

function readField(line: string, file: string): Field {
  const [name = '', place = '0', type = 'j', ...flags] = line.split(' ')
  const [number = 0, ...embedded] = place.split('/').map(Number)
  const field: Mutable<Field> = { name, number, type: 'json' }
  if (embedded.length > 0) field.embedded = embedded
  setType(field, type, file)
  for (const flag of flags) setFlag(field, flag)
  if (field.isNullWritten && STORED_AS_JSON.has(file.split('/')[0] ?? '')) field.isEmptyKept = true
  return field
}

const atomic: ReadonlySet<string> = new Set(table.atomic)
const unpublished: ReadonlySet<string> = new Set(table.unpublished)
let kindsByType: ReadonlyMap<string, readonly GroupVersionKind[]> | undefined

function groupVersionKindsOf(typeName: string): readonly GroupVersionKind[] {
  if (!kindsByType) {
    const grouped = Map.groupBy(Object.entries(kinds), ([, type]) => type)
    kindsByType = new Map(Array.from(grouped, ([type, entries]) => [type, entries.map(([kind]) => parseKindName(kind))]))
  }
  return kindsByType.get(typeName) ?? []
}

function openapiNameOf(typeName: string, file: string): string | undefined {
  if (unpublished.has(typeName)) return undefined
  return irregular[typeName] ?? `${packages[file]}.${typeName.slice(file.length + 1)}`
}

function readType(name: string, text: string): TypeSchema {
  const file = name.slice(0, name.indexOf('.'))
  const openapi = openapiNameOf(name, file)
  const disabled = DISABLED_FIELDS[name]
  const fields = (text ? text.split('\n') : []).map((line): Field => {
    const field = readField(line, file)
    return disabled?.includes(field.name) ? { ...field, isDisabled: true } : field
  })
  return {
    name,
    ...(openapi ? { openapi } : {}),
    ...(atomic.has(name) ? { isAtomic: true } : {}),
    fields: new Map(fields.map((field) => [field.name, field])),
    groupVersionKinds: groupVersionKindsOf(name),
  }
}

/** Read types; never more than the table has. */
const read = new Map<string, TypeSchema>()

/** The schema of a built-in type by its name, "core/v1.PodSpec". */
export function schemaOf(typeName: string): TypeSchema | undefined {
  const known = read.get(typeName)
  if (known) return known
  const text = Object.hasOwn(types, typeName) ? types[typeName] : undefined
  if (text === undefined) return undefined
  const type = readType(typeName, text)
  read.set(typeName, type)
  return type
}

/** The name of a built-in kind's type: "core/v1.Pod" for v1 Pod. */
export function typeNameOfKind(gvk: GroupVersionKind): string | undefined {
  const name = kindNameOf(gvk)
  return Object.hasOwn(kinds, name) ? kinds[name] : undefined
}

/** The schema of a built-in kind. */
export function schemaOfKind(gvk: GroupVersionKind): TypeSchema | undefined {
  const name = typeNameOfKind(gvk)
  return name === undefined ? undefined : schemaOf(name)
}

/** The names of all built-in types, sorted. */
export const builtInTypeNames = (): readonly string[] => Object.keys(types)

export const builtInSchemas: Schemas = { schemaOf, schemaOfKind }

/** Built-in types and, beside them, types that come and go with custom resources. */
export class ExtensibleSchemas implements Schemas {
  readonly #added = new Map<string, TypeSchema>()
  readonly #addedKinds = new Map<string, TypeSchema>()

  schemaOf(typeName: string): TypeSchema | undefined {
    return this.#added.get(typeName) ?? schemaOf(typeName)
  }

  schemaOfKind(gvk: GroupVersionKind): TypeSchema | undefined {
    return this.#addedKinds.get(kindNameOf(gvk)) ?? schemaOfKind(gvk)
  }

  add(type: TypeSchema): void {
    this.#added.set(type.name, type)
    for (const gvk of type.groupVersionKinds) this.#addedKinds.set(kindNameOf(gvk), type)
  }

  remove(typeName: string): void {
    const type = this.#added.get(typeName)
    if (!type) return
    this.#added.delete(typeName)
    for (const gvk of type.groupVersionKinds) if (this.#addedKinds.get(kindNameOf(gvk)) === type) this.#addedKinds.delete(kindNameOf(gvk))
  }
}
