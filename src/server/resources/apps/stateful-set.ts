/** StatefulSets: pods with names and storage of their own. */
import type { StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy } from '../../../api/generated/apps/v1.ts'
import type { PersistentVolumeClaim } from '../../../api/generated/core/v1.ts'
import { dns1123LabelFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { containerColumns, nameToAge, selectorText, text } from '../columns.ts'
import { claimDefaults, validateClaimSpec } from '../core/persistent-volume-claim.ts'
import { podTemplateDefaults } from '../core/pod-spec-defaults.ts'
import { validatePodTemplate } from '../core/pod-validation.ts'
import { claimSpecWarnings, templateWarnings } from '../core/pod-warnings.ts'
import { changeField, mapItems, withDefaults, withField } from '../immutable.ts'
import { internalEqual } from '../internal-form.ts'
import { checkFormat, checkNotNegative, checkOneOf, forbidden, invalid, notSupported, required, type FieldErrors } from '../rules.ts'
import { checkSelectsTemplate, validateSelector } from '../workload-selector.ts'
import { replicaStatusFaults } from '../workload-status.ts'
import { amountOf, checkCollisions, validateIntOrPercent } from './workload-validation.ts'

const MUTABLE = [
  'replicas',
  'ordinals',
  'template',
  'updateStrategy',
  'revisionHistoryLimit',
  'persistentVolumeClaimRetentionPolicy',
  'minReadySeconds',
] as const

function strategyDefaults(strategy: StatefulSetUpdateStrategy): StatefulSetUpdateStrategy {
  const next = strategy.type ? strategy : { ...strategy, type: 'RollingUpdate', rollingUpdate: strategy.rollingUpdate ?? {} }
  if (next.type !== 'RollingUpdate') return next
  return changeField(next, 'rollingUpdate', (rolling) => withDefaults(rolling, { partition: 0 }))
}

const NEGATIVE_HISTORY = 'spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended'

const claimTemplateDefaults = (claim: PersistentVolumeClaim): PersistentVolumeClaim =>
  withField(withField(claimDefaults(claim), 'apiVersion', 'v1'), 'kind', 'PersistentVolumeClaim')

function specDefaults(spec: StatefulSetSpec): StatefulSetSpec {
  let next = withDefaults(spec, {
    podManagementPolicy: 'OrderedReady',
    updateStrategy: {},
    persistentVolumeClaimRetentionPolicy: {},
    replicas: 1,
    revisionHistoryLimit: 10,
  })
  next = changeField(next, 'updateStrategy', strategyDefaults)
  next = changeField(next, 'persistentVolumeClaimRetentionPolicy', (policy) =>
    withDefaults(policy, { whenDeleted: 'Retain', whenScaled: 'Retain' }),
  )
  next = changeField(next, 'volumeClaimTemplates', (claims) => mapItems(claims, claimTemplateDefaults))
  return changeField(next, 'template', podTemplateDefaults)
}

function validateStrategy(errors: FieldErrors, strategy: StatefulSetUpdateStrategy | undefined): void {
  const path = 'spec.updateStrategy'
  const rolling = strategy?.rollingUpdate
  if (!strategy?.type) errors.push(required(path))
  else if (strategy.type === 'OnDelete') {
    if (rolling)
      errors.push(
        invalid(
          `${path}.rollingUpdate`,
          rolling,
          "only allowed for updateStrategy 'RollingUpdate'",
          'apps/v1.RollingUpdateStatefulSetStrategy',
        ),
      )
  } else if (strategy.type === 'RollingUpdate') {
    checkNotNegative(errors, `${path}.rollingUpdate.partition`, rolling?.partition)
    if (rolling?.maxUnavailable !== undefined) {
      validateIntOrPercent(errors, `${path}.rollingUpdate.maxUnavailable`, rolling.maxUnavailable, { atMost100: true })
      if (amountOf(rolling.maxUnavailable) === 0)
        errors.push(invalid(`${path}.rollingUpdate.maxUnavailable`, rolling.maxUnavailable, 'cannot be 0'))
    }
  } else errors.push(invalid(path, strategy, "must be 'RollingUpdate' or 'OnDelete'", 'apps/v1.StatefulSetUpdateStrategy'))
}

/** What is not looked at: parts that an update cannot change, or that were wrong before it. */
interface Leniency {
  readonly skipsClaims?: boolean
  readonly skipsServiceName?: boolean
  readonly skipsTemplate?: boolean
}

function validate({ spec }: StatefulSet, { skipsClaims, skipsServiceName, skipsTemplate }: Leniency = {}): FieldErrors {
  const errors: FieldErrors = []
  if (!spec?.podManagementPolicy) errors.push(required('spec.podManagementPolicy'))
  else if (!['OrderedReady', 'Parallel'].includes(spec.podManagementPolicy)) {
    errors.push(invalid('spec.podManagementPolicy', spec.podManagementPolicy, "must be 'OrderedReady' or 'Parallel'"))
  }
  validateStrategy(errors, spec?.updateStrategy)
  for (const field of ['whenDeleted', 'whenScaled'] as const) {
    checkOneOf(errors, `spec.persistentVolumeClaimRetentionPolicy.${field}`, spec?.persistentVolumeClaimRetentionPolicy?.[field], [
      'Retain',
      'Delete',
    ])
  }
  const claims = skipsClaims ? [] : (spec?.volumeClaimTemplates ?? [])
  claims.forEach((claim, i) => validateClaimSpec(errors, `spec.volumeClaimTemplates[${i}].spec`, claim.spec ?? {}))
  checkNotNegative(errors, 'spec.replicas', spec?.replicas)
  checkNotNegative(errors, 'spec.minReadySeconds', spec?.minReadySeconds)
  checkNotNegative(errors, 'spec.ordinals.start', spec?.ordinals?.start)
  if (spec?.serviceName && !skipsServiceName) checkFormat(errors, 'spec.serviceName', spec.serviceName, dns1123LabelFaults)
  const isReadable = validateSelector(errors, 'spec.selector', spec?.selector, 'statefulset', '')
  const template = spec?.template
  if (template) {
    if (isReadable) checkSelectsTemplate(errors, 'spec.template', spec?.selector, template)
    // The volumes of the claim templates are mounted by the containers, and are there once a pod is made.
    if (isReadable && !skipsTemplate) validatePodTemplate(errors, 'spec.template', withClaimVolumes(template, spec))
    const policy = template.spec?.restartPolicy
    if (policy !== undefined && policy !== 'Always') errors.push(notSupported('spec.template.spec.restartPolicy', policy, ['Always']))
    if (template.spec?.activeDeadlineSeconds !== undefined) {
      errors.push(forbidden('spec.template.spec.activeDeadlineSeconds', 'activeDeadlineSeconds in StatefulSet is not Supported'))
    }
  }
  return errors
}

function withClaimVolumes(
  template: NonNullable<StatefulSetSpec['template']>,
  spec: StatefulSetSpec,
): NonNullable<StatefulSetSpec['template']> {
  if (!template.spec) return template
  const claims = new Set((spec.volumeClaimTemplates ?? []).map(({ metadata }) => metadata?.name ?? ''))
  const volumes = Array.from(claims, (name) => ({ name, persistentVolumeClaim: { claimName: name } }))
  const own = (template.spec.volumes ?? []).filter(({ name }) => !claims.has(name))
  // The controller names the pods and their domain.
  const { hostname: _, subdomain: __, ...rest } = template.spec
  return { ...template, spec: { ...rest, volumes: [...volumes, ...own] } }
}

export const statefulSets = defineResource({
  group: 'apps',
  version: 'v1',
  kind: 'StatefulSet',
  nameFormat: dns1123LabelFaults,
  columns: [
    ...nameToAge(text('Ready', ({ spec, status }: StatefulSet) => `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}`)),
    ...containerColumns(({ spec }: StatefulSet) => spec?.template?.spec?.containers),
  ],
  setDefaults: (set) => changeField(set, 'spec', specDefaults),
  prepareForCreate: (set) => ({ ...set, status: { replicas: 0, availableReplicas: 0 } }),
  validateCreate: (set) => validate(set),
  validateUpdate(next, old) {
    const lenient = { skipsClaims: true, skipsServiceName: true }
    const errors = validate(next, { ...lenient, skipsTemplate: validate(old, lenient).length > 0 })
    if (!next.spec || !old.spec) return errors
    const rest = (spec: StatefulSetSpec): StatefulSetSpec =>
      MUTABLE.reduce<StatefulSetSpec>((left, field) => withField(left, field, undefined), spec)
    if (!internalEqual(rest(next.spec), rest(old.spec), 'apps/v1.StatefulSetSpec')) {
      errors.push(
        forbidden(
          'spec',
          "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ),
      )
    }
    return errors
  },
  validateStatusUpdate({ status }, old) {
    const counted = ['readyReplicas', 'currentReplicas', 'updatedReplicas', 'availableReplicas'] as const
    const errors = replicaStatusFaults(status, counted, {
      others: ['observedGeneration', 'collisionCount'],
      ready: 'status.readyReplicas',
    })
    checkCollisions(errors, status, old.status)
    return errors
  },
  warnings: ({ metadata, spec }, old) => [
    ...(old && metadata?.generation === old.metadata?.generation ? [] : templateWarnings('spec.template', spec?.template)),
    ...(spec?.volumeClaimTemplates ?? []).flatMap((claim, i) =>
      claimSpecWarnings(`spec.volumeClaimTemplates[${i}]${old ? '.Spec' : ''}`, claim.spec),
    ),
    ...((spec?.revisionHistoryLimit ?? 0) < 0 ? [NEGATIVE_HISTORY] : []),
  ],
  scale: { selector: ({ spec }) => selectorText(spec?.selector) },
})
