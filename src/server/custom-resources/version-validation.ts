/** Rules of what a version has beside its schema: subresources, printed columns and selectable fields. */
import type {
  CustomResourceColumnDefinition,
  CustomResourceDefinitionVersion,
  CustomResourceSubresources,
} from '../../api/generated/apiextensions/v1.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { duplicate, invalid, required, tooMany, type FieldErrors } from '../resources/rules.ts'
import { fieldAt } from './field-path.ts'

/** Adds what is wrong with a path of plain fields; false when it did. */
function isSimplePath(path: string, at: string, errors: FieldErrors): boolean {
  if (path.startsWith('.')) return true
  errors.push(invalid(at, path, 'must be a simple json path starting with .'))
  return false
}

export function validateSubresources(subresources: CustomResourceSubresources | undefined, path: string, errors: FieldErrors): void {
  const scale = subresources?.scale
  if (!scale) return
  const check = (field: string, value: string | undefined, prefixes: readonly string[], detail: string): void => {
    const at = `${path}.scale.${field}`
    if (!value) errors.push(required(at))
    else if (isSimplePath(value, at, errors) && !prefixes.some((prefix) => value.startsWith(prefix)))
      errors.push(invalid(at, value, detail))
  }
  check('specReplicasPath', scale.specReplicasPath, ['.spec.'], 'should be a json path under .spec')
  check('statusReplicasPath', scale.statusReplicasPath, ['.status.'], 'should be a json path under .status')
  if (scale.labelSelectorPath)
    check('labelSelectorPath', scale.labelSelectorPath, ['.spec.', '.status.'], 'should be a json path under either .spec or .status')
}

const COLUMN_TYPES: readonly string[] = ['boolean', 'date', 'integer', 'number', 'string']
const COLUMN_FORMATS: readonly string[] = ['byte', 'date', 'date-time', 'double', 'float', 'int32', 'int64', 'password']

export function validateColumns(columns: readonly CustomResourceColumnDefinition[], path: string, errors: FieldErrors): void {
  columns.forEach(({ name, type, format, jsonPath }, index) => {
    const at = `${path}[${index}]`
    const types = `must be one of ${COLUMN_TYPES.join(',')}`
    if (!name) errors.push(required(`${at}.name`))
    if (!type) errors.push(required(`${at}.type`, types))
    else if (!COLUMN_TYPES.includes(type)) errors.push(invalid(`${at}.type`, type, types))
    if (format && !COLUMN_FORMATS.includes(format))
      errors.push(invalid(`${at}.format`, format, `must be one of ${COLUMN_FORMATS.join(',')}`))
    if (!jsonPath) errors.push(required(`${at}.JSONPath`))
    else isSimplePath(jsonPath, `${at}.JSONPath`, errors)
  })
}

/** KEP-4358. */
const MAX_SELECTABLE_FIELDS = 8
const SELECTABLE_TYPES: ReadonlySet<string> = new Set(['string', 'boolean', 'integer'])

export function validateSelectableFields(
  { selectableFields = [], schema }: Pick<CustomResourceDefinitionVersion, 'selectableFields' | 'schema'>,
  old: CustomResourceDefinitionVersion | undefined,
  path: string,
  isWhole: boolean,
  errors: FieldErrors,
): void {
  if (selectableFields.length === 0) return
  const root = schema?.openAPIV3Schema
  if (!root) {
    const why = isWhole ? 'when validations.schema is included' : 'when `version.schema.openAPIV3Schema` is not included'
    errors.push(invalid(path, '', `may only be set ${why}`))
    return
  }
  const known = new Set<string>()
  selectableFields.forEach(({ jsonPath }, index) => {
    const at = `${path}[${index}].jsonPath`
    if (!jsonPath) {
      errors.push(required(at))
      return
    }
    const found = fieldAt(jsonPath, root, { allowsBrackets: false })
    if ('fault' in found) {
      errors.push(invalid(at, jsonPath, `is an invalid path: ${found.fault}`))
      return
    }
    if (found.names[0] === 'metadata') errors.push(invalid(at, jsonPath, 'must not point to fields in metadata'))
    if (!SELECTABLE_TYPES.has(found.schema?.type ?? ''))
      errors.push(
        invalid(
          at,
          jsonPath,
          'must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.',
        ),
      )
    const name = found.names.join('.')
    if (known.has(name)) errors.push(duplicate(at, jsonPath))
    known.add(name)
  })
  const wereTooMany = (old?.selectableFields?.length ?? 0) > MAX_SELECTABLE_FIELDS && deepEqual(old?.selectableFields, selectableFields)
  if (known.size > MAX_SELECTABLE_FIELDS && !wereTooMany) errors.push(tooMany(path, known.size, MAX_SELECTABLE_FIELDS))
}
