/**
 * The schema of a custom resource, taken apart once: what is asked of it on every write (fields by name, what prunes, what fills,
 * what needs a look at all) lies ready, so that a custom resource costs what a built-in one costs. The shape is upstream's
 * structural schema (KEP-1693): the outer skeleton alone decides on fields, types and defaults; `anyOf` and its kin only validate.
 */
import type { JSONSchemaProps } from '../../api/generated/apiextensions/v1.ts'
import type { Json } from '../../api/object.ts'
import { additionalSchemaOf, isEmbedded, itemsOf } from '../../cel/json-schema.ts'
import { fillDefaults } from './defaulting.ts'
import { createValueCheck, type ValueCheck } from './value-check.ts'

export interface Structural {
  readonly props: JSONSchemaProps
  readonly properties: ReadonlyMap<string, Structural>
  readonly items: Structural | undefined
  /** Fields beyond `properties`: `schema` is absent where any value is allowed (or none: `isAllowed` false). */
  readonly additional: { readonly schema: Structural | undefined; readonly isAllowed: boolean } | undefined
  readonly isPreserving: boolean
  readonly isEmbedded: boolean
  readonly isNullable: boolean
  /** With the defaults of its own fields filled in; undefined where there is none. */
  readonly default: Json | undefined
  /** Fields to set when absent. */
  readonly fills: readonly (readonly [name: string, value: Json])[]
  /** A default lies somewhere within. */
  readonly hasDefaults: boolean
  /** An embedded resource lies here or within. */
  readonly hasEmbedded: boolean
  /** A list that is a set or a map lies here or within. */
  readonly hasUniqueLists: boolean
  readonly check: ValueCheck
}

export const isPreserving = (props: JSONSchemaProps): boolean => props['x-kubernetes-preserve-unknown-fields'] === true

/** Schemas are immutable: the one that a write was judged by is the one that is served. */
const known = new WeakMap<JSONSchemaProps, Structural>()

export function compileSchema(props: JSONSchemaProps): Structural {
  let compiled = known.get(props)
  if (!compiled) known.set(props, (compiled = compileParts(props)))
  return compiled
}

function compileParts(props: JSONSchemaProps): Structural {
  const properties = new Map(Object.entries(props.properties ?? {}).map(([name, field]) => [name, compileParts(field)]))
  const itemProps = itemsOf(props)
  const items = itemProps && compileParts(itemProps)
  const additionalProps = additionalSchemaOf(props)
  const additional =
    props.additionalProperties === undefined || props.additionalProperties === null
      ? undefined
      : {
          schema: additionalProps && compileParts(additionalProps),
          isAllowed: additionalProps !== undefined || props.additionalProperties === true,
        }
  const children = [...properties.values(), ...(items ? [items] : []), ...(additional?.schema ? [additional.schema] : [])]
  const fills = [...properties].flatMap(([name, field]) => (field.default === undefined ? [] : [[name, field.default] as const]))
  const listType = props['x-kubernetes-list-type']
  const node = {
    props,
    properties,
    items,
    additional,
    isPreserving: isPreserving(props),
    isEmbedded: isEmbedded(props),
    isNullable: props.nullable === true,
    default: undefined as Json | undefined,
    fills,
    hasDefaults: fills.length > 0 || children.some((child) => child.hasDefaults || child.default !== undefined),
    hasEmbedded: isEmbedded(props) || children.some((child) => child.hasEmbedded),
    hasUniqueLists: listType === 'set' || listType === 'map' || children.some((child) => child.hasUniqueLists),
    check: createValueCheck(props, properties, items, additional?.schema),
  }
  if (props.default !== undefined) node.default = fillDefaults(props.default as Json, node)
  return node
}

/** Visits a schema and every schema within, `anyOf` and its kin included; stops when `visit` returns true. */
export function someSchema(props: JSONSchemaProps | undefined, visit: (props: JSONSchemaProps) => boolean): boolean {
  if (!props) return false
  if (visit(props)) return true
  const inner: (JSONSchemaProps | undefined)[] = [
    ...(Array.isArray(props.items) ? (props.items as JSONSchemaProps[]) : [itemsOf(props)]),
    ...(props.allOf ?? []),
    ...(props.anyOf ?? []),
    ...(props.oneOf ?? []),
    props.not,
    ...Object.values(props.properties ?? {}),
    additionalSchemaOf(props),
    ...Object.values(props.patternProperties ?? {}),
    ...Object.values(props.definitions ?? {}),
  ]
  return inner.some((schema) => someSchema(schema, visit))
}
