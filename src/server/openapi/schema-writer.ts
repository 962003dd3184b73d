/**
 * Types of the schema table as OpenAPI schemas, in the two dialects that are published: Swagger 2.0 and OpenAPI 3.0. Descriptions
 * come from outside, if at all.
 */
import type { Field, GroupVersionKind, TypeSchema } from '../../api/schema.ts'
import { schemaOf } from '../../api/schema-table.ts'

export type Dialect = 'v2' | 'v3'

/** The text that explains a type, or one of its fields. */
export type Describe = (typeName: string, field?: string) => string | undefined

export type OpenApiObject = Readonly<Record<string, unknown>>

interface Special {
  readonly name: string
  readonly v2: OpenApiObject
  readonly v3: OpenApiObject
}

const both = (name: string, schema: OpenApiObject): Special => ({ name, v2: schema, v3: schema })
const META = 'io.k8s.apimachinery.pkg.apis.meta.v1'
const EXTENSIONS = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1'

/** Types with a JSON form of their own, by field type or, for free JSON, by the name of the type. */
const SPECIAL: Readonly<Record<string, Special>> = {
  quantity: {
    name: 'io.k8s.apimachinery.pkg.api.resource.Quantity',
    v2: { type: 'string' },
    v3: { oneOf: [{ type: 'string' }, { type: 'number' }] },
  },
  intOrString: {
    name: 'io.k8s.apimachinery.pkg.util.intstr.IntOrString',
    v2: { type: 'string', format: 'int-or-string' },
    v3: { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] },
  },
  time: both(`${META}.Time`, { type: 'string', format: 'date-time' }),
  microTime: both(`${META}.MicroTime`, { type: 'string', format: 'date-time' }),
  duration: both(`${META}.Duration`, { type: 'string' }),
  'meta/v1.FieldsV1': both(`${META}.FieldsV1`, { type: 'object' }),
  'meta/v1.Patch': both(`${META}.Patch`, { type: 'object' }),
  'meta/v1.RawExtension': both('io.k8s.apimachinery.pkg.runtime.RawExtension', { type: 'object' }),
  'apiextensions/v1.JSON': both(`${EXTENSIONS}.JSON`, {}),
  'apiextensions/v1.JSONSchemaPropsOrArray': both(`${EXTENSIONS}.JSONSchemaPropsOrArray`, {}),
  'apiextensions/v1.JSONSchemaPropsOrBool': both(`${EXTENSIONS}.JSONSchemaPropsOrBool`, {}),
  'apiextensions/v1.JSONSchemaPropsOrStringArray': both(`${EXTENSIONS}.JSONSchemaPropsOrStringArray`, {}),
}

const SCALARS: Readonly<Record<string, OpenApiObject>> = {
  string: { type: 'string' },
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  double: { type: 'number', format: 'double' },
  boolean: { type: 'boolean' },
  bytes: { type: 'string', format: 'byte' },
}

const ZEROS: Readonly<Record<string, unknown>> = { message: {}, string: '', int32: 0, int64: 0, double: 0, boolean: false }

export const CONVENTIONS = 'https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md'
/** What explains `metadata` of any object, custom ones included: clients look for these words. */
export const METADATA_TEXT = `Standard object's metadata. More info: ${CONVENTIONS}#metadata`
export const LIST_METADATA_TEXT = `Standard list metadata. More info: ${CONVENTIONS}#types-kinds`

/** Kinds that every group version repeats. */
const COMMON = new Set(['meta/v1.DeleteOptions', 'meta/v1.WatchEvent'])

export interface WriterOptions {
  readonly describe?: Describe | undefined
  /** The group versions under which the common kinds are listed. */
  readonly groupVersions: readonly { readonly group: string; readonly version: string }[]
}

/** Writes types as they are referred to; `definitions` holds those and all that they refer to in turn. */
export class SchemaWriter {
  readonly #dialect: Dialect
  readonly #options: WriterOptions
  readonly #written = new Map<string, OpenApiObject>()

  constructor(dialect: Dialect, options: WriterOptions) {
    this.#dialect = dialect
    this.#options = options
  }

