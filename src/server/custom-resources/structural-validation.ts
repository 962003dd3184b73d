/**
 * Whether a schema is structural (KEP-1693; apiextensions-apiserver pkg/apiserver/schema): every field has its type in the outer
 * skeleton, and what stands within `allOf`, `anyOf`, `oneOf` and `not` only narrows values of fields that the skeleton has.
 */
import type { JSONSchemaProps } from '../../api/generated/apiextensions/v1.ts'
import type { FieldError } from '../../api/status.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { forbidden, invalid, required, type FieldErrors } from '../resources/rules.ts'
import { compilePattern } from './patterns.ts'
import { additionalSchemaOf, isEmbedded, itemsOf } from '../../cel/json-schema.ts'
import { isPreserving } from './structural.ts'

type Level = 'root' | 'item' | 'field'

const NOT_EMPTY: Readonly<Record<Level, string>> = {
  root: 'must not be empty at the root',
  item: 'must not be empty for specified array items',
  field: 'must not be empty for specified object fields',
}

/** A keyword that no structural schema may have, as upstream names it; undefined when there is none. */
export function unsupportedKeyword(props: JSONSchemaProps): string | undefined {
  const found = [
    props.id && 'id',
    props.$schema && 'schema',
    props.$ref && '$ref',
    Object.keys(props.patternProperties ?? {}).length > 0 && 'patternProperties',
    Object.keys(props.dependencies ?? {}).length > 0 && 'dependencies',
    props.additionalItems !== undefined && 'additionalItems',
    Object.keys(props.definitions ?? {}).length > 0 && 'definitions',
  ].find(Boolean)
  if (found) return `OpenAPIV3Schema '${found}' is not supported`
  if (Array.isArray(props.items)) return "OpenAPIV3Schema 'items' must be a schema, but is an array"
  if (props['x-kubernetes-preserve-unknown-fields'] === false)
    return "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined"
  const inner = [
    itemsOf(props),
    additionalSchemaOf(props),
    props.not,
    ...Object.values(props.properties ?? {}),
    ...(props.allOf ?? []),
    ...(props.anyOf ?? []),
    ...(props.oneOf ?? []),
  ]
  for (const schema of inner) {
    const text = schema && unsupportedKeyword(schema)
    if (text) return text
  }
  return undefined
}

/** Sorted by their texts, as upstream's. */
export function validateStructural(props: JSONSchemaProps, path: string): readonly FieldError[] {
  const errors: FieldErrors = []
  invariants(props, 'root', path, errors)
  complete(props, props, path, path, errors)
  const textOf = ({ field, detail }: FieldError): string => `${field}: ${detail}`
  return errors.toSorted((a, b) => (textOf(a) < textOf(b) ? -1 : textOf(a) > textOf(b) ? 1 : 0))
}

const entries = (properties: JSONSchemaProps['properties']) => Object.entries(properties ?? {})

function invariants(props: JSONSchemaProps, level: Level, path: string, errors: FieldErrors): void {
  const { type = '' } = props
  const items = itemsOf(props)
  const additional = additionalSchemaOf(props)
  const hasAdditional = props.additionalProperties !== undefined
  if (type === 'array' && !items) errors.push(required(`${path}.items`, 'must be specified'))
  if (items) invariants(items, 'item', `${path}.items`, errors)
  for (const [name, field] of entries(props.properties)) invariants(field, 'field', `${path}.properties[${name}]`, errors)
  if (hasAdditional && level === 'root') errors.push(forbidden(`${path}.additionalProperties`, 'must not be used at the root'))
  if (additional) invariants(additional, 'field', `${path}.additionalProperties`, errors)
  const isIntOrString = props['x-kubernetes-int-or-string'] === true
  if (isIntOrString && isPreserving(props))
    errors.push(invalid(`${path}.x-kubernetes-preserve-unknown-fields`, true, 'must be false if x-kubernetes-int-or-string is true'))
  if (isIntOrString && isEmbedded(props))
    errors.push(invalid(`${path}.x-kubernetes-embedded-resource`, true, 'must be false if x-kubernetes-int-or-string is true'))
  const isAnyOf = isIntOrStringPair(props.anyOf)
  const isAllOf = isIntOrStringPair(props.allOf?.[0]?.anyOf)
  valueValidation(props, { skipsAnyOf: isAnyOf, skipsFirstAllOf: isAllOf }, path, errors)
  checkType(props, level, path, errors)
  const checksMeta = level === 'root' || isEmbedded(props)
  if (isEmbedded(props) && hasAdditional)
    errors.push(forbidden(`${path}.additionalProperties`, 'must not be used if x-kubernetes-embedded-resource is set'))
  if (level === 'root' && type && type !== 'object') errors.push(invalid(`${path}.type`, type, 'must be object at the root'))
  const { kind, apiVersion, metadata } = props.properties ?? {}
  if (checksMeta && kind && kind.type !== 'string') errors.push(invalid(`${path}.properties[kind].type`, kind.type ?? '', 'must be string'))
  if (checksMeta && apiVersion && apiVersion.type !== 'string')
    errors.push(invalid(`${path}.properties[apiVersion].type`, apiVersion.type ?? '', 'must be string'))
  if (metadata) checkMetadata(metadata, checksMeta, level, `${path}.properties[metadata]`, errors)
  if (isEmbedded(props) && !isPreserving(props) && entries(props.properties).length === 0)
    errors.push(
      required(
        `${path}.properties`,
        'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields',
      ),
    )
}

