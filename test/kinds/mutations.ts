/**
 * What can be wrong with an object, made from its kind's schema and a valid seed: every field that the seed has is taken away, emptied
 * and given values that its type allows and its rules may not; every field that it lacks is added. A mutation has a name that stays the
 * same as long as schema and seed do, so that answers can be recorded under it.
 */
import type { Json } from '../../src/api/object.ts'
import type { Field, TypeSchema } from '../../src/api/schema.ts'
import { schemaOf } from '../../src/api/schema-table.ts'

export type Path = readonly (string | number)[]

export interface Mutation {
  /** "spec.ports[0].port=-1", "spec.type=-" where the field goes. */
  readonly name: string
  readonly path: Path
  /** Undefined: the field goes. */
  readonly value: Json | undefined
}

type JsonObject = Readonly<Record<string, Json>>

/** More than any name may have. */
const LONG = 'a'.repeat(300)

export const pathText = (path: Path): string =>
  path.reduce<string>((text, part) => (typeof part === 'number' ? `${text}[${part}]` : text ? `${text}.${part}` : part), '')

const nameOf = (path: Path, value: Json | undefined): string =>
  `${pathText(path)}=${value === undefined ? '-' : JSON.stringify(value).replace(LONG, 'LONG')}`

/** Metadata follows rules of its own, the same for all kinds: ConfigMaps try all of it, the others the little that differs. */
const METADATA_FIELDS: ReadonlySet<string> = new Set(['name', 'generateName', 'labels', 'annotations'])

export interface MutationOptions {
  /** Of an update only that a field changes is of interest; what may be wrong with its value a create has shown. */
  readonly isUpdate?: boolean
  /** Where the whole of metadata is tried. */
  readonly hasWholeMetadata?: boolean
  /** Fields of the object that are left as they are, as paths: "spec.template". */
  readonly except?: readonly string[]
}

export function mutationsOf(object: JsonObject, type: TypeSchema, options: MutationOptions = {}): readonly Mutation[] {
  const found: Mutation[] = []
  const put = (path: Path, value: Json | undefined) => void found.push({ name: nameOf(path, value), path, value })
  const except = new Set(options.except)

  function visitMessage(value: JsonObject, schema: TypeSchema, path: Path): void {
    for (const field of schema.fields.values()) {
      if (schema.name === 'meta/v1.ObjectMeta' && !options.hasWholeMetadata && !METADATA_FIELDS.has(field.name)) continue
      if (path.length === 0 && (field.name === 'apiVersion' || field.name === 'kind')) continue
      const at = [...path, field.name]
      if (except.has(pathText(at))) continue
      const given = value[field.name]
      if (given === undefined) put(at, sampleOf(field))
      else visitField(given, field, at)
    }
  }

  function visitField(value: Json, field: Field, path: Path): void {
    put(path, undefined)
    if (!options.isUpdate) put(path, wrongTypeOf(field))
    if (field.container === 'list') visitList(value as readonly Json[], field, path)
    else if (field.container) visitMap(value as JsonObject, field, path)
    else visitSingle(value, field, path)
  }

  function visitList(items: readonly Json[], field: Field, path: Path): void {
    put(path, [])
    if (items[0] !== undefined) put(path, [...items, items[0]])
    if (items.length > 1) put(path, items.slice(0, -1))
    if (field.type === 'message') put(path, [...items, {}])
    items.forEach((item, index) => visitSingle(item, field, [...path, index]))
  }

  function visitMap(entries: JsonObject, field: Field, path: Path): void {
    put(path, {})
    const sample = Object.values(entries)[0] ?? singleSample(field)
    for (const key of options.isUpdate ? ['new'] : ['Bad Key!', '', 'new']) put([...path, key], sample)
    for (const [key, value] of Object.entries(entries)) {
      put([...path, key], undefined)
      if (field.container === 'map') visitSingle(value, field, [...path, key])
    }
  }

  function visitSingle(value: Json, field: Field, path: Path): void {
    if (field.type === 'message') {
      if (Object.keys(value as JsonObject).length > 0) put(path, {})
      visitMessage(value as JsonObject, schemaOf(field.ref ?? '')!, path)
      return
    }
    const others = options.isUpdate ? [changeOf(value, field)] : othersOf(value, field)
    for (const other of others) if (other !== value) put(path, other)
  }

  visitMessage(object, type, [])
  return found
}

