/**
 * The schema of a custom resource as server-side apply sees it (KEP-555; kube-openapi pkg/schemaconv): which lists are maps or sets,
 * what is owned as a whole, and what is deduced from the values because no schema describes it.
 */
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
import type { JSONSchemaProps } from '../../api/generated/apiextensions/v1.ts'
import type { Json } from '../../api/object.ts'
import { objectMetaType } from './coerce.ts'
import { additionalSchemaOf, isEmbedded, isPreserving, itemsOf } from './structural.ts'

const UNTYPED: ApplyType = { scalar: 'untyped' }
const TEXT: ApplyType = { scalar: 'string' }

/** What every resource has, whatever its schema says of it. */
const metaFields = (): readonly (readonly [string, ApplyField])[] => [
  ['apiVersion', { type: TEXT }],
  ['kind', { type: TEXT }],
  ['metadata', { type: applyTypeOf(objectMetaType()) }],
]

/** The type of whole objects. */
export const customApplyType = (props: JSONSchemaProps): ApplyType => typeOf(props, true, false)

function typeOf(props: JSONSchemaProps, isResource: boolean, isKept: boolean): ApplyType {
  // What is within values whose unknown fields are kept keeps them too.
  const keeps = isKept || isPreserving(props)
  if (props['x-kubernetes-int-or-string']) return UNTYPED
  switch (props.type) {
    case undefined:
    case '':
      return { scalar: 'untyped', list: listOf(props, keeps), map: mapOf(props, isResource, keeps) }
    case 'object':
      return { map: mapOf(props, isResource, keeps) }
    case 'array':
      return { list: listOf(props, keeps) }
    default:
      return { scalar: scalarOf(props) }
  }
}

function scalarOf({ type, format }: JSONSchemaProps): ApplyScalar {
  if (type === 'integer' || type === 'number') return 'numeric'
  if (type === 'boolean') return 'boolean'
  return !format || format === 'byte' ? 'string' : 'untyped'
}

function mapOf(props: JSONSchemaProps, isResource: boolean, keeps: boolean): ApplyMap {
  const own = Object.entries(props.properties ?? {}).map(([name, field]): readonly [string, ApplyField] => {
    const type = typeOf(field, isEmbedded(field), keeps)
    return [name, field.default === undefined ? { type } : { type, default: field.default as Json }]
  })
  const fields = new Map([...own, ...(isResource ? metaFields() : [])])
  const element = elementOf(props, fields.size === 0 || keeps, keeps)
  return { isAtomic: props['x-kubernetes-map-type'] === 'atomic', fields, ...(element ? { element } : {}) }
}

/** The type of whatever has no field of its own. */
function elementOf(props: JSONSchemaProps, isOpen: boolean, keeps: boolean): ApplyType | undefined {
  const additional = additionalSchemaOf(props)
  if (additional) return typeOf(additional, isEmbedded(additional), keeps)
  if (props.additionalProperties === undefined) return isOpen ? DEDUCED : undefined
  return props.additionalProperties === true ? DEDUCED : undefined
}

function listOf(props: JSONSchemaProps, keeps: boolean): ApplyList {
  const items = itemsOf(props)
  const listType = props['x-kubernetes-list-type'] ?? 'atomic'
  return {
    isAtomic: listType === 'atomic',
    keys: listType === 'map' ? (props['x-kubernetes-list-map-keys'] ?? []) : [],
    element: items ? typeOf(items, isEmbedded(items), keeps) : ATOMIC,
  }
}