  /** Every schema written so far, by name, sorted. */
  get definitions(): OpenApiObject {
    return Object.fromEntries([...this.#written].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  }

  /** A reference to a schema by its OpenAPI name. */
  ref(name: string): OpenApiObject {
    return { $ref: `${this.#dialect === 'v2' ? '#/definitions/' : '#/components/schemas/'}${name}` }
  }

  /** A reference to a built-in type, which is written with all that it refers to. */
  type(typeName: string): OpenApiObject {
    const special = SPECIAL[typeName]
    if (special) return this.#special(special, typeName)
    const type = schemaOf(typeName)
    // Types known from protobuf alone have no place in the document: any object.
    if (!type?.openapi) return { type: 'object' }
    if (!this.#written.has(type.openapi)) {
      // The place is taken before the fields are written: types refer to themselves.
      this.#written.set(type.openapi, {})
      this.#written.set(type.openapi, this.#schema(type))
    }
    return this.ref(type.openapi)
  }

  /** A schema that is no built-in type: a custom resource's. */
  add(name: string, schema: OpenApiObject): OpenApiObject {
    this.#written.set(name, schema)
    return this.ref(name)
  }

  #special(special: Special, typeName: string): OpenApiObject {
    if (!this.#written.has(special.name)) this.#written.set(special.name, { ...this.#described(typeName), ...special[this.#dialect] })
    return this.ref(special.name)
  }

  #described(typeName: string, field?: string): OpenApiObject {
    const description = this.#options.describe?.(typeName, field)
    return description ? { description } : {}
  }

  /** Where a field has no text of its own, that of its type. */
  #describedField(field: Field, typeName: string): OpenApiObject {
    if (field.ref === 'meta/v1.ObjectMeta' && !this.#options.describe?.(typeName, field.name) && this.#options.describe)
      return { description: METADATA_TEXT }
    const own = this.#described(typeName, field.name)
    return 'description' in own || field.ref === undefined ? own : this.#described(field.ref)
  }

  #schema(type: TypeSchema): OpenApiObject {
    const properties = [...type.fields.values()].map((field) => [field.name, this.#property(field, type.name)] as const)
    const required = [...type.fields.values()].filter((field) => field.required).map((field) => field.name)
    const kinds = this.#kindsOf(type)
    return {
      ...this.#described(type.name),
      ...(properties.length > 0 ? { properties: Object.fromEntries(properties.toSorted(([a], [b]) => (a < b ? -1 : 1))) } : {}),
      ...(required.length > 0 ? { required } : {}),
      type: 'object',
      ...(kinds.length > 0 ? { 'x-kubernetes-group-version-kind': kinds } : {}),
      ...(type.isAtomic ? { 'x-kubernetes-map-type': 'atomic' } : {}),
    }
  }

  #kindsOf(type: TypeSchema): readonly GroupVersionKind[] {
    const [kind] = type.groupVersionKinds
    if (!kind || !COMMON.has(type.name)) return type.groupVersionKinds
    return this.#options.groupVersions.map(({ group, version }) => ({ group, version, kind: kind.kind }))
  }

  #value(field: Field): OpenApiObject {
    if (field.type === 'message' || field.type === 'json') return field.ref ? this.type(field.ref) : {}
    const special = SPECIAL[field.type]
    return special ? this.#special(special, field.type) : (SCALARS[field.type] ?? {})
  }

  /** OpenAPI 3.0 allows nothing beside a reference; what goes with one is wrapped. */
  #wrapped(value: OpenApiObject, more: OpenApiObject): OpenApiObject {
    if (this.#dialect === 'v2' || !('$ref' in value)) return { ...more, ...value }
    return { ...more, allOf: [value] }
  }

  #element(field: Field): OpenApiObject {
    const zero = this.#dialect === 'v3' ? ZEROS[field.type] : undefined
    return zero === undefined ? this.#value(field) : this.#wrapped(this.#value(field), { default: zero })
  }

  #contained(field: Field): OpenApiObject {
    switch (field.container) {
      case 'list':
        return { type: 'array', items: this.#element(field) }
      case 'map':
        return { type: 'object', additionalProperties: this.#element(field) }
      case 'mapOfLists':
        return { type: 'object', additionalProperties: { type: 'array', items: this.#element(field) } }
      default:
        return this.#value(field)
    }
  }

  #property(field: Field, typeName: string): OpenApiObject {
    const zero = field.isAlwaysWritten && this.#dialect === 'v3' ? ZEROS[field.type] : undefined
    const value = field.default ?? zero
    return this.#wrapped(this.#contained(field), {
      ...this.#describedField(field, typeName),
      ...(value === undefined || (this.#dialect === 'v2' && field.default === undefined) ? {} : { default: value }),
      ...(field.enum && this.#dialect === 'v3' ? { enum: field.enum } : {}),
      ...(field.mapKeys ? { 'x-kubernetes-list-map-keys': field.mapKeys } : {}),
      ...(field.listType ? { 'x-kubernetes-list-type': field.listType } : {}),
      ...(field.atomicMap ? { 'x-kubernetes-map-type': 'atomic' } : {}),
      ...(field.mergeKey ? { 'x-kubernetes-patch-merge-key': field.mergeKey } : {}),
      ...(field.patchStrategy ? { 'x-kubernetes-patch-strategy': field.patchStrategy.join(',') } : {}),
    })
  }
}
