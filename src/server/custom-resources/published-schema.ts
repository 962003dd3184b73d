/**
 * The schema of a version as the OpenAPI documents show it (apiextensions-apiserver pkg/controller/openapi/builder). Swagger 2.0 has
 * no words for much of it, and kubectl reads it strictly: what it would misread is left out there.
 */
import type { CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps } from '../../api/generated/apiextensions/v1.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import type { Dialect, OpenApiObject } from '../openapi/schema-writer.ts'
import { additionalSchemaOf, isEmbedded, itemsOf } from '../../cel/json-schema.ts'
import { isPreserving, someSchema } from './structural.ts'
import { unsupportedKeyword, validateStructural } from './structural-validation.ts'

export interface PublishedSchema {
  /** Undefined: nothing is said of the fields, so that clients take any. `metadata` is the reference to ObjectMeta. */
  schema(dialect: Dialect, metadata: OpenApiObject): OpenApiObject | undefined
  /** x-kubernetes-selectable-fields and the like, which stand beside the kind. */
  readonly extensions: OpenApiObject
}

type Props = { readonly [K in keyof JSONSchemaProps]: JSONSchemaProps[K] }

const TYPES: ReadonlySet<string> = new Set(['array', 'boolean', 'integer', 'number', 'object', 'string'])
const INT_OR_STRING: readonly JSONSchemaProps[] = [{ type: 'integer' }, { type: 'string' }]

const API_VERSION_TEXT =
  'apiVersion defines the versioned schema of this representation of an object. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources'
const KIND_TEXT =
  'kind is a string value representing the type of this object. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds'

export function publishedSchema({ spec }: CustomResourceDefinition, version: CustomResourceDefinitionVersion): PublishedSchema {
  const props = version.schema?.openAPIV3Schema
  const isFit =
    props !== undefined &&
    !someSchema(props, ({ type }) => type !== undefined && type !== '' && !TYPES.has(type)) &&
    unsupportedKeyword(props) === undefined &&
    validateStructural(props, '').length === 0
  const fields = version.selectableFields ?? []
  return {
    extensions:
      fields.length > 0
        ? { 'x-kubernetes-selectable-fields': fields.map(({ jsonPath }) => ({ fieldPath: jsonPath.replace(/^\./, '') })) }
        : {},
    schema(dialect, metadata) {
      if (!isFit || (dialect === 'v2' && (isPreserving(props) || spec.preserveUnknownFields))) return undefined
      return write(props, dialect, metadata)
    },
  }
}

function write(props: Props, dialect: Dialect, metadata: OpenApiObject): OpenApiObject {
  const shown = dialect === 'v2' ? simplified(props) : unfolded(props)
  const additional = additionalSchemaOf(shown)
  const items = itemsOf(shown)
  const properties = shown.properties && mapValues(shown.properties, (field) => write(field, dialect, metadata))
  const written: OpenApiObject = {
    ...shown,
    ...(properties ? { properties } : {}),
    ...(additional ? { additionalProperties: write(additional, dialect, metadata) } : {}),
    ...(items ? { items: write(items, dialect, metadata) } : {}),
  }
  if (!isEmbedded(shown) || (dialect === 'v2' && isPreserving(shown))) return written
  return {
    ...written,
    properties: {
      ...properties,
      apiVersion: { description: API_VERSION_TEXT, type: 'string' },
      kind: { description: KIND_TEXT, type: 'string' },
      metadata,
    },
    required: [...new Set([...(shown.required ?? []), 'kind', 'apiVersion'])],
  }
}

const mapValues = <T, R>(values: Readonly<Record<string, T>>, map: (value: T) => R): Record<string, R> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, map(value)]))

/** Int-or-string says what it is in words that every reader of OpenAPI 3 knows. */
function unfolded(props: Props): Props {
  if (!props['x-kubernetes-int-or-string']) return props
  if (deepEqual(props.anyOf, INT_OR_STRING) || deepEqual(props.allOf?.[0]?.anyOf, INT_OR_STRING)) return props
  if (!props.anyOf) return { ...props, anyOf: INT_OR_STRING }
  return { ...props, allOf: [{ anyOf: INT_OR_STRING }, ...(props.allOf ?? [])] }
}

/** Without what Swagger 2.0 has no words for, and what kubectl misreads. */
function simplified(props: Props): Props {
  const { allOf: _all, oneOf: _one, anyOf: _any, not: _not, nullable, ...rest } = props
  const kept: { -readonly [K in keyof Props]: Props[K] } = rest
  if (nullable) delete kept.type
  if (nullable || isPreserving(props)) {
    delete kept.items
    delete kept.properties
  }
  if (!kept.items && kept.type === 'array') delete kept.type
  if (isPreserving(props) && kept.type === 'object') delete kept.type
  const isNullable = (name: string): boolean => kept.properties?.[name]?.nullable === true
  if (kept.required?.some(isNullable)) {
    const required = kept.required.filter((name) => !isNullable(name))
    if (required.length > 0) kept.required = required
    else delete kept.required
  }
  if (additionalSchemaOf(props)?.nullable) delete kept.required
  return kept
}
