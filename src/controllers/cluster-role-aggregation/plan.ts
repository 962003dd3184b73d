/** The rules of a ClusterRole that is made of others: those of every role that one of its selectors matches, each once. */
import type { ClusterRole, PolicyRule } from '../../api/generated/rbac/v1.ts'
import { compileLabelSelector } from '../../api/selectors.ts'
import { deepEqual } from '../../base/deep-equal.ts'

/** The very rules that the role has when nothing differs. */
export function planRules(role: ClusterRole, all: readonly ClusterRole[]): readonly PolicyRule[] | undefined {
  const sorted = all.toSorted((a, b) => (a.metadata!.name! < b.metadata!.name! ? -1 : 1))
  const rules: PolicyRule[] = []
  for (const selector of role.aggregationRule?.clusterRoleSelectors ?? []) {
    const matches = compileLabelSelector(selector)
    for (const { metadata, rules: more = [] } of sorted) {
      if (metadata?.name === role.metadata?.name || !matches(metadata?.labels ?? {})) continue
      for (const rule of more) if (!rules.some((known) => deepEqual(known, rule))) rules.push(rule)
    }
  }
  return deepEqual(rules, role.rules ?? []) ? role.rules : rules
}
