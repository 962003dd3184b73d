/** Whether the CEL of policies and webhooks compiles (upstream: pkg/apis/admissionregistration/validation). */
import type { AuditAnnotation, MatchCondition, Mutation, Validation, Variable } from '../../../api/generated/admissionregistration/v1.ts'
import { qualifiedNameFaults } from '../../../api/names.ts'
import { BOOL, DYN, NULL, STRING, type Type } from '../../../cel/types.ts'
import { compileExpression, NOT_INSTANTIATED, PATCH_RETURNS, type ExpressionOptions } from '../../../cel/admission-expressions.ts'
import { checkFormat, checkOneOf, duplicate, invalid, required, tooMany, type FieldErrors } from '../rules.ts'

const MAX_MATCH_CONDITIONS = 64
const MAX_AUDIT_ANNOTATIONS = 20
const MAX_VALUE_EXPRESSION_BYTES = 5 * 1024
const IDENTIFIER = /^[_a-zA-Z][_a-zA-Z0-9]*$/
const REASONS = ['Forbidden', 'Invalid', 'RequestEntityTooLarge']

function checkExpression(errors: FieldErrors, path: string, source: string, options: ExpressionOptions): Type {
  const compiled = compileExpression(source, options)
  if (typeof compiled !== 'string') return compiled.type
  const isInternal = compiled.startsWith(NOT_INSTANTIATED)
  errors.push(isInternal ? { type: 'InternalError', field: path, detail: `Internal error: ${compiled}` } : invalid(path, source, compiled))
  return DYN
}

export function validateMatchConditions(
  errors: FieldErrors,
  path: string,
  conditions: readonly MatchCondition[] = [],
  hasParams = false,
): void {
  if (conditions.length > MAX_MATCH_CONDITIONS) errors.push(tooMany(path, conditions.length, MAX_MATCH_CONDITIONS))
  const names = new Set<string>()
  conditions.forEach(({ name, expression }, i) => {
    const at = `${path}[${i}]`
    const source = expression?.trim()
    if (!source) errors.push(required(`${at}.expression`))
    else checkExpression(errors, `${at}.expression`, source, { hasParams, hasAuthorizer: true, returns: [BOOL] })
    if (!name) errors.push(required(`${at}.name`))
    else checkFormat(errors, `${at}.name`, name, qualifiedNameFaults)
    if (name && names.has(name)) errors.push(duplicate(`${at}.name`, name))
    names.add(name)
  })
}

/** Returns the types of the variables: those before may be used by those behind, and by everything else. */
export function validateVariables(errors: FieldErrors, variables: readonly Variable[] = [], hasParams: boolean): ReadonlyMap<string, Type> {
  const types = new Map<string, Type>()
  variables.forEach(({ name, expression }, i) => {
    const at = `spec.variables[${i}]`
    if (!name?.trim()) errors.push(required(`${at}.name`, 'name is not specified'))
    else if (!IDENTIFIER.test(name)) errors.push(invalid(`${at}.name`, name, 'must be a valid CEL identifier'))
    if (!expression?.trim()) errors.push(required(`${at}.expression`, 'expression is not specified'))
    else types.set(name, checkExpression(errors, `${at}.expression`, expression, { hasParams, hasAuthorizer: true, variables: types }))
  })
  return types
}

export function validateValidations(
  errors: FieldErrors,
  validations: readonly Validation[] = [],
  options: Pick<ExpressionOptions, 'hasParams' | 'variables'>,
): void {
  validations.forEach(({ expression, message, messageExpression, reason }, i) => {
    const at = `spec.validations[${i}]`
    if (!expression?.trim()) errors.push(required(`${at}.expression`, 'expression is not specified'))
    else checkExpression(errors, `${at}.expression`, expression, { ...options, hasAuthorizer: true, returns: [BOOL] })
    if (messageExpression) {
      const path = `${at}.messageExpression`
      if (!messageExpression.trim()) errors.push(invalid(path, messageExpression, 'must be non-empty if specified'))
      else checkExpression(errors, path, messageExpression, { ...options, returns: [STRING] })
    }
    if (message && !message.trim()) errors.push(invalid(`${at}.message`, message, 'must be non-empty if specified'))
    else if (message && /[\n\r]/.test(message.trim())) errors.push(invalid(`${at}.message`, message, 'must not contain line breaks'))
    if (reason !== undefined) checkOneOf(errors, `${at}.reason`, reason, REASONS)
  })
}

export function validateMutations(
  errors: FieldErrors,
  mutations: readonly Mutation[] = [],
  options: Pick<ExpressionOptions, 'hasParams' | 'variables'>,
): void {
  mutations.forEach(({ patchType, jsonPatch, applyConfiguration }, i) => {
    const at = `spec.mutations[${i}]`
    if (!patchType) errors.push(required(`${at}.patchType`))
    else checkOneOf(errors, `${at}.patchType`, patchType, Object.keys(PATCH_RETURNS).toSorted())
    const parts = [
      ['JSONPatch', 'jsonPatch', jsonPatch],
      ['ApplyConfiguration', 'applyConfiguration', applyConfiguration],
    ] as const
    // What the type asks for comes first.
    for (const [type, field, part] of patchType === 'JSONPatch' ? parts : parts.toReversed()) {
      const path = `${at}.${field}`
      const source = part?.expression?.trim()
      if (type !== patchType) {
        if (part && PATCH_RETURNS[patchType]) {
          errors.push(invalid(path, `{${field}}`, `must not be specified when patchType is ${patchType}`))
        }
      } else if (!part) errors.push(required(path, `must be specified when patchType is ${type}`))
      else if (!source) errors.push(required(`${path}.expression`))
      else {
        const returns = PATCH_RETURNS[type] ?? []
        checkExpression(errors, `${path}.expression`, source, { ...options, hasAuthorizer: true, hasPatchTypes: true, returns })
      }
    }
  })
}

export function validateAuditAnnotations(
  errors: FieldErrors,
  policyName: string,
  annotations: readonly AuditAnnotation[] = [],
  options: Pick<ExpressionOptions, 'hasParams' | 'variables'>,
): void {
  const path = 'spec.auditAnnotations'
  if (annotations.length > MAX_AUDIT_ANNOTATIONS) {
    errors.push(invalid(path, annotations, `must not have more than ${MAX_AUDIT_ANNOTATIONS} auditAnnotations`))
  }
  const keys = new Set<string>()
  annotations.forEach(({ key, valueExpression }, i) => {
    const at = `${path}[${i}]`
    if (!policyName) errors.push(invalid(`${at}.key`, key, 'requires metadata.name be non-empty'))
    else checkFormat(errors, `${at}.key`, `${policyName}/${key}`, qualifiedNameFaults)
    const source = valueExpression?.trim() ?? ''
    if (!source) errors.push(required(`${at}.valueExpression`, 'valueExpression is not specified'))
    else if (new TextEncoder().encode(source).length > MAX_VALUE_EXPRESSION_BYTES) {
      errors.push(required(`${at}.valueExpression`, `must not exceed ${MAX_VALUE_EXPRESSION_BYTES} bytes in length`))
    } else checkExpression(errors, `${at}.valueExpression`, source, { ...options, hasAuthorizer: true, returns: [STRING, NULL] })
    if (keys.has(key)) errors.push(duplicate(`${at}.key`, key))
    keys.add(key)
  })
}
