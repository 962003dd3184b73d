/**
 * Schemas within `items` and `additionalProperties` may be of several shapes, so that the table of types takes them for free JSON.
 * Here they are read as what they are: wrong types are refused, unknown keywords go unsaid, as Go's own readers of them do.
 */
import { decodeObject } from '../../api/decode.ts'
import type { CustomResourceDefinition, JSONSchemaProps } from '../../api/generated/apiextensions/v1.ts'
import type { Json } from '../../api/object.ts'
import { schemaOf } from '../../api/schema-table.ts'
import { badRequest } from '../../api/status.ts'
import { assert } from '../../base/assert.ts'
import { changeField, mapItems, withField } from '../resources/immutable.ts'

/** Schemas that were read before; they are immutable. */
const known = new WeakSet<JSONSchemaProps>()

export function decodeSchemas(definition: CustomResourceDefinition): CustomResourceDefinition {
  return changeField(definition, 'spec', (spec) =>
    changeField(spec, 'versions', (versions) =>
      mapItems(versions, (version) => changeField(version, 'schema', (schema) => changeField(schema, 'openAPIV3Schema', within))),
    ),
  )
}

/** The same schema when everything within is read already. */
function within(props: JSONSchemaProps): JSONSchemaProps {
  if (known.has(props)) return props
  let next = props
  for (const keyword of ['properties', 'patternProperties', 'definitions'] as const)
    next = changeField(next, keyword, (fields) => mapFields(fields, within))
  for (const keyword of ['allOf', 'anyOf', 'oneOf'] as const) next = changeField(next, keyword, (schemas) => mapItems(schemas, within))
  next = changeField(next, 'not', within)
  if (next.items !== undefined) next = withField(next, 'items', itemsFrom(next.items as Json))
  if (next.additionalProperties !== undefined)
    next = withField(next, 'additionalProperties', schemaOrBoolean(next.additionalProperties as Json))
  known.add(next)
  return next
}

function mapFields(
  fields: Readonly<Record<string, JSONSchemaProps>>,
  change: (props: JSONSchemaProps) => JSONSchemaProps,
): Readonly<Record<string, JSONSchemaProps>> {
  let copy: Record<string, JSONSchemaProps> | undefined
  for (const name in fields) {
    const changed = change(fields[name]!)
    if (changed !== fields[name]) (copy ??= { ...fields })[name] = changed
  }
  return copy ?? fields
}

function itemsFrom(value: Json): JSONSchemaProps | readonly JSONSchemaProps[] | undefined {
  if (Array.isArray(value)) return mapItems(value as unknown as readonly JSONSchemaProps[], schemaFrom)
  // Go's reader takes what is neither an object nor a list for nothing.
  return typeof value === 'object' && value !== null ? schemaFrom(value as JSONSchemaProps) : undefined
}

function schemaOrBoolean(value: Json): JSONSchemaProps | boolean {
  if (typeof value === 'boolean') return value
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw unreadable('boolean or JSON object expected')
  return schemaFrom(value as JSONSchemaProps)
}

function schemaFrom(value: JSONSchemaProps): JSONSchemaProps {
  if (known.has(value)) return value
  const type = schemaOf('apiextensions/v1.JSONSchemaProps')
  assert(type, 'the schema knows JSONSchemaProps')
  try {
    return within(decodeObject(value as unknown as Json, type).object as JSONSchemaProps)
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'DecodeError') throw error
    throw unreadable(error.message)
  }
}

const unreadable = (why: string) =>
  badRequest(`CustomResourceDefinition in version "v1" cannot be handled as a CustomResourceDefinition: ${why}`)
