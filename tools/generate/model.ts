/**
 * One model of the whole API out of three published forms: OpenAPI (fields, formats, required, list types, merge keys, defaults),
 * protobuf (numbers) and Go (order, inlined structs, which types are roots). A fact on which they disagree stops the generator.
 */
import type { Field, FieldType } from '../../src/api/schema.ts'
import { parseGoEnums, parseGoStructs, type GoField, type GoStruct } from './go.ts'
import { parseProto, type ProtoField, type ProtoMessage } from './proto.ts'
import type { OpenApiSchema, Upstream } from './upstream.ts'

export interface ModelType {
  /** "core/v1.Pod" */
  readonly name: string
  /** "io.k8s.api.core.v1.Pod" */
  readonly openapi: string
  readonly fields: readonly Field[]
  readonly kind: { readonly group: string; readonly version: string; readonly kind: string } | undefined
  readonly isAtomic: boolean
  /** Published in OpenAPI, or known from protobuf alone (ListOptions, AdmissionReview...). */
  readonly isPublished: boolean
}

/** Packages whose types clients exchange though OpenAPI does not list them all. */
const PROTO_ONLY_PACKAGES = new Set(['io.k8s.api.admission.v1'])

/** Types with a JSON form of their own, by the last part of their name. */
const SPECIAL: Readonly<Record<string, FieldType>> = {
  'io.k8s.apimachinery.pkg.api.resource.Quantity': 'quantity',
  'io.k8s.apimachinery.pkg.apis.meta.v1.Time': 'time',
  'io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime': 'microTime',
  'io.k8s.apimachinery.pkg.apis.meta.v1.Duration': 'duration',
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': 'intOrString',
  'io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1': 'json',
  'io.k8s.apimachinery.pkg.apis.meta.v1.Patch': 'json',
  'io.k8s.apimachinery.pkg.runtime.RawExtension': 'json',
  'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON': 'json',
  'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray': 'json',
  'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool': 'json',
  'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray': 'json',
}

/** "io.k8s.api.core.v1.Pod" -> "core/v1.Pod": the group's first label, the version, the name. */
export function typeNameOf(openapi: string): string {
  if (openapi === 'io.k8s.apimachinery.pkg.version.Info') return 'meta/v1.VersionInfo'
  const parts = openapi.split('.')
  const [group, version, name] = parts.slice(-3)
  if (group === 'pkg' || version === 'runtime' || version === 'resource' || version === 'intstr') return `meta/v1.${name}`
  return `${group === 'apiserverinternal' ? 'internal' : group}/${version}.${name}`
}

const protoNameOf = (openapi: string): string => openapi.replace(/^io\.k8s\./, 'k8s.io.').replace(/-/g, '_')
const openapiNameOf = (proto: string): string =>
  proto
    .replace(/^k8s\.io\./, 'io.k8s.')
    .replace('apiextensions_apiserver', 'apiextensions-apiserver')
    .replace('kube_aggregator', 'kube-aggregator')

const PROTO_SCALARS: Readonly<Record<string, FieldType>> = {
  string: 'string',
  bytes: 'bytes',
  bool: 'boolean',
  int32: 'int32',
  int64: 'int64',
  double: 'double',
}

function scalarOf(schema: OpenApiSchema): FieldType | undefined {
  switch (schema.type) {
    case 'string':
      return schema.format === 'byte' ? 'bytes' : 'string'
    case 'integer':
      return schema.format === 'int32' ? 'int32' : 'int64'
    case 'number':
      return 'double'
    case 'boolean':
      return 'boolean'
    default:
      return undefined
  }
}

type Value = Pick<Field, 'type' | 'ref' | 'container'>

function valueOf(schema: OpenApiSchema, where: string): Value {
  const reference = schema.$ref ?? schema.allOf?.[0]?.$ref
  if (reference !== undefined) return referenceTo(reference.slice(reference.lastIndexOf('/') + 1))
  if (schema.type === 'array' && schema.items) return { ...valueOf(schema.items, where), container: 'list' }
  if (schema.type === 'object' && schema.additionalProperties) {
    const inner = valueOf(schema.additionalProperties, where)
    return { ...inner, container: inner.container === 'list' ? 'mapOfLists' : 'map' }
  }
  const type = scalarOf(schema)
  if (type === undefined) throw new Error(`${where}: a schema of an unknown form: ${JSON.stringify(schema)}`)
  return { type }
}

function referenceTo(openapi: string): Value {
  const special = SPECIAL[openapi]
  // A `json` value keeps its type's name: protobuf has a form of its own for each.
  if (special === 'json') return { type: special, ref: typeNameOf(openapi) }
  return special ? { type: special } : { type: 'message', ref: typeNameOf(openapi) }
}

