/** Policies with their bindings, and where the constraints of both match: the same for validating and mutating ones. */
import type { MatchResources } from '../../../api/generated/admissionregistration/v1.ts'
import type { KubeObject } from '../../../api/object.ts'
import type { ResourceInfo } from '../../../api/schema.ts'
import type { AdmissionAttributes } from '../../admission.ts'
import type { ResourceRegistry } from '../../resource-registry.ts'
import { matchNamespace, matchObject, matchRules } from '../webhooks/match.ts'
import type { Versions } from '../webhooks/versions.ts'

const GROUP = 'admissionregistration.k8s.io'

export interface Bound<P, B> {
  readonly policy: P
  readonly bindings: readonly B[]
}

/** Policies that have a binding, by name; kept until one of either changes. `stem` is "validatingadmissionpolic" or the other. */
export function boundPolicies<P extends KubeObject, B extends KubeObject & { readonly spec?: { readonly policyName?: string } }>(
  registry: ResourceRegistry,
  stem: string,
): () => readonly Bound<P, B>[] {
  let known: readonly Bound<P, B>[] = []
  let at = ''
  return () => {
    const policies = registry.find(GROUP, 'v1', `${stem}ies`)?.stored.cache
    const bindings = registry.find(GROUP, 'v1', `${stem}ybindings`)?.stored.cache
    if (!policies || !bindings) return known
    const change = `${policies.lastChange}/${bindings.lastChange}`
    if (change === at) return known
    at = change
    const byPolicy = new Map<string, B[]>()
    bindings.walk('', undefined, ({ object }) => {
      const binding = object as B
      const name = binding.spec?.policyName ?? ''
      byPolicy.set(name, [...(byPolicy.get(name) ?? []), binding])
    })
    const found: Bound<P, B>[] = []
    policies.walk('', undefined, ({ object }) => {
      const own = byPolicy.get(object.metadata?.name ?? '')
      if (own) found.push({ policy: object as P, bindings: own })
    })
    return (known = found)
  }
}

/** The resource in the version that the constraints name; undefined where they do not match. */
export function matchOf(match: MatchResources | undefined, attributes: AdmissionAttributes, versions: Versions): ResourceInfo | undefined {
  if (!match) return attributes.resource
  if (!matchNamespace(match, attributes) || !matchObject(match, attributes)) return undefined
  const equivalents = () => versions.equivalents(attributes.resource)
  const { matchPolicy, resourceRules: rules, excludeResourceRules: excluded } = match
  if (excluded?.length && matchRules({ rules: excluded, matchPolicy }, attributes, equivalents)) return undefined
  return rules?.length ? matchRules({ rules, matchPolicy }, attributes, equivalents) : attributes.resource
}
