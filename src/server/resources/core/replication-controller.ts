/** ReplicationControllers: what ReplicaSets grew from. */
import type { ReplicationController } from '../../../api/generated/core/v1.ts'
import { longNameFaults } from '../../../api/names.ts'
import { asGiven } from '../../../api/given-empty.ts'
import { defineResource } from '../../resource.ts'
import { ageColumn, containerColumns, formatLabels, integer, nameColumn, text, wide } from '../columns.ts'
import { changeField, withDefaults, withField } from '../immutable.ts'
import { checkNotNegative, forbidden, invalid, notSupported, required, type FieldErrors } from '../rules.ts'
import { replicaStatusFaults } from '../workload-status.ts'
import { workloadWarnings } from './pod-warnings.ts'
import { podTemplateDefaults } from './pod-spec-defaults.ts'
import { validatePodTemplate } from './pod-validation.ts'
import type { Column } from '../../resource.ts'
import type { FieldError } from '../../../api/status.ts'

const isEmpty = (map: Readonly<Record<string, string>> | undefined): boolean => Object.keys(map ?? {}).length === 0

function setDefaults(controller: ReplicationController): ReplicationController {
  const next = changeField(controller, 'spec', (spec) => changeField(withDefaults(spec, { replicas: 1 }), 'template', podTemplateDefaults))
  const labels = next.spec?.template?.metadata?.labels
  if (isEmpty(labels)) return next
  const selected = changeField(next, 'spec', (spec) => (isEmpty(spec.selector) ? { ...spec, selector: labels } : spec))
  return isEmpty(selected.metadata?.labels) ? { ...selected, metadata: { ...selected.metadata, labels } } : selected
}

/** What a status counts, and may not be more than its replicas. */
const REPLICAS = ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas'] as const

export const ALWAYS = ['Always']

function validate({ spec }: ReplicationController): readonly FieldError[] {
  const errors: FieldErrors = []
  checkNotNegative(errors, 'spec.minReadySeconds', spec?.minReadySeconds)
  if (isEmpty(spec?.selector)) errors.push(required('spec.selector'))
  checkNotNegative(errors, 'spec.replicas', spec?.replicas)
  const template = spec?.template
  if (!template) errors.push(required('spec.template'))
  else {
    const labels = template.metadata?.labels
    if (!isEmpty(spec?.selector) && Object.entries(spec?.selector ?? {}).some(([key, value]) => labels?.[key] !== value)) {
      errors.push(
        invalid('spec.template.metadata.labels', asGiven(template.metadata, 'labels'), '`selector` does not match template `labels`'),
      )
    }
    validatePodTemplate(errors, 'spec.template', template)
    if (template.spec?.restartPolicy !== 'Always')
      errors.push(notSupported('spec.template.spec.restartPolicy', template.spec?.restartPolicy ?? '', ALWAYS))
    if (template.spec?.activeDeadlineSeconds !== undefined) {
      errors.push(forbidden('spec.template.spec.activeDeadlineSeconds', 'activeDeadlineSeconds in ReplicationController is not Supported'))
    }
  }
  return errors
}

export const replicationControllers = defineResource({
  group: '',
  version: 'v1',
  kind: 'ReplicationController',
  nameFormat: longNameFaults,
  columns: [
    nameColumn as Column<ReplicationController>,
    integer('Desired', ({ spec }: ReplicationController) => spec?.replicas),
    integer('Current', ({ status }: ReplicationController) => status?.replicas),
    integer('Ready', ({ status }: ReplicationController) => status?.readyReplicas),
    ageColumn as Column<ReplicationController>,
    ...containerColumns(({ spec }: ReplicationController) => spec?.template?.spec?.containers),
    wide(text('Selector', ({ spec }: ReplicationController) => formatLabels(spec?.selector))),
  ],
  fieldSelectors: { 'status.replicas': ({ status }) => String(status?.replicas ?? 0) },
  setDefaults,
  prepareForCreate: (controller) => withField(controller, 'status', { replicas: 0 }),
  validate,
  validateStatusUpdate: ({ status }) => replicaStatusFaults(status, REPLICAS),
  // Upstream looks at the old template when a controller changes.
  warnings: (next, old) => workloadWarnings(old ? { ...next, spec: old.spec } : next, old),
  defaultPropagation: 'Orphan',
  scale: { selector: ({ spec }) => (isEmpty(spec?.selector) ? '' : formatLabels(spec?.selector)) },
})
