/** HorizontalPodAutoscalers: as many pods as their load needs. Stored as v2. */
import type {
  HorizontalPodAutoscaler,
  HorizontalPodAutoscalerSpec,
  HPAScalingRules,
  MetricSpec,
  MetricStatus,
  MetricTarget,
} from '../../../api/generated/autoscaling/v2.ts'
import { pathSegmentFaults } from '../../../api/names.ts'
import { canonicalQuantity, compareQuantities } from '../../../api/quantity.ts'
import { defineResource } from '../../resource.ts'
import { integer, nameToAge, text } from '../columns.ts'
import { changeField, withDefaults } from '../immutable.ts'
import { checkFormat, checkNotNegative, checkOneOf, forbidden, invalid, notSupported, required, type FieldErrors } from '../rules.ts'
import { autoscalerFromV1, autoscalerToV1 } from './horizontal-pod-autoscaler-conversion.ts'

const DEFAULT_CPU_UTILIZATION = 80
const SHOWN_METRICS = 2
const SOURCES = {
  ContainerResource: 'containerResource',
  External: 'external',
  Object: 'object',
  Pods: 'pods',
  Resource: 'resource',
} as const
const MAX_PERIOD_SECONDS = 1800
const MAX_WINDOW_SECONDS = 3600

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

function specDefaults(spec: HorizontalPodAutoscalerSpec): HorizontalPodAutoscalerSpec {
  let next = withDefaults(spec, { minReplicas: 1 })
  if (!next.metrics?.length) {
    const target = { type: 'Utilization', averageUtilization: DEFAULT_CPU_UTILIZATION }
    next = { ...next, metrics: [{ type: 'Resource', resource: { name: 'cpu', target } }] }
  }
  return changeField(next, 'behavior', (behavior) => {
    const scaleUp = withDefaults(behavior.scaleUp ?? {}, scaleUpDefaults)
    const scaleDown = withDefaults(behavior.scaleDown ?? {}, scaleDownDefaults)
    return scaleUp === behavior.scaleUp && scaleDown === behavior.scaleDown ? behavior : { ...behavior, scaleUp, scaleDown }
  })
}

function validateTarget(
  errors: FieldErrors,
  path: string,
  target: MetricTarget | undefined,
  needs: readonly ('value' | 'averageValue' | 'averageUtilization')[],
  why: string,
): void {
  if (!target?.type) errors.push(required(`${path}.type`, 'must specify a metric target type'))
  else if (!['Utilization', 'Value', 'AverageValue'].includes(target.type)) {
    errors.push(invalid(`${path}.type`, target.type, 'must be either Utilization, Value, or AverageValue'))
  }
  for (const field of ['value', 'averageValue'] as const) {
    const amount = target?.[field]
    if (amount !== undefined && compareQuantities(amount, '0') <= 0) errors.push(invalid(`${path}.${field}`, amount, 'must be positive'))
  }
  const share = target?.averageUtilization
  if (share !== undefined && share < 1) errors.push(invalid(`${path}.averageUtilization`, share, 'must be greater than 0'))
  const set = needs.filter((field) => target?.[field] !== undefined)
  const last = needs.at(-1) ?? 'averageValue'
  if (set.length === 0) errors.push(required(`${path}.${last}`, why))
}

function validateMetric(errors: FieldErrors, path: string, metric: MetricSpec): void {
  const types = Object.keys(SOURCES)
  if (!metric.type) errors.push(required(`${path}.type`, 'must specify a metric source type'))
  const source = SOURCES[metric.type as keyof typeof SOURCES]
  if (metric.type && source === undefined) errors.push(notSupported(`${path}.type`, metric.type, types))
  for (const name of Object.values(SOURCES)) {
    if (name !== source && metric[name] !== undefined)
      errors.push(forbidden(`${path}.${name}`, 'must populate the given metric source only'))
  }
  if (source === undefined) return
  const given = metric[source]
  const at = `${path}.${source}`
  if (!given) {
    errors.push(required(at, 'must populate information for the given metric source'))
    return
  }
  if ('metric' in given && !given.metric?.name) errors.push(required(`${at}.metric.name`, 'must specify a metric name'))
  if ('name' in given && !given.name) errors.push(required(`${at}.name`, 'must specify a resource name'))
  if (source === 'resource' || source === 'containerResource') {
    validateTarget(
      errors,
      `${at}.target`,
      given.target,
      ['averageValue', 'averageUtilization'],
      'must set either a target raw value or a target utilization',
    )
    if (given.target?.averageUtilization !== undefined && given.target.averageValue !== undefined) {
      errors.push(forbidden(`${at}.target.averageValue`, 'may not set both a target raw value and a target utilization'))
    }
    if ('container' in given && !given.container) errors.push(required(`${at}.container`, 'must specify a container'))
  } else if (source === 'pods')
    validateTarget(errors, `${at}.target`, given.target, ['averageValue'], 'must specify a positive target averageValue')
  else if (source === 'object')
    validateTarget(errors, `${at}.target`, given.target, ['value', 'averageValue'], 'must set either a target value or averageValue')
  else {
    validateTarget(
      errors,
      `${at}.target`,
      given.target,
      ['value', 'averageValue'],
      'must set either a target value for metric or a per-pod target',
    )
    if (given.target?.value !== undefined && given.target.averageValue !== undefined) {
      errors.push(forbidden(`${at}.target.value`, 'may not set both a target value for metric and a per-pod target'))
    }
  }
}

