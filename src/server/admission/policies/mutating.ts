/**
 * MutatingAdmissionPolicy (KEP-3962): expressions that change objects before they are stored, by a JSON patch or by applying a part
 * of an object. Policies run one after the other; a change has mutating admission go round a second time, in which those run again
 * that ran before and have reinvocationPolicy IfNeeded.
 */
import type { MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, Mutation } from '../../../api/generated/admissionregistration/v1.ts'
import { DEDUCED, type ApplyType } from '../../../api/apply/schema.ts'
import { applyJsonPatch } from '../../../api/json-patch.ts'
import type { Json, KubeObject } from '../../../api/object.ts'
import type { ResourceInfo } from '../../../api/schema.ts'
import { ApiError, STATUS_CODES } from '../../../api/status.ts'
import { deepEqual } from '../../../base/deep-equal.ts'
import type { Program } from '../../../cel/compile.ts'
import type { Type } from '../../../cel/types.ts'
import { CelMap, isList, toJson, type Value } from '../../../cel/values.ts'
import { admissionDenied, type AdmissionAttributes, type AdmissionPlugin } from '../../admission.ts'
import type { Authorizer } from '../../authorization/authorizer.ts'
import { applyTypeOf } from '../../apply/versions.ts'
import { settle } from '../../custom-resources/conversion.ts'
import { Unsettled } from '../../unsettled.ts'
import type { ResourceRegistry } from '../../resource-registry.ts'
import { isExempt } from '../webhooks/match.ts'
import { versionsOf, type Versions } from '../webhooks/versions.ts'
import { applyConfiguration } from './apply-configuration.ts'
import { boundPolicies, matchOf } from './bound.ts'
import { POLICY_BUDGET } from './compiled-policy.ts'
import { activationOf, Budget, holds, run, Variables, type Expression } from './evaluation.ts'
import { compileExpression, PATCH_RETURNS, type ExpressionOptions } from '../../../cel/admission-expressions.ts'
import { collectParams } from './params.ts'
import { compileCondition, CONDITIONS_BUDGET } from './webhook-conditions.ts'

const PLUGIN = 'MutatingAdmissionPolicy'

interface Compiled {
  readonly variables: ReadonlyMap<string, Program>
  readonly conditions: readonly Expression[]
  readonly mutations: readonly { readonly type: Mutation['patchType']; readonly expression: Expression }[]
}

interface Dependencies {
  readonly registry: ResourceRegistry
  readonly authorizer: Authorizer
  readonly versions: Versions
}

export function createMutatingPolicies(registry: ResourceRegistry, authorizer: Authorizer): AdmissionPlugin {
  const bound = boundPolicies<MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding>(registry, 'mutatingadmissionpolic')
  const dependencies: Dependencies = { registry, authorizer, versions: versionsOf(registry) }
  return {
    name: PLUGIN,
    handles: (attributes) => bound().length > 0 && attributes.object !== undefined && !isExempt(attributes),
    admit: (attributes) => settle(() => admit(attributes)),
  }

  function admit(attributes: AdmissionAttributes): KubeObject | undefined {
    const { rounds } = attributes
    const ran = (rounds?.state.get(PLUGIN) as Set<string> | undefined) ?? new Set<string>()
    rounds?.state.set(PLUGIN, ran)
    let next = attributes
    for (const { policy, bindings } of bound()) {
      for (const binding of bindings) {
        const id = `${policy.metadata?.name}/${binding.metadata?.name}`
        if (rounds?.isSecond && !ran.has(id)) continue
        const object = mutate(policy, binding, next, dependencies)
        if (!deepEqual(object, next.object)) {
          next = { ...next, object }
          rounds?.wantSecond()
        }
        if (policy.spec?.reinvocationPolicy === 'IfNeeded') ran.add(id)
      }
    }
    return next.object
  }
}

/** What a policy makes of the object; refuses the request when it fails and may not be ignored. */
function mutate(
  policy: MutatingAdmissionPolicy,
  binding: MutatingAdmissionPolicyBinding,
  attributes: AdmissionAttributes,
  dependencies: Dependencies,
): KubeObject | undefined {
  const resource = matchOf(policy.spec?.matchConstraints, attributes, dependencies.versions)
  if (!resource || !matchOf(binding.spec?.matchResources, attributes, dependencies.versions)) return attributes.object
  try {
    const compiled = compiledOf(policy)
    const params = collectParams(dependencies.registry, policy.spec?.paramKind, binding.spec?.paramRef, attributes.namespace)
    return params.reduce<KubeObject | undefined>(
      (object, param) => mutateBy(compiled, { ...attributes, object }, resource, param, dependencies),
      attributes.object,
    )
  } catch (error) {
    if (!(error instanceof Error) || error instanceof ApiError || error instanceof Unsettled) throw error
    if (policy.spec?.failurePolicy === 'Ignore') return attributes.object
    throw refusal(attributes, `policy '${policy.metadata?.name}' with binding '${binding.metadata?.name}' denied request: ${error.message}`)
  }
}

