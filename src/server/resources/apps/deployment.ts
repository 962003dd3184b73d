/** Deployments: pods of one kind, replaced step by step when their template changes. */
import type { Deployment, DeploymentStrategy } from '../../../api/generated/apps/v1.ts'
import type { FieldError } from '../../../api/status.ts'
import { defineResource } from '../../resource.ts'
import { ageColumn, containerColumns, nameColumn, selectorText, text, wide } from '../columns.ts'
import { podTemplateDefaults } from '../core/pod-spec-defaults.ts'
import { workloadWarnings } from '../core/pod-warnings.ts'
import { changeField, isEqual, withDefaults, withField, withPointerDefaults } from '../immutable.ts'
import { checkImmutable, checkNotNegative, forbidden, invalid, notSupported, required, type FieldErrors } from '../rules.ts'
import { LABEL_SELECTOR, validateSelector } from '../workload-selector.ts'
import { replicaStatusFaults } from '../workload-status.ts'
import { amountOf, checkCollisions, validateIntOrPercent, validateWorkloadTemplate } from './workload-validation.ts'
import type { Column } from '../../resource.ts'

const strategyDefaults = (strategy: DeploymentStrategy): DeploymentStrategy => {
  const next = withDefaults(strategy, { type: 'RollingUpdate' })
  if (next.type !== 'RollingUpdate') return next
  return withField(next, 'rollingUpdate', withPointerDefaults(next.rollingUpdate ?? {}, { maxUnavailable: '25%', maxSurge: '25%' }))
}

const setDefaults = (deployment: Deployment): Deployment =>
  changeField(deployment, 'spec', (spec) => {
    const next = withDefaults(spec, { replicas: 1, strategy: {}, revisionHistoryLimit: 10, progressDeadlineSeconds: 600 })
    return changeField(changeField(next, 'strategy', strategyDefaults), 'template', podTemplateDefaults)
  })

function validateStrategy(errors: FieldErrors, strategy: DeploymentStrategy | undefined): void {
  const path = 'spec.strategy'
  const rolling = strategy?.rollingUpdate
  if (strategy?.type === 'Recreate') {
    if (rolling) errors.push(forbidden(`${path}.rollingUpdate`, "may not be specified when strategy `type` is 'Recreate'"))
    return
  }
  if (strategy?.type !== 'RollingUpdate') {
    errors.push(notSupported(path, strategy, ['Recreate', 'RollingUpdate'], 'apps/v1.DeploymentStrategy'))
    return
  }
  if (!rolling) {
    errors.push(required(`${path}.rollingUpdate`, 'this should be defaulted and never be nil'))
    return
  }
  validateIntOrPercent(errors, `${path}.rollingUpdate.maxUnavailable`, rolling.maxUnavailable, { atMost100: true })
  validateIntOrPercent(errors, `${path}.rollingUpdate.maxSurge`, rolling.maxSurge)
  if (amountOf(rolling.maxUnavailable) === 0 && amountOf(rolling.maxSurge) === 0) {
    errors.push(invalid(`${path}.rollingUpdate.maxUnavailable`, rolling.maxUnavailable, 'may not be 0 when `maxSurge` is 0'))
  }
}

function validate({ spec }: Deployment): readonly FieldError[] {
  const errors: FieldErrors = []
  checkNotNegative(errors, 'spec.replicas', spec?.replicas)
  const isReadable = validateSelector(errors, 'spec.selector', spec?.selector, 'deployment')
  if (isReadable) validateWorkloadTemplate(errors, spec?.template, spec?.selector)
  validateStrategy(errors, spec?.strategy)
  checkNotNegative(errors, 'spec.minReadySeconds', spec?.minReadySeconds)
  checkNotNegative(errors, 'spec.revisionHistoryLimit', spec?.revisionHistoryLimit)
  const deadline = spec?.progressDeadlineSeconds
  checkNotNegative(errors, 'spec.progressDeadlineSeconds', deadline)
  if (deadline !== undefined && deadline <= (spec?.minReadySeconds ?? 0)) {
    errors.push(invalid('spec.progressDeadlineSeconds', deadline, 'must be greater than minReadySeconds'))
  }
  return errors
}

export const deployments = defineResource({
  group: 'apps',
  version: 'v1',
  kind: 'Deployment',
  columns: [
    nameColumn as Column<Deployment>,
    text(
      'Ready',
      ({ spec, status }: Deployment) => `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}`,
      'Ready pods, of those desired.',
    ),
    { ...text('Up-to-date', () => ''), cell: ({ status }: Deployment) => status?.updatedReplicas ?? 0 },
    { ...text('Available', () => ''), cell: ({ status }: Deployment) => status?.availableReplicas ?? 0 },
    ageColumn as Column<Deployment>,
    ...containerColumns(({ spec }: Deployment) => spec?.template?.spec?.containers),
    wide(text('Selector', ({ spec }: Deployment) => selectorText(spec?.selector))),
  ],
  setDefaults,
  // Annotations travel to the ReplicaSets, so a change of them is a change of what is wanted.
  prepareForUpdate(next, old, { subresource }) {
    // The status has no say in labels.
    if (subresource === 'status') return changeField(next, 'metadata', (metadata) => withField(metadata, 'labels', old.metadata?.labels))
    if (subresource !== undefined || isEqual(next.metadata?.annotations, old.metadata?.annotations)) return next
    return { ...next, metadata: { ...next.metadata, generation: (old.metadata?.generation ?? 0) + 1 } }
  },
  validate,
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'spec.selector', next.spec?.selector, old.spec?.selector, LABEL_SELECTOR)
    return errors
  },
  validateStatusUpdate({ status }, old) {
    const counted = ['updatedReplicas', 'readyReplicas', 'availableReplicas'] as const
    const errors = replicaStatusFaults(status, counted, {
      others: ['unavailableReplicas', 'terminatingReplicas', 'collisionCount', 'observedGeneration'],
    })
    checkCollisions(errors, status, old.status)
    return errors
  },
  warnings: workloadWarnings,
  scale: { selector: ({ spec }) => selectorText(spec?.selector) },
})