function validateRules(errors: FieldErrors, path: string, rules: HPAScalingRules | undefined): void {
  if (!rules) return
  const window = rules.stabilizationWindowSeconds
  if (window !== undefined && window < 0)
    errors.push(invalid(`${path}.stabilizationWindowSeconds`, window, 'must be greater than or equal to zero'))
  if (window !== undefined && window > MAX_WINDOW_SECONDS) {
    errors.push(invalid(`${path}.stabilizationWindowSeconds`, window, `must be less than or equal to ${MAX_WINDOW_SECONDS}`))
  }
  if (rules.selectPolicy !== undefined) checkOneOf(errors, `${path}.selectPolicy`, rules.selectPolicy, ['Disabled', 'Max', 'Min'])
  if (!rules.policies?.length) errors.push(required(`${path}.policies`, 'must specify at least one Policy'))
  rules.policies?.forEach(({ type, value, periodSeconds }, i) => {
    const at = `${path}.policies[${i}]`
    checkOneOf(errors, `${at}.type`, type, ['Percent', 'Pods'])
    if (value <= 0) errors.push(invalid(`${at}.value`, value, 'must be greater than zero'))
    if (periodSeconds <= 0) errors.push(invalid(`${at}.periodSeconds`, periodSeconds, 'must be greater than zero'))
    if (periodSeconds > MAX_PERIOD_SECONDS)
      errors.push(invalid(`${at}.periodSeconds`, periodSeconds, `must be less than or equal to ${MAX_PERIOD_SECONDS}`))
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
  validate({ spec }) {
    const errors: FieldErrors = []
    const { minReplicas, maxReplicas, scaleTargetRef, metrics = [], behavior } = spec ?? ({} as HorizontalPodAutoscalerSpec)
    if (minReplicas !== undefined && minReplicas < 1)
      errors.push(invalid('spec.minReplicas', minReplicas, 'must be greater than or equal to 1'))
    if (maxReplicas === 0) errors.push(required('spec.maxReplicas', 'must be set and greater than 0'))
    else if (maxReplicas < 1) errors.push(invalid('spec.maxReplicas', maxReplicas, 'must be greater than or equal to 1'))
    if (minReplicas !== undefined && maxReplicas < minReplicas) {
      errors.push(invalid('spec.maxReplicas', maxReplicas, 'must be greater than or equal to `minReplicas`'))
    }
    for (const field of ['kind', 'name'] as const) {
      const value = scaleTargetRef?.[field]
      if (!value) errors.push(required(`spec.scaleTargetRef.${field}`))
      else checkFormat(errors, `spec.scaleTargetRef.${field}`, value, pathSegmentFaults)
    }
    metrics.forEach((metric, i) => validateMetric(errors, `spec.metrics[${i}]`, metric))
    validateRules(errors, 'spec.behavior.scaleUp', behavior?.scaleUp)
    validateRules(errors, 'spec.behavior.scaleDown', behavior?.scaleDown)
    return errors
  },
  validateStatusUpdate({ status }) {
    const errors: FieldErrors = []
    checkNotNegative(errors, 'status.currentReplicas', status?.currentReplicas)
    checkNotNegative(errors, 'status.desiredReplicas', status?.desiredReplicas)
    return errors
  },
  versions: { v1: { fromStored: autoscalerToV1, toStored: autoscalerFromV1 } },
})
