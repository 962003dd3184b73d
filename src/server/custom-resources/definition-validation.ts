/**
 * What a CustomResourceDefinition may say (apiextensions-apiserver pkg/apis/apiextensions/validation). A fault that was there before
 * an update does not stop it where upstream bears it too.
 */
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionNames,
  CustomResourceDefinitionSpec,
  CustomResourceDefinitionVersion,
  JSONSchemaProps,
} from '../../api/generated/apiextensions/v1.ts'
import { dns1035LabelFaults, dns1123SubdomainFaults } from '../../api/names.ts'
import type { FieldError } from '../../api/status.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { checkImmutable, checkRequiredOneOf, forbidden, invalid, required, type FieldErrors } from '../resources/rules.ts'
import { approvalOf, APPROVED_ANNOTATION, isProtectedGroup } from './api-approval.ts'
import { isConditionTrue } from './conditions.ts'
import { validateConversion } from './conversion-validation.ts'
import { validateDefaults } from './default-validation.ts'
import { validateSchema } from './schema-validation.ts'
import { compileSchema, someSchema } from './structural.ts'
import { unsupportedKeyword, validateStructural } from './structural-validation.ts'
import type { ValidationRules } from './validation-rules.ts'
import { validateColumns, validateSelectableFields, validateSubresources } from './version-validation.ts'

export interface DefinitionChecks {
  readonly rules: ValidationRules | undefined
}

const VERSIONS = '[apiextensions/v1.CustomResourceDefinitionVersion'

/** What upstream's types always have, also when nothing was said. */
const whole = (definition: CustomResourceDefinition): CustomResourceDefinition => ({
  ...definition,
  spec: { ...NOTHING, ...(definition.spec as CustomResourceDefinitionSpec | undefined) },
})

const NOTHING: CustomResourceDefinitionSpec = { group: '', scope: '', versions: [], names: { plural: '', kind: '' } }

export function validateDefinition(given: CustomResourceDefinition, checks: DefinitionChecks): readonly FieldError[] {
  const definition = whole(given)
  const errors: FieldErrors = []
  const { spec } = definition
  for (const field of ['generateName', 'name'] as const) {
    const value = definition.metadata?.[field]
    if (value && value !== `${spec.names?.plural ?? ''}.${spec.group ?? ''}`)
      errors.push(invalid(`metadata.${field}`, value, 'must be spec.names.plural+"."+spec.group'))
  }
  validateSpec(definition, undefined, checks, errors)
  validateRest(definition, errors)
  validateApproval(definition, undefined, errors)
  if (spec.preserveUnknownFields) errors.push(preservesUnknown())
  return errors
}

export function validateDefinitionUpdate(
  given: CustomResourceDefinition,
  old: CustomResourceDefinition,
  checks: DefinitionChecks,
): readonly FieldError[] {
  const definition = whole(given)
  const errors: FieldErrors = []
  validateSpec(definition, old, checks, errors)
  const { spec } = definition
  if (isConditionTrue(old, 'Established')) {
    checkImmutable(errors, 'spec.scope', spec.scope, old.spec.scope)
    checkImmutable(errors, 'spec.names.kind', spec.names.kind, old.spec.names.kind)
  }
  checkImmutable(errors, 'spec.group', spec.group, old.spec.group)
  checkImmutable(errors, 'spec.names.plural', spec.names.plural, old.spec.names.plural)
  validateRest(definition, errors)
  validateApproval(definition, old, errors)
  if (spec.preserveUnknownFields && !old.spec.preserveUnknownFields) errors.push(preservesUnknown())
  return errors
}

const preservesUnknown = (): FieldError =>
  invalid(
    'spec.preserveUnknownFields',
    true,
    'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead',
  )

export function validateDefinitionStatus({ status }: CustomResourceDefinition): readonly FieldError[] {
  const errors: FieldErrors = []
  if (status?.acceptedNames) validateNames(status.acceptedNames, 'status.acceptedNames', errors)
  return errors
}

