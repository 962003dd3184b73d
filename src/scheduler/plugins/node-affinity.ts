/** spec.nodeSelector and node affinity: required terms filter, preferred ones score by their weights. */
import type { PreferredSchedulingTerm } from '../../api/generated/core/v1.ts'
import { definePlugin, impossible, normaliseByMaximum } from '../framework.ts'
import { matchesRequiredNodeAffinity, nodeNamesOf, preferenceWeight } from '../../api/node-selector.ts'

const REFUSED = impossible("node(s) didn't match Pod's node affinity/selector")
const CONTRADICTION = impossible('pod affinity terms conflict')

export const nodeAffinity = definePlugin<undefined, readonly PreferredSchedulingTerm[]>({
  name: 'NodeAffinity',
  preFilter({ pod }) {
    const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
    if (!required && !pod.spec?.nodeSelector) return { skip: true }
    const nodeNames = nodeNamesOf(required)
    if (nodeNames?.size === 0) return { rejection: CONTRADICTION }
    return { state: undefined, nodeNames }
  },
  filter: (_state, pod, { node }) => (matchesRequiredNodeAffinity(pod.pod.spec, node) ? undefined : REFUSED),
  preScore({ pod }) {
    const preferred = pod.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution
    return preferred ? { state: preferred } : { skip: true }
  },
  score: (terms, _pod, { node }) => preferenceWeight(terms, node),
  normalise: (scores) => normaliseByMaximum(scores, false),
  requeueOn: [
    {
      on: ['node-added', 'node-labels'],
      isWorth({ pod }, event) {
        if (event.kind !== 'node-added' && event.kind !== 'node-labels') return false
        const didMatch = event.kind === 'node-labels' && matchesRequiredNodeAffinity(pod.spec, event.old)
        return !didMatch && matchesRequiredNodeAffinity(pod.spec, event.node)
      },
    },
  ],
})
