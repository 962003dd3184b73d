/**
 * What a schema within a definition may say beside being structural: supported keywords, types, list types and their keys, and the
 * form of its rules (apiextensions-apiserver pkg/apis/apiextensions/validation).
 */
import type { JSONSchemaProps, ValidationRule } from '../../api/generated/apiextensions/v1.ts'
import { forbidden, invalid, notSupported, required, type FieldErrors } from '../resources/rules.ts'
import { isMetaField } from './coerce.ts'
import { fieldAt } from './field-path.ts'
import { additionalSchemaOf, isEmbedded, itemsOf } from '../../cel/json-schema.ts'

/** What holds for a schema by where it stands. */
interface Place {
  readonly isInsideMeta: boolean
  /** Why defaults are not allowed here; undefined where they are. */
  readonly defaultsForbidden?: string
}

const TYPES: readonly string[] = ['array', 'boolean', 'integer', 'number', 'object', 'string']

export function validateSchema(props: JSONSchemaProps, path: string, isRoot: boolean, errors: FieldErrors): void {
  visit(props, path, isRoot, { isInsideMeta: false }, errors)
}

function visit(props: JSONSchemaProps, path: string, isRoot: boolean, place: Place, errors: FieldErrors): void {
  keywords(props, path, place, errors)
  if (props.uniqueItems)
    errors.push(forbidden(`${path}.uniqueItems`, 'uniqueItems cannot be set to true since the runtime complexity becomes quadratic'))
  const additional = additionalSchemaOf(props)
  const hasProperties = Object.keys(props.properties ?? {}).length > 0
  if (props.additionalProperties !== undefined) {
    if (hasProperties && props.additionalProperties !== true)
      errors.push(forbidden(`${path}.additionalProperties`, 'additionalProperties and properties are mutual exclusive'))
    if (additional) {
      const inner = place.isInsideMeta ? { ...place, defaultsForbidden: 'inside additionalProperties applying to object metadata' } : place
      visit(additional, `${path}.additionalProperties`, false, inner, errors)
    }
  }
  for (const [name, field] of Object.entries(props.properties ?? {})) {
    const isMeta = (isRoot || isEmbedded(props)) && isMetaField(name)
    const inner = isMeta ? { ...place, isInsideMeta: true, ...(isRoot ? { defaultsForbidden: `in top-level ${name}` } : {}) } : place
    visit(field, `${path}.properties[${name}]`, false, inner, errors)
  }
  if (props.not) visit(props.not, `${path}.not`, false, place, errors)
  for (const keyword of ['allOf', 'oneOf', 'anyOf'] as const)
    props[keyword]?.forEach((schema, index) => visit(schema, `${path}.${keyword}[${index}]`, false, place, errors))
  const items = itemsOf(props)
  if (items) visit(items, `${path}.items`, false, place, errors)
  extensions(props, path, errors)
  mapKeys(props, items, path, errors)
  uniqueListItems(props, items, path, errors)
  props['x-kubernetes-validations']?.forEach((rule, index) => ruleForm(rule, props, `${path}.x-kubernetes-validations[${index}]`, errors))
}

function keywords(props: JSONSchemaProps, path: string, place: Place, errors: FieldErrors): void {
  const { type } = props
  if (type && !TYPES.includes(type)) errors.push(notSupported(`${path}.type`, type, TYPES))
  if (props.default !== undefined && place.defaultsForbidden !== undefined)
    errors.push(forbidden(`${path}.default`, `must not be set ${place.defaultsForbidden}`))
  const unsupported: readonly (readonly [name: string, isThere: unknown])[] = [
    ['id', props.id],
    ['additionalItems', props.additionalItems !== undefined],
    ['patternProperties', Object.keys(props.patternProperties ?? {}).length > 0],
    ['definitions', Object.keys(props.definitions ?? {}).length > 0],
    ['dependencies', props.dependencies !== undefined],
    ['$ref', props.$ref !== undefined],
  ]
  for (const [name, isThere] of unsupported) if (isThere) errors.push(forbidden(`${path}.${name}`, `${name} is not supported`))
  if (type === 'null') errors.push(forbidden(`${path}.type`, 'type cannot be set to null, use nullable as an alternative'))
  if (Array.isArray(props.items)) errors.push(forbidden(`${path}.items`, 'items must be a schema object and not an array'))
  if (place.isInsideMeta && isEmbedded(props))
    errors.push(forbidden(`${path}.x-kubernetes-embedded-resource`, 'must not be used inside of resource meta'))
}

const oneOfTypes = (path: string, type: string | undefined, detail: string) =>
  type === undefined ? required(path, detail) : invalid(path, type, detail)