function othersOf(value: Json, field: Field): readonly Json[] {
  switch (field.type) {
    case 'string':
      return field.enum ? ['', 'Bad', ...field.enum] : ['', 'Bad_Name!', LONG]
    case 'int32':
      return [-1, 0, 1, 70_000, 2 ** 31 - 1]
    case 'int64':
      return [-1, 0, 1, 2 ** 53 - 1]
    case 'double':
      return [-1, 0]
    case 'boolean':
      return [!value]
    case 'quantity':
      return ['-1', '0', '1', '1500m', '100Gi', 'x']
    case 'intOrString':
      return [-1, 0, 1, 70_000, '', '-1%', '50%', '150%', 'x', 'Bad_Name!']
    case 'time':
    case 'microTime':
      return ['2030-01-01T00:00:00Z', 'x']
    case 'bytes':
      return ['', 'eA==', '!']
    case 'duration':
      return ['', 'x', '-1s', '1h']
    case 'json':
    case 'message':
      return []
  }
}

/** Another value of the same sort, as good as the first one. */
function changeOf(value: Json, field: Field): Json {
  switch (field.type) {
    case 'string':
      return field.enum?.find((other) => other !== value) ?? `${typeof value === 'string' ? value : ''}x`
    case 'int32':
    case 'int64':
    case 'double':
      return Number(value) + 1
    case 'boolean':
      return !value
    case 'intOrString':
      return value === 1 ? 2 : 1
    case 'quantity':
      return value === '1' ? '2' : '1'
    case 'time':
    case 'microTime':
      return '2031-01-01T00:00:00Z'
    case 'bytes':
      return value === 'eA==' ? 'eQ==' : 'eA=='
    case 'duration':
      return '7h'
    case 'json':
    case 'message':
      return value
  }
}

/** A value that Go's decoder refuses. */
const wrongTypeOf = (field: Field): Json =>
  field.container === 'list'
    ? {}
    : field.container
      ? []
      : ['string', 'bytes', 'time', 'microTime', 'duration'].includes(field.type)
        ? 7
        : ['x']

function sampleOf(field: Field): Json {
  if (field.container === 'list') return [singleSample(field)]
  if (field.container === 'map') return { sample: singleSample(field) }
  if (field.container === 'mapOfLists') return { sample: [singleSample(field)] }
  return singleSample(field)
}

function singleSample(field: Field): Json {
  switch (field.type) {
    case 'string':
      return field.enum?.[0] ?? 'sample'
    case 'int32':
    case 'int64':
    case 'double':
    case 'intOrString':
      return 1
    case 'boolean':
      return true
    case 'quantity':
      return '1'
    case 'time':
    case 'microTime':
      return '2030-01-01T00:00:00Z'
    case 'bytes':
      return 'eA=='
    case 'duration':
      return '1s'
    case 'json':
    case 'message':
      return {}
  }
}

/** The object with the mutation done to it; everything beside its path is shared. */
export function mutated(object: Json, { path, value }: Pick<Mutation, 'path' | 'value'>): Json {
  const [key, ...rest] = path
  if (key === undefined) return value ?? null
  const copy = (Array.isArray(object) ? [...object] : { ...(object as JsonObject) }) as Record<string | number, Json>
  if (rest.length === 0 && value === undefined) delete copy[key]
  else copy[key] = mutated(copy[key] ?? {}, { path: rest, value })
  return copy
}
