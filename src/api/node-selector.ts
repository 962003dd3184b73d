/**
 * Node selectors and affinity terms (core/v1 NodeSelectorTerm): terms are ORed, the requirements in a term ANDed, and a term
 * that cannot be understood matches no node, as upstream's component-helpers/scheduling/corev1/nodeaffinity has it.
 */
import type {
  Node,
  NodeSelector,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PodSpec,
  PreferredSchedulingTerm,
} from './generated/core/v1.ts'

const INTEGER = /^[+-]?\d+$/

/** Does this label value (undefined when the label is absent) meet the requirement? */
function meetsLabel(requirement: NodeSelectorRequirement, actual: string | undefined): boolean {
  const values = requirement.values ?? []
  switch (requirement.operator) {
    case 'In':
      return actual !== undefined && values.includes(actual)
    case 'NotIn':
      return actual === undefined || !values.includes(actual)
    case 'Exists':
      return actual !== undefined
    case 'DoesNotExist':
      return actual === undefined
    case 'Gt':
    case 'Lt': {
      const bound = values[0]
      if (values.length !== 1 || bound === undefined || actual === undefined || !INTEGER.test(actual) || !INTEGER.test(bound)) return false
      const difference = BigInt(actual) - BigInt(bound)
      return requirement.operator === 'Gt' ? difference > 0n : difference < 0n
    }
    default:
      return false
  }
}

/** Only metadata.name can be selected on, with exactly one value. */
function meetsField(requirement: NodeSelectorRequirement, nodeName: string): boolean {
  const values = requirement.values ?? []
  if (values.length !== 1) return false
  const actual = requirement.key === 'metadata.name' ? nodeName : ''
  if (requirement.operator === 'In') return actual === values[0]
  return requirement.operator === 'NotIn' && actual !== values[0]
}

/** A label may be named like what every JavaScript object inherits ("constructor"). */
function labelOf({ metadata }: Node, key: string): string | undefined {
  const labels = metadata?.labels
  return labels && Object.hasOwn(labels, key) ? labels[key] : undefined
}

const isEmpty = (term: NodeSelectorTerm): boolean => !term.matchExpressions?.length && !term.matchFields?.length

export function matchesTerm(term: NodeSelectorTerm, node: Node): boolean {
  if (isEmpty(term)) return false
  for (const requirement of term.matchExpressions ?? []) if (!meetsLabel(requirement, labelOf(node, requirement.key))) return false
  for (const requirement of term.matchFields ?? []) if (!meetsField(requirement, node.metadata?.name ?? '')) return false
  return true
}

export const matchesNodeSelector = (selector: NodeSelector, node: Node): boolean =>
  selector.nodeSelectorTerms.some((term) => matchesTerm(term, node))

/** What a pod demands of its node: spec.nodeSelector and required node affinity. */
export function matchesRequiredNodeAffinity(spec: Pick<PodSpec, 'nodeSelector' | 'affinity'> | undefined, node: Node): boolean {
  const wanted = spec?.nodeSelector
  for (const key in wanted) if (labelOf(node, key) !== wanted[key]) return false
  const required = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  return !required || matchesNodeSelector(required, node)
}

/** The sum of the weights of the preferences that the node meets. */
export function preferenceWeight(terms: readonly PreferredSchedulingTerm[], node: Node): number {
  let sum = 0
  for (const term of terms) if (matchesTerm(term.preference, node)) sum += term.weight
  return sum
}

/**
 * The only nodes that the required affinity can match, when every term names nodes by metadata.name; undefined when any node may.
 * An empty set means that the terms contradict themselves.
 */
export function nodeNamesOf(selector: NodeSelector | undefined): ReadonlySet<string> | undefined {
  if (!selector?.nodeSelectorTerms.length) return undefined
  const names = new Set<string>()
  for (const term of selector.nodeSelectorTerms) {
    let termNames: readonly string[] | undefined
    for (const { key, operator, values } of term.matchFields ?? []) {
      if (key !== 'metadata.name' || operator !== 'In') continue
      termNames = termNames ? termNames.filter((name) => values?.includes(name)) : (values ?? [])
    }
    if (!termNames) return undefined
    for (const name of termNames) names.add(name)
  }
  return names
}