function extensions(props: JSONSchemaProps, path: string, errors: FieldErrors): void {
  const { type } = props
  const mapType = props['x-kubernetes-map-type']
  const listType = props['x-kubernetes-list-type']
  if (props['x-kubernetes-preserve-unknown-fields'] === false)
    errors.push(invalid(`${path}.x-kubernetes-preserve-unknown-fields`, false, 'must be true or undefined'))
  if (mapType !== undefined && type !== 'object')
    errors.push(oneOfTypes(`${path}.type`, type, 'must be object if x-kubernetes-map-type is specified'))
  if (mapType !== undefined && mapType !== 'atomic' && mapType !== 'granular')
    errors.push(notSupported(`${path}.x-kubernetes-map-type`, mapType, ['atomic', 'granular']))
  if (listType !== undefined && type !== 'array')
    errors.push(oneOfTypes(`${path}.type`, type, 'must be array if x-kubernetes-list-type is specified'))
  else if (listType === 'set') {
    const items = itemsOf(props)
    const detail = 'must be atomic as item of a list with x-kubernetes-list-type=set'
    const itemListType = items?.['x-kubernetes-list-type']
    if (items?.type === 'array' && itemListType !== undefined && itemListType !== 'atomic')
      errors.push(invalid(`${path}.items.x-kubernetes-list-type`, itemListType, detail))
    if (items?.type === 'object' && items['x-kubernetes-map-type'] !== 'atomic')
      errors.push(invalid(`${path}.items.x-kubernetes-map-type`, itemListType, detail))
  }
  if (listType !== undefined && !['atomic', 'set', 'map'].includes(listType))
    errors.push(notSupported(`${path}.x-kubernetes-list-type`, listType, ['atomic', 'set', 'map']))
}

function mapKeys(props: JSONSchemaProps, items: JSONSchemaProps | undefined, path: string, errors: FieldErrors): void {
  const listType = props['x-kubernetes-list-type']
  const keys = props['x-kubernetes-list-map-keys'] ?? []
  const at = `${path}.x-kubernetes-list-map-keys`
  if (keys.length > 0 && listType !== 'map')
    errors.push(oneOfTypes(`${path}.x-kubernetes-list-type`, listType, 'must be map if x-kubernetes-list-map-keys is non-empty'))
  if (listType !== 'map') return
  if (keys.length === 0) errors.push(required(at, 'must not be empty if x-kubernetes-list-type is map'))
  if (props.items === undefined) errors.push(required(`${path}.items`, 'must have a schema if x-kubernetes-list-type is map'))
  if (Array.isArray(props.items))
    errors.push(invalid(`${path}.items`, props.items, 'must only have a single schema if x-kubernetes-list-type is map'))
  if (!items) return
  if (items.type !== 'object') {
    errors.push(invalid(`${path}.items.type`, items.type ?? '', "must be object if parent array's x-kubernetes-list-type is map"))
    return
  }
  for (const [index, key] of keys.entries()) {
    const field = items.properties?.[key]
    if (!field) errors.push(invalid(at, keys, 'entries must all be names of item properties'))
    else if (field.type === 'array' || field.type === 'object')
      errors.push(
        invalid(
          `${path}.items.properties[${key}].type`,
          items.type,
          "must be a scalar type if parent array's x-kubernetes-list-type is map",
        ),
      )
    if (keys.indexOf(key) < index) errors.push(invalid(at, keys, 'must not contain duplicate entries'))
  }
}

function uniqueListItems(props: JSONSchemaProps, items: JSONSchemaProps | undefined, path: string, errors: FieldErrors): void {
  const listType = props['x-kubernetes-list-type']
  if (!items || (listType !== 'set' && listType !== 'map')) return
  if (items.nullable) errors.push(forbidden(`${path}.items.nullable`, `cannot be nullable when x-kubernetes-list-type is ${listType}`))
  if (listType !== 'map') return
  for (const key of props['x-kubernetes-list-map-keys'] ?? []) {
    const field = items.properties?.[key]
    if (!field) continue
    const at = `${path}.items.properties[${key}]`
    if (!items.required?.includes(key) && field.default === undefined)
      errors.push(
        required(`${at}.default`, 'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property'),
      )
    if (field.nullable) errors.push(forbidden(`${at}.nullable`, 'this property is in x-kubernetes-list-map-keys, so it cannot be nullable'))
  }
}

const REASONS: readonly string[] = ['FieldValueDuplicate', 'FieldValueForbidden', 'FieldValueInvalid', 'FieldValueRequired']
const hasLineBreak = (text: string): boolean => /[\n\r]/.test(text)

function ruleForm(rule: ValidationRule, props: JSONSchemaProps, path: string, errors: FieldErrors): void {
  const { rule: text, message = '', messageExpression = '', reason, fieldPath = '' } = rule
  if (text.trim() === '') errors.push(required(`${path}.rule`, 'rule is not specified'))
  else if (message !== '' && message.trim() === '') errors.push(invalid(`${path}.message`, message, 'must be non-empty if specified'))
  else if (hasLineBreak(message.trim())) errors.push(invalid(`${path}.message`, message, 'must not contain line breaks'))
  else if (hasLineBreak(text.trim()) && message.trim() === '')
    errors.push(required(`${path}.message`, 'message must be specified if rule contains line breaks'))
  if (messageExpression !== '' && messageExpression.trim() === '')
    errors.push(required(`${path}.messageExpression`, 'messageExpression must be non-empty if specified'))
  if (reason !== undefined && !REASONS.includes(reason)) errors.push(notSupported(`${path}.reason`, reason, REASONS))
  if (fieldPath === '') return
  if (fieldPath.trim() === '') errors.push(invalid(`${path}.fieldPath`, fieldPath, 'must be non-empty if specified'))
  if (hasLineBreak(fieldPath)) errors.push(invalid(`${path}.fieldPath`, fieldPath, 'must not contain line breaks'))
  if ('fault' in fieldAt(fieldPath, props)) errors.push(invalid(`${path}.fieldPath`, fieldPath, 'must be a valid path'))
}
