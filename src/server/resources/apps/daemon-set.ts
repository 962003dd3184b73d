/** DaemonSets: a pod on every node that fits. */
import type { DaemonSet, DaemonSetUpdateStrategy } from '../../../api/generated/apps/v1.ts'
import type { FieldError } from '../../../api/status.ts'
import { defineResource } from '../../resource.ts'
import { ageColumn, containerColumns, formatLabels, integer, nameColumn, selectorColumn, text } from '../columns.ts'
import { podTemplateDefaults } from '../core/pod-spec-defaults.ts'
import { validatePodTemplate } from '../core/pod-validation.ts'
import { templateWarnings } from '../core/pod-warnings.ts'
import { changeField, withDefaults, withEntry, withField, withPointerDefaults } from '../immutable.ts'
import { internalEqual } from '../internal-form.ts'
import { isEmptySelector, validateLabelSelector } from '../object-meta.ts'
import { checkImmutable, checkNotNegative, forbidden, invalid, notSupported, required, type FieldErrors } from '../rules.ts'
import { checkSelectsTemplate, LABEL_SELECTOR } from '../workload-selector.ts'
import { amountOf, checkCollisions, validateIntOrPercent } from './workload-validation.ts'
import type { Column } from '../../resource.ts'

const strategyDefaults = (strategy: DaemonSetUpdateStrategy): DaemonSetUpdateStrategy => {
  const next = withDefaults(strategy, { type: 'RollingUpdate' })
  // Upstream holds both as plain values, which an update that nobody defaults has as zeros.
  if (next.type !== 'RollingUpdate')
    return changeField(next, 'rollingUpdate', (rolling) => withPointerDefaults(rolling, { maxUnavailable: 0, maxSurge: 0 }))
  return withField(next, 'rollingUpdate', withPointerDefaults(next.rollingUpdate ?? {}, { maxUnavailable: 1, maxSurge: 0 }))
}

function validateStrategy(errors: FieldErrors, strategy: DaemonSetUpdateStrategy | undefined): void {
  const path = 'spec.updateStrategy'
  if (strategy?.type === 'OnDelete') return
  if (strategy?.type !== 'RollingUpdate') {
    errors.push(notSupported(path, strategy, ['RollingUpdate', 'OnDelete'], 'apps/v1.DaemonSetUpdateStrategy'))
    return
  }
  const rolling = strategy.rollingUpdate
  if (!rolling) {
    errors.push(required(`${path}.rollingUpdate`))
    return
  }
  validateIntOrPercent(errors, `${path}.rollingUpdate.maxUnavailable`, rolling.maxUnavailable, { atMost100: true })
  validateIntOrPercent(errors, `${path}.rollingUpdate.maxSurge`, rolling.maxSurge, { atMost100: true })
  const hasUnavailable = amountOf(rolling.maxUnavailable) !== 0
  const hasSurge = amountOf(rolling.maxSurge) !== 0
  if (hasUnavailable && hasSurge)
    errors.push(invalid(`${path}.rollingUpdate.maxSurge`, rolling.maxSurge, 'may not be set when maxUnavailable is non-zero'))
  if (!hasUnavailable && !hasSurge) errors.push(required(`${path}.rollingUpdate.maxUnavailable`, 'cannot be 0 when maxSurge is 0'))
}

/** An old way of counting changes of the template, which v1 has as an annotation. */
const TEMPLATE_GENERATION = 'deprecated.daemonset.template.generation'

const templateGeneration = ({ metadata }: DaemonSet): number => Number(metadata?.annotations?.[TEMPLATE_GENERATION] ?? 0) || 0

function withTemplateGeneration(set: DaemonSet, generation: number): DaemonSet {
  const annotations = withEntry(set.metadata?.annotations, TEMPLATE_GENERATION, String(generation))
  return annotations === set.metadata?.annotations ? set : { ...set, metadata: { ...set.metadata, annotations } }
}

