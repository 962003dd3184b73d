/** The short form in which the bootstrap roles are written down. */
import type { PolicyRule } from '../../api/generated/rbac/v1.ts'

const list = (part: string): readonly string[] => part.split(',')

/** `verbs | groups | resources | names`, or `verbs | url | paths`; "core" is the group "". */
export function parseRule(text: string): PolicyRule {
  const [verbs = '', groups = '', targets = '', names] = text.split(' | ').map((part) => part.trim())
  if (groups === 'url') return { verbs: list(verbs), nonResourceURLs: list(targets) }
  return {
    verbs: list(verbs),
    apiGroups: list(groups).map((group) => (group === 'core' ? '' : group)),
    resources: list(targets),
    ...(names ? { resourceNames: list(names) } : {}),
  }
}

export interface RoleFacts {
  readonly name: string
  readonly namespace?: string
  readonly labels?: Readonly<Record<string, string>>
  /** The label by which it takes in the rules of other roles. */
  readonly aggregates?: string
  readonly rules: readonly string[]
}

export interface BindingFacts {
  readonly name: string
  readonly namespace?: string
  readonly role: string
  /** "User x", "Group x", "ServiceAccount ns/x". */
  readonly subjects: readonly string[]
}
