/** A version's schema as server-side apply sees it (k8s.io/kube-openapi/pkg/schemaconv, on the schema that is published of it). */
import { applyTypeOf } from '../../api/apply/apply-types.ts'
import {
  ATOMIC,
  DEDUCED,
  type ApplyField,
  type ApplyList,
  type ApplyMap,
  type ApplyScalar,
  type ApplyType,
} from '../../api/apply/schema.ts'
import type { Json } from '../../api/object.ts'
import { schemaOf } from '../../api/schema-table.ts'
import { assert } from '../../base/assert.ts'
import type { Structural } from './structural.ts'

const TEXT: ApplyType = { scalar: 'string' }

/** What every resource has, whatever its schema says. */
function ofEveryResource(): readonly (readonly [string, ApplyField])[] {
  const metadata = schemaOf('meta/v1.ObjectMeta')
  assert(metadata, 'ObjectMeta is a type of the schema')
  return [
    ['apiVersion', { type: TEXT }],
    ['kind', { type: TEXT }],
    ['metadata', { type: applyTypeOf(metadata) }],
  ]
}

/** The type of a custom kind; without a schema all but its metadata is deduced. */
export function customApplyType(schema: Structural | undefined): ApplyType {
  const base = ofEveryResource()
  if (!schema) return { map: { isAtomic: false, fields: new Map(base), element: DEDUCED } }
  const type = typeOf(schema, false)
  return type.map ? { map: { ...type.map, fields: new Map([...type.map.fields, ...base]) } } : type
}

/** `isOpen`: a schema around this one keeps what it does not know. */
function typeOf(schema: Structural, isOpen: boolean): ApplyType {
  const keeps = isOpen || schema.isPreserving
  switch (schema.props.type) {
    case 'object':
      return { map: mapOf(schema, keeps) }
    case 'array':
      return { list: listOf(schema, keeps) }
    case 'integer':
    case 'number':
      return { scalar: 'numeric' }
    case 'boolean':
      return { scalar: 'boolean' }
    case 'string':
      return { scalar: textOf(schema.props.format) }
    default:
      return { scalar: 'untyped', list: listOf(schema, keeps), map: mapOf(schema, keeps) }
  }
}

/** Texts with a format of their own may be something else in another reader. */
const textOf = (format: string | undefined): ApplyScalar => (!format || format === 'byte' ? 'string' : 'untyped')

function mapOf(schema: Structural, isOpen: boolean): ApplyMap {
  const { properties, additional, isEmbedded, props } = schema
  const own = [...properties].map(([name, field]) => [name, fieldOf(field, isOpen)] as const)
  const element = additional
    ? additional.schema
      ? typeOf(additional.schema, isOpen)
      : additional.isAllowed
        ? DEDUCED
        : undefined
    : isOpen || (properties.size === 0 && !isEmbedded)
      ? DEDUCED
      : undefined
  return {
    isAtomic: props['x-kubernetes-map-type'] === 'atomic',
    fields: new Map(isEmbedded ? [...own, ...ofEveryResource()] : own),
    ...(element ? { element } : {}),
  }
}

function fieldOf(schema: Structural, isOpen: boolean): ApplyField {
  const type = typeOf(schema, isOpen)
  const fallback = schema.props.default as Json | undefined
  return fallback === undefined ? { type } : { type, default: fallback }
}

function listOf({ items, props }: Structural, isOpen: boolean): ApplyList {
  const kind = props['x-kubernetes-list-type']
  return {
    isAtomic: kind !== 'set' && kind !== 'map',
    keys: kind === 'map' ? (props['x-kubernetes-list-map-keys'] ?? []) : [],
    element: items ? typeOf(items, isOpen) : ATOMIC,
  }
}
