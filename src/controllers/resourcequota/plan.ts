/** What a quota's status should say: its limits as they are now, and what the objects of its namespace use of them. */
import type { ResourceQuota } from '../../api/generated/core/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import type { ResourceList } from '../../api/pod-resources.ts'
import type { QuotaEvaluator } from '../../api/quota/evaluators.ts'
import { addLists, isSameList, pickNames } from '../../api/quota/resource-lists.ts'
import { scopesOf } from '../../api/quota/scopes.ts'

/** The objects of one resource in the quota's namespace, with how they count. */
export interface Counted {
  readonly evaluator: QuotaEvaluator
  readonly objects: readonly KubeObject[]
}

/** The status that was passed in when nothing differs. Names that nothing counts keep what they had. */
export function planQuotaStatus(quota: ResourceQuota, counted: readonly Counted[], nowMs: number): ResourceQuota['status'] {
  const hard = quota.spec?.hard ?? {}
  const scopes = scopesOf(quota)
  let usage: ResourceList = {}
  for (const { evaluator, objects } of counted) {
    const names = Object.keys(hard).filter((name) => evaluator.counts(name))
    if (names.length === 0) continue
    usage = addLists(usage, Object.fromEntries(names.map((name) => [name, '0'])))
    for (const object of objects)
      if (scopes.every((scope) => evaluator.matchesScope(object, scope))) usage = addLists(usage, evaluator.usage(object, nowMs))
  }
  const used = pickNames({ ...quota.status?.used, ...usage }, (name) => hard[name] !== undefined)
  if (isSameList(hard, quota.status?.hard) && isSameList(used, quota.status?.used)) return quota.status
  return { hard, used }
}