/** Where a JSON field is found in protobuf: its number, and those of the embedded messages that hold it, outermost first. */
interface Place {
  readonly number: number
  readonly embedded: readonly number[]
}

type Messages = ReadonlyMap<string, ProtoMessage>

function placesOf(
  message: ProtoMessage | undefined,
  schema: OpenApiSchema,
  messages: Messages,
  embedded: readonly number[] = [],
): Map<string, Place> {
  const places = new Map<string, Place>()
  for (const { name, number, type } of message?.fields ?? []) {
    if (schema.properties?.[name]) places.set(name, { number, embedded })
    else for (const [inner, place] of placesOf(messages.get(type), schema, messages, [...embedded, number])) places.set(inner, place)
  }
  return places
}

/** What Go tells of one package. */
interface GoFacts {
  readonly structs: ReadonlyMap<string, GoStruct>
  readonly enums: ReadonlyMap<string, readonly string[]>
}

/** A struct's fields by their JSON names in the order of declaration, inlined structs in place. */
function goFieldsOf(struct: GoStruct | undefined, facts: GoFacts): GoField[] {
  return (struct?.fields ?? []).flatMap((field): GoField[] => {
    if (field.json) return [field]
    if (field.type.endsWith('TypeMeta'))
      return ['kind', 'apiVersion'].map((json) => ({ json, type: 'string', number: 0, omits: 'omitempty' }))
    return goFieldsOf(facts.structs.get(field.type.replace(/^.*\./, '')), facts)
  })
}

const TIMES = new Set<FieldType>(['time', 'microTime'])

const CAN_BE_ZERO = new Set<FieldType>(['string', 'int32', 'int64', 'double', 'boolean', 'quantity', 'intOrString', 'message'])

/** How Go treats emptiness: a pointer tells zero from absent; what is no pointer and not omitted is always written. */
function emptinessOf(field: GoField | undefined, value: Value): Pick<Field, 'isPointer' | 'isAlwaysWritten' | 'isNullWritten'> {
  if (!field) return {}
  const nothing = field.omits === undefined ? { isNullWritten: true as const } : {}
  if (value.container || value.type === 'bytes') return nothing
  if (field.type.startsWith('*')) return { isPointer: true, ...nothing }
  // Times are structs, which `omitempty` spares.
  if (TIMES.has(value.type)) return field.omits === 'omitzero' ? {} : { isNullWritten: true }
  const isOmitted = value.type === 'message' ? field.omits === 'omitzero' : field.omits !== undefined
  return CAN_BE_ZERO.has(value.type) && !isOmitted ? { isAlwaysWritten: true } : {}
}

const ZEROS = new Set(['""', '0', 'false'])

/** OpenAPI publishes Go's zero values as defaults; what is always written tells of them already, and {} tells of nothing else. */
function isRealDefault(value: unknown, isAlwaysWritten: boolean): boolean {
  const text = JSON.stringify(value)
  return value !== undefined && text !== '{}' && !(isAlwaysWritten && ZEROS.has(text))
}

function publishedType(
  openapi: string,
  schema: OpenApiSchema,
  goFields: readonly GoField[],
  facts: GoFacts,
  places: ReadonlyMap<string, Place>,
): ModelType {
  const required = new Set(schema.required)
  const rank = new Map(goFields.map((field, index) => [field.json, index]))
  const goField = new Map(goFields.map((field) => [field.json, field]))
  const names = Object.keys(schema.properties ?? {}).toSorted((a, b) => (rank.get(a) ?? 1e9) - (rank.get(b) ?? 1e9))
  const fields = names.map((name): Field => {
    const property = schema.properties?.[name] ?? {}
    const place = places.get(name)
    const strategy = property['x-kubernetes-patch-strategy']
    const value = valueOf(property, `${openapi}.${name}`)
    const emptiness = emptinessOf(goField.get(name), value)
    const values = value.container ? undefined : facts.enums.get(goField.get(name)?.type.replace(/^\*/, '') ?? '')
    return {
      name,
      // Names that protobuf cannot spell ("$ref", "x-kubernetes-...") have their number from Go's tag.
      number: place?.number ?? goField.get(name)?.number ?? 0,
      ...value,
      ...emptiness,
      ...(place?.embedded.length ? { embedded: place.embedded } : {}),
      ...(required.has(name) ? { required: true } : {}),
      ...(values?.length ? { enum: values.toSorted() } : {}),
      ...(isRealDefault(property.default, emptiness.isAlwaysWritten ?? false) ? { default: property.default } : {}),
      ...(property['x-kubernetes-list-type'] ? { listType: property['x-kubernetes-list-type'] } : {}),
      ...(property['x-kubernetes-list-map-keys'] ? { mapKeys: property['x-kubernetes-list-map-keys'] } : {}),
      ...(property['x-kubernetes-map-type'] === 'atomic' ? { atomicMap: true } : {}),
      ...(property['x-kubernetes-map-type'] === 'granular' ? { granularMap: true } : {}),
      ...(strategy ? { patchStrategy: strategy.split(',') as Field['patchStrategy'] & string[] } : {}),
      ...(property['x-kubernetes-patch-merge-key'] ? { mergeKey: property['x-kubernetes-patch-merge-key'] } : {}),
    }
  })
  return {
    name: typeNameOf(openapi),
    openapi,
    fields,
    kind: schema['x-kubernetes-group-version-kind']?.[0],
    isAtomic: schema['x-kubernetes-map-type'] === 'atomic',
    isPublished: true,
  }
}

