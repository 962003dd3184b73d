/** What a HorizontalPodAutoscaler may ask for (upstream: pkg/apis/autoscaling/validation). */
import type {
  CrossVersionObjectReference,
  HorizontalPodAutoscalerSpec,
  HPAScalingPolicy,
  HPAScalingRules,
  MetricIdentifier,
  MetricSpec,
  MetricTarget,
} from '../../../api/generated/autoscaling/v2.ts'
import { dns1123LabelFaults, pathSegmentFaults } from '../../../api/names.ts'
import { canonicalQuantity, compareQuantities } from '../../../api/quantity.ts'
import { validateContainerResourceName } from '../core/resource-requirements-validation.ts'
import { checkFormat, checkOneOf, forbidden, invalid, NOT_NEGATIVE, notSupported, required, type FieldErrors } from '../rules.ts'

/** In the order in which upstream looks for them. */
const SOURCES = {
  Object: 'object',
  External: 'external',
  Pods: 'pods',
  Resource: 'resource',
  ContainerResource: 'containerResource',
} as const
type Source = (typeof SOURCES)[keyof typeof SOURCES]

const SOURCE_TYPES = Object.keys(SOURCES).sort()
const MAX_PERIOD_SECONDS = 1800
const MAX_WINDOW_SECONDS = 3600

/** Whether the version of a reference is looked at, and whether it may be that of the core group. */
type VersionRule = 'any' | 'with-core' | 'with-group'

function versionFault({ apiVersion = '' }: Partial<CrossVersionObjectReference>, rule: VersionRule): string | undefined {
  if (rule === 'any') return undefined
  const slashes = apiVersion === '/' ? 0 : apiVersion.split('/').length - 1
  if (slashes > 1) return `unexpected GroupVersion string: ${apiVersion}`
  return rule === 'with-group' && (slashes === 0 || apiVersion.startsWith('/')) ? 'apiVersion must specify API group' : undefined
}

function validateReference(
  errors: FieldErrors,
  path: string,
  reference: Partial<CrossVersionObjectReference> | undefined,
  rule: VersionRule,
): void {
  for (const field of ['kind', 'name'] as const) {
    const value = reference?.[field]
    if (!value) errors.push(required(`${path}.${field}`))
    else checkFormat(errors, `${path}.${field}`, value, pathSegmentFaults)
  }
  const fault = versionFault(reference ?? {}, rule)
  if (fault !== undefined) errors.push(invalid(`${path}.apiVersion`, reference?.apiVersion ?? '', fault))
}

function validateTarget(errors: FieldErrors, path: string, target: Partial<MetricTarget> = {}): void {
  if (!target.type) errors.push(required(`${path}.type`, 'must specify a metric target type'))
  if (!['Utilization', 'Value', 'AverageValue'].includes(target.type ?? ''))
    errors.push(invalid(`${path}.type`, target.type ?? '', 'must be either Utilization, Value, or AverageValue'))
  for (const field of ['value', 'averageValue'] as const) {
    const amount = target[field]
    if (amount !== undefined && compareQuantities(amount, '0') <= 0)
      errors.push(invalid(`${path}.${field}`, canonicalQuantity(amount), 'must be positive'))
  }
  const share = target.averageUtilization
  if (share !== undefined && share < 1) errors.push(invalid(`${path}.averageUtilization`, share, 'must be greater than 0'))
}

function validateMetricName(errors: FieldErrors, path: string, { name }: Partial<MetricIdentifier> = {}): void {
  if (!name) errors.push(required(`${path}.name`, 'must specify a metric name'))
  else checkFormat(errors, `${path}.name`, name, pathSegmentFaults)
}

const NO_RESOURCE_TARGET = 'must set either a target raw value or a target utilization'

/** What each source wants of its target: one of these, named as the last where there is none; and perhaps not both of two. */
const TARGETS: Readonly<
  Record<
    Source,
    { readonly of: readonly (keyof MetricTarget)[]; readonly why: string; readonly both?: readonly [keyof MetricTarget, string] }
  >
> = {
  object: { of: ['value', 'averageValue'], why: 'must set either a target value or averageValue' },
  external: {
    of: ['value', 'averageValue'],
    why: 'must set either a target value for metric or a per-pod target',
    both: ['value', 'may not set both a target value for metric and a per-pod target'],
  },
  pods: { of: ['averageValue'], why: 'must specify a positive target averageValue' },
  resource: {
    of: ['averageValue', 'averageUtilization'],
    why: NO_RESOURCE_TARGET,
    both: ['averageValue', 'may not set both a target raw value and a target utilization'],
  },
  containerResource: {
    of: ['averageValue', 'averageUtilization'],
    why: NO_RESOURCE_TARGET,
    both: ['averageValue', 'may not set both a target raw value and a target utilization'],
  },
}

function validateSource(errors: FieldErrors, path: string, metric: MetricSpec, source: Source, rule: VersionRule): void {
  const at = `${path}.${source}`
  const { object, containerResource } = metric
  if (source === 'object') validateReference(errors, `${at}.describedObject`, object?.describedObject, rule)
  if (source === 'resource' || source === 'containerResource') {
    const name = metric[source]?.name
    if (!name) errors.push(required(`${at}.name`, 'must specify a resource name'))
    else if (source === 'containerResource') validateContainerResourceName(errors, `${at}.name`, name)
  } else validateMetricName(errors, `${at}.metric`, metric[source]?.metric)
  if (source === 'containerResource') {
    if (!containerResource?.container) errors.push(required(`${at}.container`, 'must specify a container'))
    else checkFormat(errors, `${at}.container`, containerResource.container, dns1123LabelFaults)
  }
  const target = metric[source]?.target
  validateTarget(errors, `${at}.target`, target)
  const { of, why, both } = TARGETS[source]
  const set = of.filter((field) => target?.[field] !== undefined)
  if (set.length === 0) errors.push(required(`${at}.target.${of.at(-1)}`, why))
  else if (set.length > 1 && both) errors.push(forbidden(`${at}.target.${both[0]}`, both[1]))
}

