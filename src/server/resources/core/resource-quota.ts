/** ResourceQuotas: what a namespace may use in all. */
import type { ResourceQuota, ResourceQuotaSpec } from '../../../api/generated/core/v1.ts'
import { qualifiedNameFaults } from '../../../api/names.ts'
import { canonicalQuantity, compareQuantities } from '../../../api/quantity.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { isSemanticallyEqual } from '../immutable.ts'
import { checkFormat, IMMUTABLE, invalid, required, type FieldErrors } from '../rules.ts'

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

function validateScopes(errors: FieldErrors, { scopes, scopeSelector }: ResourceQuotaSpec): void {
  for (const scope of scopes ?? []) if (!SCOPES.includes(scope)) errors.push(invalid('spec.scopes', scopes, 'unsupported scope'))
  for (const pair of CONFLICTS)
    if (pair.every((scope) => scopes?.includes(scope))) errors.push(invalid('spec.scopes', scopes, 'conflicting scopes'))
  const path = 'spec.scopeSelector.matchExpressions'
  for (const { scopeName, operator, values = [] } of scopeSelector?.matchExpressions ?? []) {
    if (!SCOPES.includes(scopeName)) errors.push(invalid(`${path}.scopeName`, scopeName, 'unsupported scope'))
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
      checkFormat(errors, `spec.hard[${name}]`, name, qualifiedNameFaults)
      if (compareQuantities(amount, '0') < 0) errors.push(invalid(`spec.hard[${name}]`, amount, 'must be greater than or equal to 0'))
    }
    validateScopes(errors, spec ?? {})
    return errors
  },
  validateUpdate(next, old) {
    const sorted = (quota: ResourceQuota): readonly string[] => [...(quota.spec?.scopes ?? [])].sort()
    return isSemanticallyEqual(sorted(next), sorted(old)) ? [] : [invalid('spec.scopes', next.spec?.scopes ?? [], IMMUTABLE)]
  },
})
