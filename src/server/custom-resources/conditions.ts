/** Conditions of a definition's status; what changes nothing returns the same list. */
import type { CustomResourceDefinition, CustomResourceDefinitionCondition } from '../../api/generated/apiextensions/v1.ts'

export type ConditionType =
  | 'NamesAccepted'
  | 'Established'
  | 'Terminating'
  | 'NonStructuralSchema'
  | 'KubernetesAPIApprovalPolicyConformant'

export interface WantedCondition {
  readonly type: ConditionType
  readonly status: 'True' | 'False'
  readonly reason: string
  readonly message: string
}

type Conditions = readonly CustomResourceDefinitionCondition[] | undefined

export const findCondition = (definition: CustomResourceDefinition, type: ConditionType): CustomResourceDefinitionCondition | undefined =>
  definition.status?.conditions?.find((condition) => condition.type === type)

export const isConditionTrue = (definition: CustomResourceDefinition, type: ConditionType): boolean =>
  findCondition(definition, type)?.status === 'True'

export function withCondition(conditions: Conditions, wanted: WantedCondition, now: string): readonly CustomResourceDefinitionCondition[] {
  const old = conditions?.find(({ type }) => type === wanted.type)
  if (old && old.status === wanted.status && old.reason === wanted.reason && old.message === wanted.message) return conditions!
  const lastTransitionTime = old?.status === wanted.status && old.lastTransitionTime ? old.lastTransitionTime : now
  const next: CustomResourceDefinitionCondition = { ...old, ...wanted, lastTransitionTime }
  return old ? conditions!.map((condition) => (condition === old ? next : condition)) : [...(conditions ?? []), next]
}
