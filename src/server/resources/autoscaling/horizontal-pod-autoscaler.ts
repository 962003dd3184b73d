/** HorizontalPodAutoscalers: as many pods as their load needs. Stored as v2. */
import type {
  HorizontalPodAutoscaler,
  HorizontalPodAutoscalerSpec,
  HPAScalingRules,
  MetricSpec,
  MetricStatus,
  MetricTarget,
} from '../../../api/generated/autoscaling/v2.ts'
import { asGiven } from '../../../api/given-empty.ts'
import { canonicalQuantity } from '../../../api/quantity.ts'
import { defineResource } from '../../resource.ts'
import { integer, nameToAge, text } from '../columns.ts'
import { changeField, withDefaults, withPointerDefaults } from '../immutable.ts'
import { checkNotNegative, type FieldErrors } from '../rules.ts'
import { autoscalerFromV1, autoscalerToV1 } from './horizontal-pod-autoscaler-conversion.ts'
import { validateAutoscaler } from './horizontal-pod-autoscaler-validation.ts'

const DEFAULT_CPU_UTILIZATION = 80
const SHOWN_METRICS = 2

const shown = (quantity: string | undefined): string => (quantity === undefined ? '<unknown>' : canonicalQuantity(quantity))
const percent = (value: number | undefined, none: string): string => (value === undefined ? none : `${value}%`)

/** "cpu: 10%/50%", "100m/1 (avg)": now, and wanted. */
function metricText(spec: MetricSpec, status: MetricStatus | undefined): string {
  const valueOrAverage = (
    target: MetricTarget | undefined,
    current: { readonly value?: string; readonly averageValue?: string } | undefined,
  ): string =>
    target?.averageValue === undefined
      ? `${shown(current?.value)}/${canonicalQuantity(target?.value ?? '0')}`
      : `${shown(current?.averageValue)}/${canonicalQuantity(target.averageValue)} (avg)`
  const ofResource = (
    name: string,
    target: MetricTarget | undefined,
    current: { readonly averageValue?: string; readonly averageUtilization?: number } | undefined,
  ): string =>
    target?.averageValue === undefined
      ? `${name}: ${percent(current?.averageUtilization, '<unknown>')}/${percent(target?.averageUtilization, '<auto>')}`
      : `${name}: ${shown(current?.averageValue)}/${canonicalQuantity(target.averageValue)}`
  switch (spec.type) {
    case 'External':
      return valueOrAverage(spec.external?.target, status?.external?.current)
    case 'Object':
      return valueOrAverage(spec.object?.target, status?.object?.current)
    case 'Pods':
      return `${shown(status?.pods?.current?.averageValue)}/${canonicalQuantity(spec.pods?.target?.averageValue ?? '0')}`
    case 'Resource':
      return ofResource(spec.resource?.name ?? '', spec.resource?.target, status?.resource?.current)
    case 'ContainerResource':
      return ofResource(spec.containerResource?.name ?? '', spec.containerResource?.target, status?.containerResource?.current)
    default:
      return '<unknown type>'
  }
}

function targets({ spec, status }: HorizontalPodAutoscaler): string {
  const all = (spec?.metrics ?? []).map((metric, i) => metricText(metric, status?.currentMetrics?.[i]))
  if (all.length > SHOWN_METRICS) return `${all.slice(0, SHOWN_METRICS).join(', ')} + ${all.length - SHOWN_METRICS} more...`
  return all.join(', ') || '<none>'
}

const scaleUpDefaults: HPAScalingRules = {
  stabilizationWindowSeconds: 0,
  selectPolicy: 'Max',
  policies: [
    { type: 'Pods', value: 4, periodSeconds: 15 },
    { type: 'Percent', value: 100, periodSeconds: 15 },
  ],
}
const scaleDownDefaults: HPAScalingRules = { selectPolicy: 'Max', policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }] }

/** Policies that were given as none are none. */
function rulesDefaults(rules: HPAScalingRules = {}, { policies, ...others }: HPAScalingRules): HPAScalingRules {
  return withPointerDefaults(rules, asGiven(rules, 'policies') ? others : { ...others, ...(policies ? { policies } : {}) })
}

function specDefaults(spec: HorizontalPodAutoscalerSpec): HorizontalPodAutoscalerSpec {
  let next = withDefaults(spec, { minReplicas: 1 })
  if (!next.metrics?.length) {
    const target = { type: 'Utilization', averageUtilization: DEFAULT_CPU_UTILIZATION }
    next = { ...next, metrics: [{ type: 'Resource', resource: { name: 'cpu', target } }] }
  }
  return changeField(next, 'behavior', (behavior) => {
    const scaleUp = rulesDefaults(behavior.scaleUp, scaleUpDefaults)
    const scaleDown = rulesDefaults(behavior.scaleDown, scaleDownDefaults)
    return scaleUp === behavior.scaleUp && scaleDown === behavior.scaleDown ? behavior : { ...behavior, scaleUp, scaleDown }
  })
}

export const horizontalPodAutoscalers = defineResource({
  group: 'autoscaling',
  version: 'v2',
  kind: 'HorizontalPodAutoscaler',
  hasGeneration: false,
  columns: nameToAge(
    text('Reference', ({ spec }: HorizontalPodAutoscaler) => `${spec?.scaleTargetRef?.kind ?? ''}/${spec?.scaleTargetRef?.name ?? ''}`),
    text('Targets', targets),
    text('MinPods', ({ spec }: HorizontalPodAutoscaler) => (spec?.minReplicas === undefined ? '<unset>' : String(spec.minReplicas))),
    { ...integer('MaxPods', ({ spec }: HorizontalPodAutoscaler) => spec?.maxReplicas), type: 'string' },
    { ...integer('Replicas', ({ status }: HorizontalPodAutoscaler) => status?.currentReplicas), type: 'string' },
  ),
  setDefaults: (autoscaler) => changeField(autoscaler, 'spec', specDefaults),
  prepareForCreate: (autoscaler) => ({ ...autoscaler, status: { desiredReplicas: 0 } }),
  validateCreate: ({ spec }) => validateAutoscaler(spec),
  validateUpdate: ({ spec }, old) => validateAutoscaler(spec, old.spec),
  validateStatusUpdate({ status }) {
    const errors: FieldErrors = []
    checkNotNegative(errors, 'status.currentReplicas', status?.currentReplicas)
    checkNotNegative(errors, 'status.desiredReplicas', status?.desiredReplicas)
    return errors
  },
  versions: { v1: { fromStored: autoscalerToV1, toStored: autoscalerFromV1 } },
})
