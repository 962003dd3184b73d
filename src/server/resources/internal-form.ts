/**
 * Values as upstream's errors show them. Its API server holds objects in types without JSON names: there Go's names stand, in the
 * order of declaration, with everything that is empty. Types of metadata and selectors, which have JSON names, keep those.
 */
import { deepEqual } from '../../base/deep-equal.ts'
import { asGiven } from '../../api/given-empty.ts'
import forms from '../../api/generated/internal.json' with { type: 'json' }
import { ZEROS, type Field, type TypeSchema } from '../../api/schema.ts'
import { schemaOf } from '../../api/schema-table.ts'
import { unifiedDiff } from './unified-diff.ts'

type Value = Readonly<Record<string, unknown>>

interface Entry {
  readonly name: string
  /** What an absent value is shown as. */
  readonly zero: '' | '"' | '#' | '!' | '~' | '{'
  readonly field: Field | undefined
}

const table: Readonly<Record<string, string>> = forms
const known = new Map<string, readonly Entry[]>()

/** The fields of a type in their order; undefined where it has JSON names. Never more than the table has. */
function entriesOf(typeName: string): readonly Entry[] | undefined {
  const made = known.get(typeName)
  if (made) return made
  const text = Object.hasOwn(table, typeName) ? table[typeName] : undefined
  if (text === undefined) return undefined
  const fields = new Map(Array.from(schemaOf(typeName)?.fields.values() ?? [], (field) => [goName(field.name), field]))
  const entries = text.split(' ').map((word): Entry => {
    const [, name = '', zero = ''] = /^(@|\w+)(.?)$/.exec(word) ?? []
    return {
      name,
      zero: zero as Entry['zero'],
      field: name === '@' ? fields.get('metadata') : fields.get(RENAMED[name] ?? name.toLowerCase()),
    }
  })
  known.set(typeName, entries)
  return entries
}

/** Fields go by their names in small letters; "x-kubernetes-" and "$" are signs of JSON schemas. */
const goName = (name: string): string =>
  name
    .replace(/^\$/, '')
    .replace(/^x-kubernetes-/, 'x')
    .replaceAll('-', '')
    .toLowerCase()

/** Fields that have another name in JSON. */
const RENAMED: Readonly<Record<string, string>> = {
  BoolValue: 'bool',
  BoolValues: 'bools',
  CephMonitors: 'monitors',
  DataDiskURI: 'diskuri',
  DiscoveryCHAPAuth: 'chapauthdiscovery',
  EndpointsName: 'endpoints',
  IntValue: 'int',
  IntValues: 'ints',
  RBDImage: 'image',
  RBDPool: 'pool',
  RadosUser: 'user',
  SessionCHAPAuth: 'chapauthsession',
  StringValue: 'string',
  StringValues: 'strings',
  VersionValue: 'version',
  VersionValues: 'versions',
}

const EMPTY = { '': null, '"': '', '#': 0, '!': false, '~': '0', '{': null } as const

/** A part of pods' specs that the API has one level higher. */
const HOST_FIELDS: Readonly<Record<string, string>> = {
  HostNetwork: 'hostNetwork',
  HostPID: 'hostPID',
  HostIPC: 'hostIPC',
  ShareProcessNamespace: 'shareProcessNamespace',
  HostUsers: 'hostUsers',
}

function podSpec(spec: Value): Value {
  const moved = Object.fromEntries(Object.values(HOST_FIELDS).map((name) => [name, spec[name]]))
  return { ...spec, securityContext: { ...(spec['securityContext'] as Value | undefined), ...moved } }
}

/**
 * What a form is for: to be shown as the client gave it, or as it is stored (where an empty list or map is none), or to be compared:
 * then what Go holds by a pointer differs from none even when it is empty, and an empty list or map does not.
 */
type Purpose = 'given' | 'stored' | 'compared'