function validate({ spec }: DaemonSet): readonly FieldError[] {
  const errors: FieldErrors = []
  const selector = spec?.selector
  validateLabelSelector(errors, 'spec.selector', selector)
  const template = spec?.template
  if (template) {
    if (errors.length === 0) checkSelectsTemplate(errors, 'spec.template', selector, template)
    if (selector && isEmptySelector(selector))
      errors.push(invalid('spec.selector', selector, 'empty selector is invalid for daemonset', LABEL_SELECTOR))
    validatePodTemplate(errors, 'spec.template', template)
    const policy = template.spec?.restartPolicy
    if (policy !== undefined && policy !== 'Always') errors.push(notSupported('spec.template.spec.restartPolicy', policy, ['Always']))
    if (template.spec?.activeDeadlineSeconds !== undefined) {
      errors.push(forbidden('spec.template.spec.activeDeadlineSeconds', 'activeDeadlineSeconds in DaemonSet is not Supported'))
    }
  }
  checkNotNegative(errors, 'spec.minReadySeconds', spec?.minReadySeconds)
  validateStrategy(errors, spec?.updateStrategy)
  checkNotNegative(errors, 'spec.revisionHistoryLimit', spec?.revisionHistoryLimit)
  return errors
}

export const daemonSets = defineResource({
  group: 'apps',
  version: 'v1',
  kind: 'DaemonSet',
  columns: [
    nameColumn as Column<DaemonSet>,
    integer('Desired', ({ status }: DaemonSet) => status?.desiredNumberScheduled),
    integer('Current', ({ status }: DaemonSet) => status?.currentNumberScheduled),
    integer('Ready', ({ status }: DaemonSet) => status?.numberReady),
    integer('Up-to-date', ({ status }: DaemonSet) => status?.updatedNumberScheduled),
    integer('Available', ({ status }: DaemonSet) => status?.numberAvailable),
    text('Node Selector', ({ spec }: DaemonSet) => formatLabels(spec?.template?.spec?.nodeSelector)),
    ageColumn as Column<DaemonSet>,
    ...containerColumns(({ spec }: DaemonSet) => spec?.template?.spec?.containers),
    selectorColumn(({ spec }: DaemonSet) => spec?.selector),
  ],
  setDefaults: (set) =>
    changeField(set, 'spec', (spec) => {
      const next = withDefaults(spec, { updateStrategy: {}, revisionHistoryLimit: 10 })
      return changeField(changeField(next, 'updateStrategy', strategyDefaults), 'template', podTemplateDefaults)
    }),
  prepareForCreate: (set) => ({
    ...withTemplateGeneration(set, Math.max(1, templateGeneration(set))),
    status: { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 },
  }),
  validateCreate: validate,
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'spec.selector', next.spec?.selector, old.spec?.selector, LABEL_SELECTOR)
    return [...errors, ...validate(next)]
  },
  prepareForUpdate(next, old, { subresource }) {
    if (subresource !== undefined) return next
    const isNew = !internalEqual(next.spec?.template, old.spec?.template, 'core/v1.PodTemplateSpec')
    return withTemplateGeneration(next, templateGeneration(old) + (isNew ? 1 : 0))
  },
  validateStatusUpdate({ status }, old) {
    const errors: FieldErrors = []
    const fields = [
      'currentNumberScheduled',
      'numberMisscheduled',
      'desiredNumberScheduled',
      'numberReady',
      'observedGeneration',
      'updatedNumberScheduled',
      'numberAvailable',
      'numberUnavailable',
      'collisionCount',
    ] as const
    for (const field of fields) checkNotNegative(errors, `status.${field}`, status?.[field])
    checkCollisions(errors, status, old.status)
    return errors
  },
  warnings: ({ metadata, spec }, old) =>
    old && metadata?.generation === old.metadata?.generation ? [] : templateWarnings('spec.template', spec?.template),
})