function checkType(props: JSONSchemaProps, level: Level, path: string, errors: FieldErrors): void {
  const { type = '' } = props
  if (isEmbedded(props) && type !== 'object') {
    const detail = 'must be object if x-kubernetes-embedded-resource is true'
    errors.push(type ? invalid(`${path}.type`, type, detail) : required(`${path}.type`, detail))
  } else if (!type && !props['x-kubernetes-int-or-string'] && !isPreserving(props)) errors.push(required(`${path}.type`, NOT_EMPTY[level]))
}

/** At the root only `name` and `generateName` may be narrowed. */
function checkMetadata(metadata: JSONSchemaProps, checksMeta: boolean, level: Level, path: string, errors: FieldErrors): void {
  if (checksMeta && metadata.type !== 'object') errors.push(invalid(`${path}.type`, metadata.type ?? '', 'must be object'))
  if (level !== 'root') return
  const { type: _type, default: _default, properties = {}, ...rest } = metadata
  const isOfNames = Object.keys(properties).every((name) => name === 'name' || name === 'generateName')
  if (!isOfNames || !deepEqual(rest, {}))
    errors.push(forbidden(path, 'must not specify anything other than name and generateName, but metadata is implicitly specified'))
}

const isIntOrStringPair = (schemas: readonly JSONSchemaProps[] | undefined): boolean =>
  deepEqual(schemas, [{ type: 'integer' }, { type: 'string' }])

interface Skips {
  readonly skipsAnyOf?: boolean
  readonly skipsFirstAllOf?: boolean
}

function valueValidation(props: JSONSchemaProps, { skipsAnyOf, skipsFirstAllOf }: Skips, path: string, errors: FieldErrors): void {
  if (!skipsAnyOf) props.anyOf?.forEach((schema, index) => nested(schema, {}, `${path}.anyOf[${index}]`, errors))
  props.allOf?.forEach((schema, index) =>
    nested(schema, { skipsAnyOf: Boolean(skipsFirstAllOf) && index === 0 }, `${path}.allOf[${index}]`, errors),
  )
  props.oneOf?.forEach((schema, index) => nested(schema, {}, `${path}.oneOf[${index}]`, errors))
  if (props.not) nested(props.not, {}, `${path}.not`, errors)
  const compiled = props.pattern ? compilePattern(props.pattern) : undefined
  if (compiled && 'fault' in compiled)
    errors.push(invalid(`${path}.pattern`, props.pattern, `must be a valid regular expression, but isn't: ${compiled.fault}`))
}

/** What only the outer skeleton may say, and what is told of it elsewhere. */
const SKELETON_ONLY: readonly (readonly [field: keyof JSONSchemaProps, detail: string])[] = [
  ['default', 'must be undefined to be structural'],
  ['title', 'must be empty to be structural'],
  ['description', 'must be empty to be structural'],
  ['nullable', 'must be false to be structural'],
  ['x-kubernetes-preserve-unknown-fields', 'must be false to be structural'],
  ['x-kubernetes-embedded-resource', 'must be false to be structural'],
  ['x-kubernetes-int-or-string', 'must be false to be structural'],
  ['x-kubernetes-list-map-keys', 'must be empty to be structural'],
  ['x-kubernetes-list-type', 'must be undefined to be structural'],
  ['x-kubernetes-map-type', 'must be undefined to be structural'],
  ['x-kubernetes-validations', 'must be empty to be structural'],
]

const isSet = (value: unknown): boolean =>
  value !== undefined && value !== '' && value !== false && !(Array.isArray(value) && value.length === 0)

function nested(props: JSONSchemaProps, skips: Skips, path: string, errors: FieldErrors): void {
  valueValidation(props, skips, path, errors)
  const items = itemsOf(props)
  if (items) nested(items, {}, `${path}.items`, errors)
  for (const [name, field] of entries(props.properties)) nested(field, {}, `${path}.properties[${name}]`, errors)
  if (props.type) errors.push(forbidden(`${path}.type`, 'must be empty to be structural'))
  if (props.additionalProperties !== undefined && props.additionalProperties !== false)
    errors.push(forbidden(`${path}.additionalProperties`, 'must be undefined to be structural'))
  for (const [field, detail] of SKELETON_ONLY)
    if (field === 'default' ? props.default !== undefined : isSet(props[field])) errors.push(forbidden(`${path}.${field}`, detail))
  if (props.properties?.metadata) errors.push(forbidden(`${path}.properties[metadata]`, 'must not be specified in a nested context'))
}

/** Every field that a nested schema narrows is in the skeleton. */
function complete(props: JSONSchemaProps, skeleton: JSONSchemaProps | undefined, sPath: string, vPath: string, errors: FieldErrors): void {
  if (!skeleton) {
    errors.push(required(sPath, `because it is defined in ${vPath}`))
    return
  }
  if (props.not) completeNested(props.not, skeleton, sPath, `${vPath}.not`, errors)
  for (const keyword of ['allOf', 'anyOf', 'oneOf'] as const)
    props[keyword]?.forEach((schema, index) => completeNested(schema, skeleton, sPath, `${vPath}.${keyword}[${index}]`, errors))
}

function completeNested(
  props: JSONSchemaProps,
  skeleton: JSONSchemaProps | undefined,
  sPath: string,
  vPath: string,
  errors: FieldErrors,
): void {
  complete(props, skeleton, sPath, vPath, errors)
  if (!skeleton) return
  const items = itemsOf(props)
  if (items) completeNested(items, itemsOf(skeleton), `${sPath}.items`, `${vPath}.items`, errors)
  for (const [name, field] of entries(props.properties)) {
    const [own, nestedPath] = [`${sPath}.properties[${name}]`, `${vPath}.properties[${name}]`]
    const inSkeleton = skeleton.properties?.[name]
    if (inSkeleton) completeNested(field, inSkeleton, own, nestedPath, errors)
    else errors.push(required(own, `because it is defined in ${nestedPath}`))
  }
}