/** A message that only wraps a list, as protobuf needs for a map of lists: { items: [...] } on the wire, a bare list in JSON. */
const isListWrapper = (message: ProtoMessage | undefined): boolean =>
  message?.fields.length === 1 && message.fields[0]?.name === 'items' && message.fields[0].type === 'string'

function protoValue(field: ProtoField, messages: Messages): Value {
  const scalar = PROTO_SCALARS[field.type]
  if (scalar) return { type: scalar, ...(field.container ? { container: field.container } : {}) }
  if (isListWrapper(messages.get(field.type))) return { type: 'string', container: field.container === 'map' ? 'mapOfLists' : 'list' }
  return { ...referenceTo(openapiNameOf(field.type)), ...(field.container ? { container: field.container } : {}) }
}

function protoOnlyType(proto: string, message: ProtoMessage, facts: GoFacts, messages: Messages): ModelType {
  const struct = facts.structs.get(message.name)
  const openapi = openapiNameOf(proto)
  const [group = '', version = ''] = openapi.split('.').slice(-3)
  const isRoot = struct?.fields.some((field) => field.type.endsWith('TypeMeta')) ?? false
  const goField = new Map(goFieldsOf(struct, facts).map((field) => [field.json, field]))
  const toField = (field: ProtoField): Field => {
    const value = protoValue(field, messages)
    return { name: field.name, number: field.number, ...value, ...emptinessOf(goField.get(field.name), value) }
  }
  const typeMeta: Field[] = isRoot ? ['kind', 'apiVersion'].map((name) => ({ name, number: 0, type: 'string' })) : []
  return {
    name: typeNameOf(openapi),
    openapi,
    fields: [...typeMeta, ...message.fields.map(toField)],
    kind: isRoot
      ? { group: group === 'admission' ? 'admission.k8s.io' : group === 'core' ? '' : 'meta.k8s.io', version, kind: message.name }
      : undefined,
    isAtomic: false,
    isPublished: false,
  }
}

/** All types, sorted by name. */
export function buildModel(upstream: Upstream): ModelType[] {
  const messages = new Map(upstream.packages.flatMap(({ proto }) => (proto ? [...parseProto(proto)] : [])))
  const go = new Map(
    upstream.packages.map((pack): [string, GoFacts] => [
      pack.openapi,
      { structs: new Map(pack.goFiles.flatMap(parseGoStructs).map((struct) => [struct.name, struct])), enums: parseGoEnums(pack.goFiles) },
    ]),
  )
  const none: GoFacts = { structs: new Map(), enums: new Map() }
  const schemas = new Map<string, OpenApiSchema>()
  // The core document first: a kind that every group repeats (DeleteOptions) is known by its first name.
  const documents = [...upstream.openapi].toSorted(([a], [b]) => Number(b.startsWith('api__v1')) - Number(a.startsWith('api__v1')))
  for (const [, document] of documents)
    for (const [name, schema] of Object.entries(document.components?.schemas ?? {})) if (!schemas.has(name)) schemas.set(name, schema)

  const types: ModelType[] = []
  const packages = new Set(PROTO_ONLY_PACKAGES)
  for (const [openapi, schema] of schemas) {
    if (SPECIAL[openapi]) continue
    const packageName = openapi.slice(0, openapi.lastIndexOf('.'))
    packages.add(packageName)
    const facts = go.get(packageName) ?? none
    const goFields = goFieldsOf(facts.structs.get(openapi.slice(packageName.length + 1)), facts)
    types.push(publishedType(openapi, schema, goFields, facts, placesOf(messages.get(protoNameOf(openapi)), schema, messages)))
  }
  const known = new Set(types.map((type) => type.openapi))
  for (const [proto, message] of messages) {
    const openapi = openapiNameOf(proto)
    const packageName = openapi.slice(0, openapi.lastIndexOf('.'))
    if (known.has(openapi) || SPECIAL[openapi] || !packages.has(packageName) || isListWrapper(message)) continue
    types.push(protoOnlyType(proto, message, go.get(packageName) ?? none, messages))
  }
  return types.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}
