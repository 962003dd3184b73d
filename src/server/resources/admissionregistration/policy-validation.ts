/** What admission policies and their bindings share. */
import type {
  MatchResources,
  ParamKind,
  ParamRef,
  ValidatingAdmissionPolicyBindingSpec,
  ValidatingAdmissionPolicySpec,
} from '../../../api/generated/admissionregistration/v1.ts'
import { dns1035LabelFaults, dns1123SubdomainFaults, pathSegmentFaults } from '../../../api/names.ts'
import type { Type } from '../../../cel/types.ts'
import { selectorText } from '../columns.ts'
import { changeField, mapItems, withPointerDefaults } from '../immutable.ts'
import { validateLabelSelector } from '../object-meta.ts'
import { checkFormat, checkOneOf, checkRequiredOneOf, forbidden, invalid, required, type FieldErrors } from '../rules.ts'
import { validateMatchConditions, validateVariables } from './expression-validation.ts'
import { FAILURE_POLICIES, MATCH_POLICIES, ruleDefaults, validateNamedRules } from './webhook-validation.ts'

export const matchResourcesDefaults = (match: MatchResources): MatchResources => {
  let next = withPointerDefaults(match, { matchPolicy: 'Equivalent', namespaceSelector: {}, objectSelector: {} })
  next = changeField(next, 'resourceRules', (rules) => mapItems(rules, ruleDefaults))
  return changeField(next, 'excludeResourceRules', (rules) => mapItems(rules, ruleDefaults))
}

export const paramKindText = (kind: ParamKind | undefined): string => (kind ? `${kind.apiVersion ?? ''}/${kind.kind ?? ''}` : '<unset>')

export function paramRefText(ref: ParamRef | undefined): string {
  if (ref?.name) return `${ref.namespace || '*'}/${ref.name}`
  return ref?.selector ? selectorText(ref.selector) : '<unset>'
}

function validateParamKind(errors: FieldErrors, path: string, { apiVersion, kind }: ParamKind): void {
  const at = `${path}.apiVersion`
  if (!apiVersion) errors.push(required(at))
  else {
    const parts = apiVersion.split('/')
    const [version = '', group = ''] = parts.toReversed()
    if (parts.length > 2) errors.push(invalid(at, apiVersion, `unexpected GroupVersion string: ${apiVersion}`))
    else {
      if (group) checkJoined(errors, at, group, dns1123SubdomainFaults(group))
      if (!version) errors.push(invalid(at, apiVersion, 'version must be specified'))
      else checkJoined(errors, at, version, dns1035LabelFaults(version))
    }
  }
  if (!kind) errors.push(required(`${path}.kind`))
  else
    checkJoined(errors, `${path}.kind`, kind, dns1035LabelFaults(kind.toLowerCase()), 'may have mixed case, but should otherwise match: ')
}

function checkJoined(errors: FieldErrors, path: string, value: string, faults: readonly string[], prefix = ''): void {
  if (faults.length > 0) errors.push(invalid(path, value, `${prefix}${faults.join(',')}`))
}

function validateMatchResources(errors: FieldErrors, path: string, match: MatchResources): void {
  checkOneOf(errors, `${path}.matchPolicy`, match.matchPolicy, MATCH_POLICIES)
  validateLabelSelector(errors, `${path}.namespaceSelector`, match.namespaceSelector)
  validateLabelSelector(errors, `${path}.objectSelector`, match.objectSelector)
  validateNamedRules(errors, `${path}.resourceRules`, match.resourceRules)
  validateNamedRules(errors, `${path}.excludeResourceRules`, match.excludeResourceRules)
}

type PolicySpec = Pick<ValidatingAdmissionPolicySpec, 'failurePolicy' | 'matchConstraints' | 'paramKind' | 'matchConditions' | 'variables'>

/** Returns the types of the policy's variables, for its other expressions. */
export function validatePolicySpec(
  errors: FieldErrors,
  spec: PolicySpec | undefined,
  operations?: typeof validateMutatedOperations,
): ReadonlyMap<string, Type> {
  const { failurePolicy = 'Fail', matchConstraints: match, paramKind, matchConditions, variables } = spec ?? {}
  checkOneOf(errors, 'spec.failurePolicy', failurePolicy, FAILURE_POLICIES)
  if (paramKind) validateParamKind(errors, 'spec.paramKind', paramKind)
  if (!match) errors.push(required('spec.matchConstraints'))
  else {
    validateMatchResources(errors, 'spec.matchConstraints', match)
    if (!match.resourceRules?.length) errors.push(required('spec.matchConstraints.resourceRules'))
    operations?.(errors, 'spec.matchConstraints', match)
  }
  const hasParams = paramKind !== undefined
  validateMatchConditions(errors, 'spec.matchConditions', matchConditions, hasParams)
  return validateVariables(errors, variables, hasParams)
}

/** What is deleted cannot be changed. */
export function validateMutatedOperations(errors: FieldErrors, path: string, match: MatchResources | undefined): void {
  for (const { operations = [] } of match?.resourceRules ?? []) {
    for (const operation of operations) {
      checkOneOf(errors, `${path}.resourceRules.operations`, operation, ['*', 'CONNECT', 'CREATE', 'UPDATE'])
    }
  }
}

function validateParamRef(errors: FieldErrors, path: string, ref: ParamRef): void {
  const { name, selector, parameterNotFoundAction: action } = ref
  if (name) checkFormat(errors, `${path}.name`, name, pathSegmentFaults)
  if (name && selector) errors.push(forbidden(`${path}.name`, 'name and selector are mutually exclusive'))
  validateLabelSelector(errors, `${path}.selector`, selector)
  if (name && selector) errors.push(forbidden(`${path}.selector`, 'name and selector are mutually exclusive'))
  if (!name && !selector) errors.push(required(path, 'one of name or selector must be specified'))
  checkRequiredOneOf(errors, `${path}.parameterNotFoundAction`, action, ['Deny', 'Allow'])
}

type BindingSpec = Partial<Pick<ValidatingAdmissionPolicyBindingSpec, 'policyName' | 'paramRef' | 'matchResources'>>

export function validateBindingSpec(errors: FieldErrors, spec: BindingSpec | undefined): void {
  if (!spec?.policyName) errors.push(required('spec.policyName'))
  else checkFormat(errors, 'spec.policyName', spec.policyName, dns1123SubdomainFaults)
  if (spec?.paramRef) validateParamRef(errors, 'spec.paramRef', spec.paramRef)
  if (spec?.matchResources) validateMatchResources(errors, 'spec.matchResources', spec.matchResources)
}