function message(value: Value, typeName: string, purpose: Purpose): unknown {
  const entries = entriesOf(typeName)
  const schema = schemaOf(typeName)
  if (!entries) return schema ? published(value, schema, purpose) : value
  const given = typeName === 'core/v1.PodSpec' ? podSpec(value) : value
  const shown: Record<string, unknown> = {}
  for (const { name, zero, field } of entries) {
    if (name === '@') {
      Object.assign(shown, message((given['metadata'] as Value | undefined) ?? {}, 'meta/v1.ObjectMeta', purpose))
      continue
    }
    const item = itemOf(given, field?.name ?? HOST_FIELDS[name] ?? '', purpose)
    if (item !== undefined && item !== null) shown[name] = field ? contained(item, field, purpose) : item
    else shown[name] = zero === '{' && field?.ref ? message({}, field.ref, purpose) : EMPTY[zero]
  }
  return shown
}

const PROPS = 'apiextensions/v1.JSONSchemaProps'
type Form = (props: unknown) => unknown

/** What is a schema or something else in JSON is a struct of both there. */
const ALTERNATIVES: Readonly<Record<string, (item: unknown, form: Form) => unknown>> = {
  [`${PROPS}OrArray`]: (item, form) =>
    Array.isArray(item) ? { Schema: null, JSONSchemas: item.map(form) } : { Schema: form(item), JSONSchemas: null },
  [`${PROPS}OrBool`]: (item, form) => (typeof item === 'boolean' ? { Allows: item, Schema: null } : { Allows: true, Schema: form(item) }),
  [`${PROPS}OrStringArray`]: (item, form) =>
    Array.isArray(item) ? { Schema: null, Property: item } : { Schema: form(item), Property: null },
}

const itemOf = (value: Value, name: string, purpose: Purpose): unknown => (purpose === 'given' ? asGiven(value, name) : value[name])

/** A type with JSON names: the order of declaration, and no empty fields but those that Go writes. */
function published(value: Value, schema: TypeSchema, purpose: Purpose): Value {
  const shown: Record<string, unknown> = {}
  for (const field of schema.fields.values()) {
    const item = value[field.name]
    if (item !== undefined && item !== null) shown[field.name] = contained(item, field, purpose)
    else if (field.isNullWritten) shown[field.name] = null
    else if (field.isAlwaysWritten) shown[field.name] = field.type === 'message' ? message({}, field.ref ?? '', purpose) : ZEROS[field.type]
  }
  return shown
}

function contained(value: unknown, field: Field, purpose: Purpose): unknown {
  const single = (item: unknown) =>
    field.type === 'message'
      ? message(item as Value, field.ref ?? '', purpose)
      : (ALTERNATIVES[field.ref ?? '']?.(item, (props) => message(props as Value, PROPS, purpose)) ?? item)
  if (field.container === undefined) return single(value)
  if (purpose === 'compared' && Object.keys(value as object).length === 0) return null
  if (field.container === 'list') return (value as readonly unknown[]).map(single)
  return Object.fromEntries(
    Object.entries(value as Value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, field.container === 'map' ? single(item) : item]),
  )
}

function formOf(value: unknown, typeName: string, purpose: Purpose): unknown {
  if (value === undefined || value === null) return null
  if (!typeName.startsWith('[')) return message(value as Value, typeName, purpose)
  return (value as readonly Value[]).map((item) => message(item, typeName.slice(1), purpose))
}

/** As Go writes JSON. */
export const escaped = (json: string): string => json.replaceAll('<', '\\u003c').replaceAll('>', '\\u003e').replaceAll('&', '\\u0026')

/** For a field error about a value of this type: "core/v1.PodSpec", or "[core/v1.Volume" for a list of them. */
export const internalForm = (value: unknown, typeName: string): string => escaped(JSON.stringify(formOf(value, typeName, 'given')))

/** Equality as upstream has it: of its own types, where a pointer to an empty struct differs from none. */
export const internalEqual = (a: unknown, b: unknown, typeName: string): boolean =>
  a === b || deepEqual(formOf(a, typeName, 'compared'), formOf(b, typeName, 'compared'))

/** What upstream adds to an error about fields that may not change: the diff of both values as it holds them. */
export function internalDiff(from: unknown, to: unknown, typeName: string): string {
  const text = (value: unknown, purpose: Purpose) => escaped(JSON.stringify(formOf(value, typeName, purpose), undefined, 1))
  return unifiedDiff(text(from, 'stored'), text(to, 'given'))
}
