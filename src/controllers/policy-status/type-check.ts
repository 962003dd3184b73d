/**
 * What the expressions of a ValidatingAdmissionPolicy get wrong about the kinds that it names: nothing is refused for it, its author is
 * told in the status (KEP-3488; apiserver pkg/admission/plugin/policy/validating/typechecking.go).
 */
import type { ExpressionWarning, ValidatingAdmissionPolicy } from '../../api/generated/admissionregistration/v1.ts'
import type { GroupVersionKind, ResourceInfo } from '../../api/schema.ts'
import { checkExpression, type KnownTypes } from '../../cel/admission-expressions.ts'
import { DYN, type Type } from '../../cel/types.ts'

/** Kinds that are looked at for one rule. */
const MAX_KINDS = 10

/** The kinds that a policy names in full: what has a wildcard in it is not looked at. */
export function kindsOf({ spec }: ValidatingAdmissionPolicy, resources: readonly ResourceInfo[]): readonly GroupVersionKind[] {
  const kinds = new Map<string, GroupVersionKind>()
  for (const { apiGroups = [], apiVersions = [], resources: names = [] } of spec?.matchConstraints?.resourceRules ?? []) {
    if ([...apiGroups, ...apiVersions].some((name) => name.includes('*'))) continue
    let count = 0
    const wanted = apiGroups.toSorted().flatMap(
      (group) =>
      apiVersions.toSorted().flatMap((version) => names.filter((name) => !/[*/]/.test(name)).toSorted().map((name) => [group, version, name] as const)), // prettier-ignore
    )
    for (const [group, version, name] of wanted) {
      // Without a group any will do, as for kubectl.
      const found = resources.filter((info) => info.resource === name && info.version === version && (group === '' || info.group === group))
      for (const { group: own, kind } of found) {
        if (count++ < MAX_KINDS) kinds.set(keyOf({ group: own, version, kind }), { group: own, version, kind })
      }
    }
  }
  return [...kinds].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, kind]) => kind)
}

/** In the order of group, version and kind. */
const keyOf = ({ group, version, kind }: GroupVersionKind): string => `${group}\0${version}\0${kind}`

export interface CheckedKind {
  readonly kind: GroupVersionKind
  readonly types: KnownTypes
}

export function typeCheck({ spec }: ValidatingAdmissionPolicy, kinds: readonly CheckedKind[]): readonly ExpressionWarning[] {
  const hasParams = spec?.paramKind !== undefined
  const known = kinds.map(({ kind, types }) => {
    const variables = new Map<string, Type>()
    for (const { name, expression } of spec?.variables ?? []) {
      const checked = checkExpression(expression, types, { hasParams, variables })
      variables.set(name, 'type' in checked ? checked.type : DYN)
    }
    return { label: `${kind.group}/${kind.version}, Kind=${kind.kind}`, types, variables }
  })
  const warn = (fieldRef: string, expression: string | undefined): readonly ExpressionWarning[] => {
    if (!expression) return []
    const told = known.flatMap(({ label, types, variables }) => {
      const checked = checkExpression(expression, types, { hasParams, variables })
      return 'errors' in checked ? [`${label}: ${checked.errors}\n`] : []
    })
    return told.length > 0 ? [{ fieldRef, warning: told.join('\n') }] : []
  }
  return (spec?.validations ?? []).flatMap(({ expression, messageExpression }, index) => [
    ...warn(`spec.validations[${index}].expression`, expression),
    ...warn(`spec.validations[${index}].messageExpression`, messageExpression),
  ])
}
