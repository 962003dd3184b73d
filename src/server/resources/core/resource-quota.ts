/** ResourceQuotas: what a namespace may use in all. */
import type { ResourceQuota, ResourceQuotaSpec } from '../../../api/generated/core/v1.ts'
import { asGiven } from '../../../api/given-empty.ts'
import { canonicalQuantity } from '../../../api/quantity.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { IMMUTABLE, invalid, required, type FieldErrors } from '../rules.ts'
import { isStandardResource, validateAmount, validateResourceName } from './resource-requirements-validation.ts'

const SCOPES = [
  'Terminating',
  'NotTerminating',
  'BestEffort',
  'NotBestEffort',
  'PriorityClass',
  'CrossNamespacePodAffinity',
  'VolumeAttributesClass',
]
const CONFLICTS = [
  ['BestEffort', 'NotBestEffort'],
  ['Terminating', 'NotTerminating'],
]
const EXISTS_ONLY =
  "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"

function usage({ status }: ResourceQuota, isLimit: boolean): string {
  return Object.keys(status?.hard ?? {})
    .filter((name) => name.startsWith('limits.') === isLimit)
    .sort()
    .map((name) => `${name}: ${canonicalQuantity(status?.used?.[name] ?? '0')}/${canonicalQuantity(status?.hard?.[name] ?? '0')}`)
    .join(', ')
}

const isQuotaResource = (name: string): boolean => (isStandardResource(name) && name !== 'storage') || name === 'requests.storage'

const POD_RESOURCES: ReadonlySet<string> = new Set([
  'cpu',
  'memory',
  'ephemeral-storage',
  'limits.cpu',
  'limits.memory',
  'limits.ephemeral-storage',
  'requests.cpu',
  'requests.memory',
  'requests.ephemeral-storage',
  'pods',
])

/** Whether a scope can narrow what is counted of a resource. */
function isScoped(scope: string, name: string): boolean {
  switch (scope) {
    case 'BestEffort':
      return name === 'pods'
    case 'Terminating':
    case 'NotTerminating':
    case 'NotBestEffort':
    case 'PriorityClass':
    case 'CrossNamespacePodAffinity':
      return POD_RESOURCES.has(name) || name.startsWith('requests.hugepages-') || name.startsWith('hugepages-')
    case 'VolumeAttributesClass':
      return name === 'requests.storage' || name === 'persistentvolumeclaims'
    default:
      return true
  }
}

function validateScopes(errors: FieldErrors, { hard, scopes, scopeSelector }: ResourceQuotaSpec): void {
  const names = Object.keys(hard ?? {})
    .filter(isQuotaResource)
    .sort()
  for (const scope of scopes ?? []) {
    if (!SCOPES.includes(scope)) errors.push(invalid('spec.scopes', scopes, 'unsupported scope'))
    for (const name of names)
      if (!isScoped(scope, name)) errors.push(invalid('spec.scopes', scopes, 'unsupported scope applied to resource'))
  }
  for (const pair of CONFLICTS)
    if (pair.every((scope) => scopes?.includes(scope))) errors.push(invalid('spec.scopes', scopes, 'conflicting scopes'))
  const path = 'spec.scopeSelector.matchExpressions'
  for (const { scopeName, operator, values = [] } of scopeSelector?.matchExpressions ?? []) {
    if (!SCOPES.includes(scopeName)) errors.push(invalid(`${path}.scopeName`, scopeName, 'unsupported scope'))
    for (const name of names) {
      if (!isScoped(scopeName, name))
        errors.push(invalid(path, scopeSelector, 'unsupported scope applied to resource', 'core/v1.ScopeSelector'))
    }
    const takesValues = scopeName === 'PriorityClass' || scopeName === 'VolumeAttributesClass'
    if (!takesValues && SCOPES.includes(scopeName) && operator !== 'Exists') errors.push(invalid(`${path}.operator`, operator, EXISTS_ONLY))
    if (operator === 'In' || operator === 'NotIn') {
      if (values.length === 0)
        errors.push(required(`${path}.values`, "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"))
    } else if (operator === 'Exists' || operator === 'DoesNotExist') {
      if (values.length > 0)
        errors.push(invalid(`${path}.values`, values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"))
    } else errors.push(invalid(`${path}.operator`, operator, 'not a valid selector operator'))
  }
}

function validateHard(errors: FieldErrors, path: string, name: string, amount: string): void {
  validateResourceName(errors, path, name)
  if (!name.includes('/') && !isQuotaResource(name)) errors.push(invalid(path, name, 'must be a standard resource for quota'))
  validateAmount(errors, path, name, amount)
}

export const resourceQuotas = defineResource({
  group: '',
  version: 'v1',
  kind: 'ResourceQuota',
  hasGeneration: false,
  columns: nameToAge(
    text('Request', (quota: ResourceQuota) => usage(quota, false)),
    text('Limit', (quota: ResourceQuota) => usage(quota, true)),
  ),
  validate({ spec }) {
    const errors: FieldErrors = []
    for (const [name, amount] of Object.entries(spec?.hard ?? {})) {
      validateHard(errors, `spec.hard[${name}]`, name, amount)
    }
    validateScopes(errors, spec ?? {})
    return errors
  },
  validateStatusUpdate({ metadata, status }) {
    const errors: FieldErrors = []
    if (!metadata?.resourceVersion) errors.push(required('resourceVersion'))
    for (const side of ['hard', 'used'] as const)
      for (const [name, amount] of Object.entries(status?.[side] ?? {})) validateHard(errors, `status.${side}[${name}]`, name, amount)
    return errors
  },
  validateUpdate(next, old) {
    // Sets are compared: in whatever order, and how often.
    const sorted = (quota: ResourceQuota): string => [...new Set(quota.spec?.scopes)].sort().join()
    return sorted(next) === sorted(old) ? [] : [invalid('spec.scopes', asGiven(next.spec, 'scopes'), IMMUTABLE)]
  },
})
