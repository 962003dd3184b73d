/** Conditions of a status: lists with one entry per type. A condition keeps its times while its status and reason stay. */
interface Condition {
  readonly type: string
  readonly status: string
  readonly reason?: string
  readonly lastTransitionTime?: string
}

export const findCondition = <C extends { readonly type: string }>(conditions: readonly C[] | undefined, type: string): C | undefined =>
  conditions?.find((condition) => condition.type === type)

/** Adds or replaces a condition; the list itself when the condition is there with the same status and reason. */
export function withCondition<C extends Condition>(conditions: readonly C[] | undefined, wanted: C): readonly C[] {
  const current = findCondition(conditions, wanted.type)
  if (current && current.status === wanted.status && current.reason === wanted.reason) return conditions!
  const lastTransitionTime = current?.status === wanted.status ? current.lastTransitionTime : wanted.lastTransitionTime
  return [...withoutCondition(conditions, wanted.type), lastTransitionTime === undefined ? wanted : { ...wanted, lastTransitionTime }]
}

export const withoutCondition = <C extends { readonly type: string }>(conditions: readonly C[] | undefined, type: string): readonly C[] =>
  conditions?.filter((condition) => condition.type !== type) ?? []
