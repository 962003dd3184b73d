/** The types of built-in kinds as server-side apply sees them, out of the schema (k8s.io/kube-openapi/pkg/schemaconv). */
import type { Json, KubeObject } from '../object.ts'
import { ZEROS, type Field, type TypeSchema } from '../schema.ts'
import { builtInSchemas, type Schemas } from '../schema-table.ts'
import { ATOMIC, DEDUCED, type ApplyField, type ApplyMap, type ApplyScalar, type ApplyType } from './schema.ts'

const SCALARS: Readonly<Record<Exclude<Field['type'], 'json' | 'message'>, ApplyScalar>> = {
  string: 'string',
  bytes: 'string',
  duration: 'string',
  int32: 'numeric',
  int64: 'numeric',
  double: 'numeric',
  boolean: 'boolean',
  time: 'untyped',
  microTime: 'untyped',
  quantity: 'untyped',
  intOrString: 'untyped',
}

const scalars = new Map<ApplyScalar, ApplyType>()

function scalarOf(scalar: ApplyScalar): ApplyType {
  const known = scalars.get(scalar) ?? { scalar }
  scalars.set(scalar, known)
  return known
}

const NO_FIELDS: ReadonlyMap<string, ApplyField> = new Map()

/** A struct; its fields are looked at when they are first asked for, as types refer to themselves. */
class Struct implements ApplyMap {
  readonly isAtomic: boolean
  readonly #schema: TypeSchema
  readonly #schemas: Schemas
  #fields: ReadonlyMap<string, ApplyField> | undefined
  #nulls: ReadonlySet<string> | undefined

  constructor(schema: TypeSchema, schemas: Schemas, isAtomic: boolean) {
    this.#schema = schema
    this.#schemas = schemas
    this.isAtomic = isAtomic
  }

  get fields(): ReadonlyMap<string, ApplyField> {
    return (this.#fields ??= new Map([...this.#schema.fields.values()].map((field) => [field.name, fieldOf(field, this.#schemas)])))
  }

  get nulls(): ReadonlySet<string> {
    return (this.#nulls ??= new Set([...this.#schema.fields.values()].filter(({ isNullWritten }) => isNullWritten).map(({ name }) => name)))
  }
}

function fieldOf(field: Field, schemas: Schemas): ApplyField {
  const fallback = (field.default as Json | undefined) ?? (field.isAlwaysWritten && !field.container ? ZEROS[field.type] : undefined)
  const type = typeOf(field, schemas)
  return fallback === undefined ? { type } : { type, default: fallback }
}

function typeOf(field: Field, schemas: Schemas): ApplyType {
  const { container, atomicMap: isAtomic = false } = field
  if (container === undefined) return elementType(field, schemas, isAtomic ? true : field.granularMap ? false : undefined)
  const element = elementType(field, schemas)
  if (container === 'list') return { list: { ...listOf(field), element } }
  const within: ApplyType = container === 'map' ? element : { list: { isAtomic: true, keys: [], element } }
  return { map: { isAtomic, fields: NO_FIELDS, element: within } }
}

function listOf({ listType, mapKeys = [], patchStrategy, mergeKey }: Field): {
  readonly isAtomic: boolean
  readonly keys: readonly string[]
} {
  if (listType !== undefined) return { isAtomic: listType === 'atomic', keys: listType === 'map' ? mapKeys : [] }
  return { isAtomic: !patchStrategy?.includes('merge'), keys: patchStrategy?.includes('merge') && mergeKey ? [mergeKey] : [] }
}

function elementType({ type, ref = '' }: Field, schemas: Schemas, isAtomic?: boolean): ApplyType {
  if (type === 'json') return ref.endsWith('.RawExtension') ? ATOMIC : DEDUCED
  if (type !== 'message') return scalarOf(SCALARS[type])
  const schema = schemas.schemaOf(ref)
  return schema ? applyTypeOf(schema, schemas, isAtomic) : DEDUCED
}

const structs = new WeakMap<TypeSchema, { plain?: ApplyType; atomic?: ApplyType }>()

/** A type of the schema; `isAtomic` where the field that holds it says otherwise than the type. */
export function applyTypeOf(schema: TypeSchema, schemas: Schemas = builtInSchemas, isAtomic = schema.isAtomic ?? false): ApplyType {
  const known = structs.get(schema) ?? {}
  structs.set(schema, known)
  const key = isAtomic ? 'atomic' : 'plain'
  return (known[key] ??= {
    map:
      schema.fields.size > 0
        ? new Struct(schema, schemas, key === 'atomic')
        : { isAtomic: key === 'atomic', fields: NO_FIELDS, element: DEDUCED },
  })
}

/** What Go makes of a kind before anything is known of it: what is always written, empty. Creates are compared with it. */
export function emptyObject(apiVersion: string, kind: string, schema: TypeSchema, schemas: Schemas = builtInSchemas): KubeObject {
  return { ...emptyOf(schema, schemas), apiVersion, kind }
}

function emptyOf(schema: TypeSchema, schemas: Schemas): Record<string, Json> {
  const made: Record<string, Json> = {}
  for (const { name, type, ref = '', container, isAlwaysWritten } of schema.fields.values()) {
    if (!isAlwaysWritten || container) continue
    const inner = type === 'message' ? schemas.schemaOf(ref) : undefined
    made[name] = inner ? emptyOf(inner, schemas) : (ZEROS[type] ?? {})
  }
  return made
}
