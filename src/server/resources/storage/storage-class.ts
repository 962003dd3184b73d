/** StorageClasses: kinds of storage that claims may ask for. */
import type { TopologySelectorLabelRequirement, TopologySelectorTerm } from '../../../api/generated/core/v1.ts'
import type { StorageClass } from '../../../api/generated/storage/v1.ts'
import { asGiven } from '../../../api/given-empty.ts'
import { qualifiedNameFaults } from '../../../api/names.ts'
import { defineResource, type Column } from '../../resource.ts'
import { ageColumn, boolean, nameColumn, text } from '../columns.ts'
import { DEPRECATED_LABELS } from '../core/pod-warnings.ts'
import { withPointerDefaults } from '../immutable.ts'
import { checkFormat, checkImmutable, checkOneOf, duplicate, invalid, required, tooLong, type FieldErrors } from '../rules.ts'

const DEFAULT_MARKS = ['storageclass.kubernetes.io/is-default-class', 'storageclass.beta.kubernetes.io/is-default-class']
const MAX_PARAMETERS = 512
const MAX_PARAMETERS_BYTES = 256 * 1024
const BINDING_MODES = ['Immediate', 'WaitForFirstConsumer']

export function validateProvisioner(errors: FieldErrors, path: string, name: string | undefined): void {
  if (!name) errors.push(required(path))
  else for (const fault of qualifiedNameFaults(name.toLowerCase())) errors.push(invalid(path, name.toLowerCase(), fault))
}

export function validateParameters(errors: FieldErrors, parameters: Readonly<Record<string, string>> | undefined): void {
  const entries = Object.entries(parameters ?? {})
  if (entries.length > MAX_PARAMETERS) return void errors.push(tooLong('parameters', MAX_PARAMETERS))
  for (const [key] of entries) if (!key) errors.push(invalid('parameters', key, 'field can not be empty.'))
  if (entries.reduce((size, [key, value]) => size + key.length + value.length, 0) > MAX_PARAMETERS_BYTES)
    errors.push(tooLong('parameters', MAX_PARAMETERS_BYTES))
}

/** Terms may not say the same twice. */
function validateTopologies(errors: FieldErrors, terms: readonly TopologySelectorTerm[] | undefined): void {
  // Upstream compares with terms that it has yet to read, too, and those say nothing.
  const seen = new Set<string>(['[]'])
  terms?.forEach(({ matchLabelExpressions = [] }, i) => {
    const path = `allowedTopologies[${i}].matchLabelExpressions`
    const said = new Map<string, string>()
    matchLabelExpressions.forEach(({ key = '', values = [] }: Partial<TopologySelectorLabelRequirement>, j) => {
      const at = `${path}[${j}]`
      const unique = new Set<string>()
      if (values.length === 0) errors.push(required(`${at}.values`))
      values.forEach((value, k) => {
        if (unique.has(value)) errors.push(duplicate(`${at}.values[${k}]`, value))
        unique.add(value)
      })
      checkFormat(errors, `${at}.key`, key, qualifiedNameFaults)
      if (said.has(key)) errors.push(duplicate(`${at}.key`, key))
      said.set(key, [...unique].sort().join())
    })
    const form = JSON.stringify([...said].toSorted(([a], [b]) => (a < b ? -1 : 1)))
    if (seen.has(form)) errors.push(duplicate(path, ''))
    seen.add(form)
  })
}

export const storageClasses = defineResource({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'StorageClass',
  hasGeneration: false,
  columns: [
    {
      ...(nameColumn as Column<StorageClass>),
      cell: ({ metadata }) =>
        `${metadata?.name ?? ''}${DEFAULT_MARKS.some((mark) => metadata?.annotations?.[mark] === 'true') ? ' (default)' : ''}`,
    },
    text('Provisioner', ({ provisioner }: StorageClass) => provisioner ?? ''),
    text('ReclaimPolicy', ({ reclaimPolicy }: StorageClass) => reclaimPolicy ?? 'Delete'),
    text('VolumeBindingMode', ({ volumeBindingMode }: StorageClass) => volumeBindingMode ?? 'Immediate'),
    { ...boolean('AllowVolumeExpansion', ({ allowVolumeExpansion }: StorageClass) => allowVolumeExpansion ?? false), type: 'string' },
    ageColumn as Column<StorageClass>,
  ],
  setDefaults: (object) => withPointerDefaults(object, { reclaimPolicy: 'Delete', volumeBindingMode: 'Immediate' }),
  validate({ provisioner, parameters, reclaimPolicy, volumeBindingMode, allowedTopologies }) {
    const errors: FieldErrors = []
    validateProvisioner(errors, 'provisioner', provisioner)
    validateParameters(errors, parameters)
    if (reclaimPolicy) checkOneOf(errors, 'reclaimPolicy', reclaimPolicy, ['Delete', 'Retain'])
    checkOneOf(errors, 'volumeBindingMode', volumeBindingMode, BINDING_MODES)
    validateTopologies(errors, allowedTopologies)
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    for (const field of ['parameters', 'provisioner', 'reclaimPolicy', 'volumeBindingMode'] as const)
      checkImmutable(errors, field, asGiven(next, field), old[field])
    return errors
  },
  warnings: ({ allowedTopologies = [] }) =>
    allowedTopologies.flatMap(({ matchLabelExpressions = [] }, i) =>
      matchLabelExpressions.flatMap(({ key }, j) => {
        const message = DEPRECATED_LABELS[key]
        return message ? [`allowedTopologies[${i}].matchLabelExpressions[${j}].key: ${message}`] : []
      }),
    ),
})