/** A failure is told in the words of the policy alone, as upstream does it. */
function refusal(attributes: AdmissionAttributes, message: string): ApiError {
  const { status } = admissionDenied(attributes, message)
  return new ApiError({
    ...status,
    message,
    reason: 'Invalid',
    code: STATUS_CODES.Forbidden,
    details: { ...status.details, causes: [{ message }] },
  })
}

/** Policies of the cache are never changed: what was compiled for one stays right. */
const known = new WeakMap<MutatingAdmissionPolicy, Compiled>()

function compiledOf(policy: MutatingAdmissionPolicy): Compiled {
  const found = known.get(policy)
  if (found) return found
  const { spec } = policy
  const hasParams = spec?.paramKind !== undefined
  const variables = new Map<string, Program>()
  const types = new Map<string, Type>()
  const compileOne = (source: string, options: ExpressionOptions = {}): Expression => {
    const program = compileExpression(source, { hasParams, hasAuthorizer: true, variables: types, ...options })
    if (typeof program === 'string') throw new Error(program)
    return { source, program }
  }
  for (const { name, expression } of spec?.variables ?? []) {
    const { program } = compileOne(expression)
    variables.set(name, program)
    types.set(name, program.type)
  }
  const compiled: Compiled = {
    variables,
    conditions: (spec?.matchConditions ?? []).map(({ expression }) => compileCondition(expression, hasParams)),
    mutations: (spec?.mutations ?? []).map(({ patchType, jsonPatch, applyConfiguration: applied }) => ({
      type: patchType,
      expression: compileOne((jsonPatch ?? applied)?.expression?.trim() ?? '', {
        hasPatchTypes: true,
        returns: PATCH_RETURNS[patchType] ?? [],
      }),
    })),
  }
  known.set(policy, compiled)
  return compiled
}

function mutateBy(
  { conditions, mutations, variables }: Compiled,
  attributes: AdmissionAttributes,
  resource: ResourceInfo,
  params: KubeObject | null,
  { authorizer, registry, versions }: Dependencies,
): KubeObject | undefined {
  const oldObject = versions.show(attributes.oldObject, resource)
  let object = versions.show(attributes.object, resource)
  const first = activationOf(attributes, { resource, object, oldObject }, authorizer, params)
  if (!object || !holds(conditions, first, new Budget(CONDITIONS_BUDGET))) return attributes.object
  for (const { type, expression } of mutations) {
    const budget = new Budget(POLICY_BUDGET)
    const activation = activationOf(attributes, { resource, object, oldObject }, authorizer, params)
    const outcome = run(expression, { ...activation, variables: new Variables(variables, activation, budget) }, budget)
    if ('error' in outcome) throw new Error(outcome.error)
    object = type === 'JSONPatch' ? patched(object, outcome.value) : applied(object, outcome.value, typeOf(registry, resource))
  }
  return versions.store(object, resource, attributes.resource)
}

function patched(object: KubeObject, operations: Value): KubeObject {
  if (isList(operations))
    for (const operation of operations) if (operation instanceof CelMap) checkNames(operation.get('value'), 'Object', true)
  return applyJsonPatch(object, toJson(operations) as Json)
}

function typeOf(registry: ResourceRegistry, { group, version, resource }: ResourceInfo): ApplyType {
  const served = registry.find(group, version, resource)
  return served ? applyTypeOf(served.rules) : DEDUCED
}

function applied(object: KubeObject, configuration: Value, type: ApplyType): KubeObject {
  checkNames(configuration, 'Object', false)
  const patch = { ...(toJson(configuration) as KubeObject), apiVersion: object.apiVersion, kind: object.kind }
  return applyConfiguration(object, patch, type)
}

/** `Object{spec: Object.spec{…}}`: a message stands where its name says; one that a JSON patch sets may stand anywhere. */
function checkNames(value: Value | undefined, path: string, isAnyRoot: boolean): void {
  if (value === undefined) return
  if (isList(value)) for (const item of value) checkNames(item, path, isAnyRoot)
  if (!(value instanceof CelMap) || value.json) return
  const isMessage = value.typeName === 'Object' || value.typeName.startsWith('Object.')
  if (isMessage && !isAnyRoot && value.typeName !== path) {
    throw new Error(
      `type mismatch: unexpected type name ${JSON.stringify(value.typeName)}, expected ${JSON.stringify(path)}, which matches field name path from root Object type`,
    )
  }
  const own = isMessage ? value.typeName : path
  for (const key of value.keys()) checkNames(value.get(key), isMessage ? `${own}.${String(toJson(key))}` : own, isAnyRoot && !isMessage)
}