function validateRest(definition: CustomResourceDefinition, errors: FieldErrors): void {
  errors.push(...validateDefinitionStatus(definition))
  const stored = definition.status?.storedVersions ?? []
  const at = 'status.storedVersions'
  if (stored.length === 0) {
    errors.push(invalid(at, null, 'must have at least one stored version'))
    return
  }
  const versions = definition.spec.versions ?? []
  // A name that versions have twice is found once.
  const missing = new Set(stored)
  for (const { name, storage } of versions)
    if (!missing.delete(name) && storage) errors.push(invalid(at, stored, `must have the storage version ${name}`))
  for (const [index, name] of stored.entries()) {
    if (!missing.has(name)) continue
    const detail = `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`
    errors.push(invalid(`${at}[${index}]`, name, detail))
  }
}

function validateApproval(definition: CustomResourceDefinition, old: CustomResourceDefinition | undefined, errors: FieldErrors): void {
  if (!isProtectedGroup(definition.spec.group)) return
  const { state, reason } = approvalOf(definition)
  if (old && approvalOf(old).state === state) return
  const at = `metadata.annotations[${APPROVED_ANNOTATION}]`
  if (state === 'missing') errors.push(required(at, reason))
  if (state === 'invalid') errors.push(invalid(at, definition.metadata?.annotations?.[APPROVED_ANNOTATION] ?? '', reason))
}

function validateSpec(
  definition: CustomResourceDefinition,
  old: CustomResourceDefinition | undefined,
  checks: DefinitionChecks,
  errors: FieldErrors,
): void {
  const { spec } = definition
  const { group, versions } = spec
  const groupFaults = dns1123SubdomainFaults(group)
  if (group === '') errors.push(required('spec.group'))
  else if (groupFaults.length > 0) errors.push(invalid('spec.group', group, groupFaults.join(',')))
  else if (!group.includes('.')) errors.push(invalid('spec.group', group, 'should be a domain with at least one dot'))
  checkRequiredOneOf(errors, 'spec.scope', spec.scope, ['Cluster', 'Namespaced'])
  requireSchemas(spec, old?.spec, errors)
  if (
    spec.preserveUnknownFields &&
    versions.some(({ schema }) => someSchema(schema?.openAPIV3Schema, (props) => props.default !== undefined))
  )
    errors.push(invalid('spec.preserveUnknownFields', true, 'must be false in order to use defaults in the schema'))
  const { common, rest } = commonParts(versions)
  const before = (name: string) => old?.spec.versions.find((version) => version.name === name)
  rest.forEach((version, index) => {
    const faults = dns1035LabelFaults(version.name ?? '')
    if (faults.length > 0) errors.push(invalid(`spec.versions[${index}].name`, version.name ?? '', faults.join(',')))
    for (const fault of deprecationFaults(version))
      errors.push(invalid(`spec.versions[${index}].deprecationWarning`, version.deprecationWarning, fault))
    const hasStatus = versions[index]!.subresources?.status !== undefined
    validateParts(
      version,
      { before: before(version.name), hasStatus, at: `spec.versions[${index}]`, schemaAt: 'schema' },
      spec,
      checks,
      errors,
    )
  })
  if (new Set(versions.map(({ name }) => name)).size !== versions.length)
    errors.push(invalid('spec.versions', versions, 'must contain unique version names', VERSIONS))
  if (versions.filter(({ storage }) => storage).length !== 1)
    errors.push(
      invalid(
        'spec.versions',
        versions === NOTHING.versions ? null : versions,
        'must have exactly one version marked as storage version',
        VERSIONS,
      ),
    )
  // Clients of v1beta1 see the first version's name once more.
  const first = versions[0]?.name ? dns1035LabelFaults(versions[0].name) : []
  if (first.length > 0) errors.push(invalid('spec.version', versions[0]!.name, first.join(',')))
  for (const name of ['plural', 'singular', 'kind', 'listKind'] as const)
    if (!spec.names?.[name]) errors.push(required(`spec.names.${name}`))
  if (spec.names) validateNames(spec.names, 'spec.names', errors)
  const hasStatus = versions.some(({ subresources }) => subresources?.status !== undefined)
  const was = versions[0] && before(versions[0].name)
  if (common) validateParts(common, { before: was, hasStatus, at: 'spec', schemaAt: 'validation' }, spec, checks, errors)
  validateConversion(spec, old, errors)
}

