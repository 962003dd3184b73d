/** Label selectors compiled to functions: a decision tries the same selector on thousands of pods. */
import type { LabelSelector, LabelSelectorRequirement } from '../api/generated/meta/v1.ts'

export type Labels = Readonly<Record<string, string>>
export type LabelMatcher = (labels: Labels) => boolean

export const MATCHES_NOTHING: LabelMatcher = () => false
export const MATCHES_EVERYTHING: LabelMatcher = () => true

function compileRequirement({ key, operator, values = [] }: LabelSelectorRequirement): LabelMatcher {
  switch (operator) {
    case 'In':
      return (labels) => labels[key] !== undefined && values.includes(labels[key])
    case 'NotIn':
      return (labels) => labels[key] === undefined || !values.includes(labels[key])
    case 'Exists':
      return (labels) => labels[key] !== undefined
    case 'DoesNotExist':
      return (labels) => labels[key] === undefined
    default:
      return MATCHES_NOTHING
  }
}

/** All of these labels, with these values. */
export function compileLabels(wanted: Labels): LabelMatcher {
  const pairs = Object.entries(wanted)
  return (labels) => {
    for (const [key, value] of pairs) if (labels[key] !== value) return false
    return true
  }
}

export function allOf(matchers: readonly LabelMatcher[]): LabelMatcher {
  if (matchers.length === 0) return MATCHES_EVERYTHING
  return matchers.length === 1 ? matchers[0]! : (labels) => matchers.every((matches) => matches(labels))
}

/** An empty selector matches everything. */
export function compileSelector(selector: LabelSelector): LabelMatcher {
  const matchers: LabelMatcher[] = []
  if (selector.matchLabels && Object.keys(selector.matchLabels).length > 0) matchers.push(compileLabels(selector.matchLabels))
  for (const requirement of selector.matchExpressions ?? []) matchers.push(compileRequirement(requirement))
  return allOf(matchers)
}

export const isEmptySelector = (selector: LabelSelector | undefined): boolean =>
  !selector || ((!selector.matchLabels || Object.keys(selector.matchLabels).length === 0) && !selector.matchExpressions?.length)
