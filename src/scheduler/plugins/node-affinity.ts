/**
 * spec.nodeSelector and node affinity: required terms filter, preferred ones score by their weights. A profile can add an affinity
 * that all its pods have.
 */
import type { Node, NodeAffinity, PreferredSchedulingTerm } from '../../api/generated/core/v1.ts'
import { matchesNodeSelector, matchesRequiredNodeAffinity, nodeNamesOf, preferenceWeight } from '../../api/node-selector.ts'
import { definePlugin, impossible, normaliseByMaximum } from '../framework.ts'
import type { Plugin } from '../framework.ts'

const REFUSED = impossible("node(s) didn't match Pod's node affinity/selector")
const NOT_ENFORCED = impossible("node(s) didn't match scheduler-enforced node affinity")
const CONTRADICTION = impossible('pod affinity terms conflict')
const NO_TERMS: readonly PreferredSchedulingTerm[] = []

export interface NodeAffinityArgs {
  readonly addedAffinity?: NodeAffinity | undefined
}

export function createNodeAffinity({ addedAffinity }: NodeAffinityArgs = {}): Plugin {
  const addedSelector = addedAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  const addedTerms = addedAffinity?.preferredDuringSchedulingIgnoredDuringExecution
  const isAllowed = (node: Node): boolean => !addedSelector || matchesNodeSelector(addedSelector, node)

  return definePlugin<undefined, readonly PreferredSchedulingTerm[]>({
    name: 'NodeAffinity',
    preFilter({ pod }) {
      const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
      if (!required && !addedSelector && !pod.spec?.nodeSelector) return { skip: true }
      const nodeNames = nodeNamesOf(required)
      if (nodeNames?.size === 0) return { rejection: CONTRADICTION }
      return { state: undefined, nodeNames }
    },
    filter(_state, pod, { node }) {
      if (!isAllowed(node)) return NOT_ENFORCED
      return matchesRequiredNodeAffinity(pod.pod.spec, node) ? undefined : REFUSED
    },
    template: ({ pod: { spec } }) => JSON.stringify([spec?.nodeSelector, spec?.affinity?.nodeAffinity]),
    preScore({ pod }) {
      const preferred = pod.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution
      return preferred || addedTerms?.length ? { state: [...(addedTerms ?? NO_TERMS), ...(preferred ?? NO_TERMS)] } : { skip: true }
    },
    score: (terms, _pod, { node }) => preferenceWeight(terms, node),
    normalise: (scores) => normaliseByMaximum(scores, false),
    requeueOn: [
      {
        on: ['node-added', 'node-labels'],
        isWorth({ pod }, event) {
          if (event.kind !== 'node-added' && event.kind !== 'node-labels') return false
          if (!isAllowed(event.node) || !matchesRequiredNodeAffinity(pod.spec, event.node)) return false
          return event.kind === 'node-added' || !matchesRequiredNodeAffinity(pod.spec, event.old) || !isAllowed(event.old)
        },
      },
    ],
  })
}