const hasAllSchemas = ({ versions }: CustomResourceDefinitionSpec): boolean => versions.every(({ schema }) => schema?.openAPIV3Schema)

/** Every version has a schema; those that had none before must when they are served and their fields pruned. */
function requireSchemas(spec: CustomResourceDefinitionSpec, old: CustomResourceDefinitionSpec | undefined, errors: FieldErrors): void {
  const isRequired = !old || hasAllSchemas(old)
  if (!isRequired && spec.preserveUnknownFields) return
  spec.versions?.forEach(({ schema, served }, index) => {
    if (schema?.openAPIV3Schema || !(isRequired || served)) return
    errors.push(required(`spec.versions[${index}].schema.openAPIV3Schema`, isRequired ? '' : 'because otherwise all fields are pruned'))
  })
}

export function validateNames(names: CustomResourceDefinitionNames, path: string, errors: FieldErrors): void {
  const label = (field: string, value: string | undefined, prefix = ''): void => {
    if (value) wanted(field, value, prefix)
  }
  const wanted = (field: string, value: string, prefix = ''): void => {
    const faults = dns1035LabelFaults(prefix ? value.toLowerCase() : value)
    if (faults.length > 0) errors.push(invalid(`${path}.${field}`, value, prefix + faults.join(',')))
  }
  const mixed = 'may have mixed case, but should otherwise match: '
  label('plural', names.plural)
  label('singular', names.singular)
  label('kind', names.kind, mixed)
  label('listKind', names.listKind, mixed)
  names.shortNames?.forEach((name, index) => wanted(`shortNames[${index}]`, name))
  if (names.kind && names.kind === names.listKind)
    errors.push(invalid(`${path}.listKind`, names.listKind, 'kind and listKind may not be the same'))
  names.categories?.forEach((name, index) => wanted(`categories[${index}]`, name))
}

/** What all versions have alike is told of the definition, as upstream keeps it inside; the rest of each version by itself. */
const PARTS = ['schema', 'subresources', 'additionalPrinterColumns', 'selectableFields'] as const
type Parts = Pick<CustomResourceDefinitionVersion, (typeof PARTS)[number]>

function commonParts(versions: readonly CustomResourceDefinitionVersion[]): {
  readonly common: Parts | undefined
  readonly rest: readonly CustomResourceDefinitionVersion[]
} {
  const [first, ...others] = versions
  if (!first) return { common: undefined, rest: versions }
  const alike = PARTS.filter((part) => others.every((other) => deepEqual(other[part], first[part])))
  const own = <T extends object>(object: T, wanted: (key: string) => boolean): T =>
    Object.fromEntries(Object.entries(object).filter(([key]) => wanted(key))) as T
  const isAlike = (key: string): boolean => (alike as readonly string[]).includes(key)
  return { common: own<Parts>(first, isAlike), rest: versions.map((version) => own(version, (key) => !isAlike(key))) }
}

interface PartsPlace {
  /** The version as it was. */
  readonly before: CustomResourceDefinitionVersion | undefined
  readonly hasStatus: boolean
  readonly at: string
  readonly schemaAt: 'schema' | 'validation'
}