function validateMetric(errors: FieldErrors, path: string, metric: MetricSpec, rule: VersionRule): void {
  const { type = '' } = metric as Partial<MetricSpec>
  if (!type) errors.push(required(`${path}.type`, 'must specify a metric source type'))
  const source = Object.hasOwn(SOURCES, type) ? SOURCES[type as keyof typeof SOURCES] : undefined
  if (!source) errors.push(notSupported(`${path}.type`, type, SOURCE_TYPES))
  const present = Object.values(SOURCES).filter((name) => metric[name] !== undefined)
  if (present[0]) validateSource(errors, path, metric, present[0], rule)
  if (source && !metric[source]) errors.push(required(`${path}.${source}`, 'must populate information for the given metric source'))
  if (present.length === 1) return
  for (const name of present) if (name !== source) errors.push(forbidden(`${path}.${name}`, 'must populate the given metric source only'))
}

function validatePolicy(errors: FieldErrors, path: string, { type, value = 0, periodSeconds = 0 }: Partial<HPAScalingPolicy>): void {
  checkOneOf(errors, `${path}.type`, type, ['Percent', 'Pods'])
  if (value <= 0) errors.push(invalid(`${path}.value`, value, 'must be greater than zero'))
  if (periodSeconds <= 0) errors.push(invalid(`${path}.periodSeconds`, periodSeconds, 'must be greater than zero'))
  if (periodSeconds > MAX_PERIOD_SECONDS)
    errors.push(invalid(`${path}.periodSeconds`, periodSeconds, `must be less than or equal to ${MAX_PERIOD_SECONDS}`))
}

function validateRules(errors: FieldErrors, path: string, rules: HPAScalingRules | undefined): void {
  if (!rules) return
  const { stabilizationWindowSeconds: window = 0, selectPolicy, policies = [], tolerance } = rules
  if (window < 0) errors.push(invalid(`${path}.stabilizationWindowSeconds`, window, 'must be greater than or equal to zero'))
  if (window > MAX_WINDOW_SECONDS)
    errors.push(invalid(`${path}.stabilizationWindowSeconds`, window, `must be less than or equal to ${MAX_WINDOW_SECONDS}`))
  if (selectPolicy !== undefined) checkOneOf(errors, `${path}.selectPolicy`, selectPolicy, ['Disabled', 'Max', 'Min'])
  if (policies.length === 0) errors.push(required(`${path}.policies`, 'must specify at least one Policy'))
  policies.forEach((policy, i) => validatePolicy(errors, `${path}.policies[${i}]`, policy))
  if (tolerance !== undefined && compareQuantities(tolerance, '0') < 0)
    errors.push(invalid(`${path}.tolerance`, canonicalQuantity(tolerance), NOT_NEGATIVE))
}

/** A target that an update leaves as it is may be wrong; the only kind of the core group that has a scale needs no group. */
function targetRule(next: HorizontalPodAutoscalerSpec | undefined, old: HorizontalPodAutoscalerSpec | undefined): VersionRule {
  const [target, before] = [next?.scaleTargetRef, old?.scaleTargetRef]
  if (old && before?.apiVersion === target?.apiVersion && before?.kind === target?.kind) return 'any'
  return target?.kind === 'ReplicationController' ? 'with-core' : 'with-group'
}

export function validateAutoscaler(spec: HorizontalPodAutoscalerSpec | undefined, old?: HorizontalPodAutoscalerSpec): FieldErrors {
  const errors: FieldErrors = []
  const { minReplicas, maxReplicas = 0, scaleTargetRef, metrics = [], behavior } = spec ?? ({} as Partial<HorizontalPodAutoscalerSpec>)
  const lowest = old?.minReplicas === 0 ? 0 : 1
  if (minReplicas !== undefined && minReplicas < lowest)
    errors.push(invalid('spec.minReplicas', minReplicas, `must be greater than or equal to ${lowest}`))
  if (maxReplicas === 0) errors.push(required('spec.maxReplicas', 'must be set and greater than 0'))
  else if (maxReplicas < 1) errors.push(invalid('spec.maxReplicas', maxReplicas, 'must be greater than or equal to 1'))
  if (minReplicas !== undefined && maxReplicas < minReplicas)
    errors.push(invalid('spec.maxReplicas', maxReplicas, 'must be greater than or equal to `minReplicas`'))
  validateReference(errors, 'spec.scaleTargetRef', scaleTargetRef, targetRule(spec, old))
  const wasWrong = old?.metrics?.some(({ object }) => object && versionFault(object.describedObject ?? {}, 'with-core') !== undefined)
  metrics.forEach((metric, i) => validateMetric(errors, `spec.metrics[${i}]`, metric, wasWrong ? 'any' : 'with-core'))
  if (minReplicas === 0 && !metrics.some(({ type }) => type === 'Object' || type === 'External'))
    errors.push(forbidden('spec.metrics', 'must specify at least one Object or External metric to support scaling to zero replicas'))
  validateRules(errors, 'spec.behavior.scaleUp', behavior?.scaleUp)
  validateRules(errors, 'spec.behavior.scaleDown', behavior?.scaleDown)
  return errors
}
