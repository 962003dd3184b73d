/** Where upstream tells an empty selector from one with terms: budgets and spread constraints with an empty one select nothing. */
import type { LabelSelector } from '../api/generated/meta/v1.ts'

export const hasSelectorTerms = (selector: LabelSelector | undefined): boolean =>
  selector !== undefined && (Object.keys(selector.matchLabels ?? {}).length > 0 || (selector.matchExpressions?.length ?? 0) > 0)