function validateParts(
  parts: Parts,
  { before, hasStatus, at, schemaAt }: PartsPlace,
  spec: CustomResourceDefinitionSpec,
  checks: DefinitionChecks,
  errors: FieldErrors,
): void {
  // What was accepted once is not judged again while it stays as it was.
  const isKnown = before !== undefined && Boolean(before.subresources?.status) === hasStatus && deepEqual(before.schema, parts.schema)
  const schema = parts.schema?.openAPIV3Schema
  if (schema && !isKnown) validateVersionSchema(schema, hasStatus, spec, `${at}.${schemaAt}.openAPIV3Schema`, checks, errors)
  validateSubresources(parts.subresources, `${at}.subresources`, errors)
  validateColumns(parts.additionalPrinterColumns ?? [], `${at}.additionalPrinterColumns`, errors)
  const isWhole = schemaAt === 'validation'
  validateSelectableFields(parts, before, `${at}.selectableFields`, isWhole, errors)
}

function deprecationFaults({ deprecated, deprecationWarning }: CustomResourceDefinitionVersion): readonly string[] {
  if (deprecationWarning === undefined) return []
  if (!deprecated) return ['can only be set for deprecated versions']
  const faults: string[] = []
  if (new TextEncoder().encode(deprecationWarning).length > 256) faults.push('must be <= 256 characters long')
  if (deprecationWarning === '') faults.push('must not be an empty string')
  const odd = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.exec(deprecationWarning)
  if (odd) faults.push(`must only contain printable UTF-8 characters; non-printable character found at index ${odd.index}`)
  return faults
}

/** What the root of a schema may say when its status is validated by itself: nothing that spans both. */
const ROOT_FIELDS = [
  'Description', 'Type', 'Format', 'Title', 'Maximum', 'ExclusiveMaximum', 'Minimum', 'ExclusiveMinimum', 'MaxLength', 'MinLength',
  'Pattern', 'MaxItems', 'MinItems', 'UniqueItems', 'MultipleOf', 'Required', 'Items', 'Properties', 'ExternalDocs', 'Example',
  'XPreserveUnknownFields', 'XValidations',
] as const // prettier-ignore

/** Keywords as Go names their fields. */
const goField = (keyword: string): string =>
  keyword === 'x-kubernetes-preserve-unknown-fields'
    ? 'XPreserveUnknownFields'
    : keyword === 'x-kubernetes-validations'
      ? 'XValidations'
      : keyword.charAt(0).toUpperCase() + keyword.slice(1)

function validateVersionSchema(
  schema: JSONSchemaProps,
  hasStatus: boolean,
  spec: CustomResourceDefinitionSpec,
  path: string,
  { rules }: DefinitionChecks,
  errors: FieldErrors,
): void {
  const own: FieldErrors = []
  if (hasStatus) {
    if (schema.type !== 'object' && schema.type !== undefined)
      own.push(
        invalid(
          `${path}.type`,
          schema.type,
          'only "object" is allowed as the type at the root of the schema if the status subresource is enabled',
        ),
      )
    else if (Object.keys(schema).some((keyword) => !(ROOT_FIELDS as readonly string[]).includes(goField(keyword))))
      own.push(
        invalid(
          path,
          schema,
          `only [${ROOT_FIELDS.join(' ')}] fields are allowed at the root of the schema if the status subresource is enabled`,
          'apiextensions/v1.JSONSchemaProps',
        ),
      )
  }
  if (schema.nullable) own.push(forbidden(`${path}.nullable`, 'nullable cannot be true at the root'))
  const unsupported = unsupportedKeyword(schema)
  let isStructural = false
  if (!unsupported && !spec.preserveUnknownFields) {
    const structural = validateStructural(schema, path)
    const faults =
      structural.length > 0
        ? structural
        : validateDefaults(compileSchema(schema), path, (part) => rules?.compile(part.props, part.isEmbedded))
    isStructural = faults.length === 0
    own.push(...faults)
  }
  validateSchema(schema, path, true, own)
  if (own.length === 0 && unsupported) own.push(invalid(path, '', unsupported))
  const hasRules = someSchema(schema, (props) => (props['x-kubernetes-validations']?.length ?? 0) > 0)
  if (own.length === 0 && isStructural && hasRules)
    own.push(...(rules?.validate(schema, path) ?? [forbidden(path, 'x-kubernetes-validations are not supported by this server')]))
  errors.push(...own)
}
