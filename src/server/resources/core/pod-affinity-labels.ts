/**
 * matchLabelKeys and mismatchLabelKeys of affinity terms and topology spread constraints: the pod's own values of those labels
 * become part of the selector when the pod is created (KEP-3633, KEP-3243), so that the scheduler sees plain selectors.
 */
import type { Affinity, Pod, PodAffinity, PodAffinityTerm } from '../../../api/generated/core/v1.ts'
import type { LabelSelector } from '../../../api/generated/meta/v1.ts'
import { changeField, mapItems } from '../immutable.ts'

type Labels = Readonly<Record<string, string>> | undefined

function withKeys(selector: LabelSelector, keys: readonly string[] | undefined, operator: 'In' | 'NotIn', labels: Labels): LabelSelector {
  const added = (keys ?? []).filter((key) => labels?.[key] !== undefined).map((key) => ({ key, operator, values: [labels?.[key] ?? ''] }))
  return added.length === 0 ? selector : { ...selector, matchExpressions: [...(selector.matchExpressions ?? []), ...added] }
}

const changeTerm =
  (labels: Labels) =>
  (term: PodAffinityTerm): PodAffinityTerm =>
    changeField(term, 'labelSelector', (selector) =>
      withKeys(withKeys(selector, term.matchLabelKeys, 'In', labels), term.mismatchLabelKeys, 'NotIn', labels),
    )

const changeAffinity = <T extends PodAffinity>(affinity: T, labels: Labels): T => {
  const next: PodAffinity = changeField<PodAffinity, 'requiredDuringSchedulingIgnoredDuringExecution'>(
    affinity,
    'requiredDuringSchedulingIgnoredDuringExecution',
    (terms) => mapItems(terms, changeTerm(labels)),
  )
  return changeField(next, 'preferredDuringSchedulingIgnoredDuringExecution', (terms) =>
    mapItems(terms, (weighted) => changeField(weighted, 'podAffinityTerm', changeTerm(labels))),
  ) as T
}

export function applyLabelKeys(pod: Pod): Pod {
  const labels = pod.metadata?.labels
  return changeField(pod, 'spec', (spec) => {
    const next = changeField(spec, 'affinity', (affinity): Affinity => {
      const withPods = changeField(affinity, 'podAffinity', (terms) => changeAffinity(terms, labels))
      return changeField(withPods, 'podAntiAffinity', (terms) => changeAffinity(terms, labels))
    })
    return changeField(next, 'topologySpreadConstraints', (constraints) =>
      mapItems(constraints, (constraint) =>
        changeField(constraint, 'labelSelector', (selector) => withKeys(selector, constraint.matchLabelKeys, 'In', labels)),
      ),
    )
  })
}
