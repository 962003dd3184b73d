/**
 * Which webhooks a request concerns: by rules, by the labels of its namespace and by those of the object. Pure over what the
 * admission attributes and the caches tell (upstream: admission/plugin/webhook/predicates).
 */
import type { MutatingWebhook, NamedRuleWithOperations, ValidatingWebhook } from '../../../api/generated/admissionregistration/v1.ts'
import type { KubeObject } from '../../../api/object.ts'
import { compileLabelSelector, type LabelMatcher } from '../../../api/selectors.ts'
import type { ResourceInfo } from '../../../api/schema.ts'
import { notFound } from '../../../api/status.ts'
import type { AdmissionAttributes } from '../../admission.ts'

export type Webhook = ValidatingWebhook | MutatingWebhook

const EXEMPT: ReadonlySet<string> = new Set([
  'validatingwebhookconfigurations',
  'mutatingwebhookconfigurations',
  'validatingadmissionpolicies',
  'validatingadmissionpolicybindings',
  'mutatingadmissionpolicies',
  'mutatingadmissionpolicybindings',
])

/** What configures admission is never admitted by it: a broken webhook could not be removed. */
export const isExempt = ({ resource }: Pick<AdmissionAttributes, 'resource'>): boolean =>
  resource.group === 'admissionregistration.k8s.io' && EXEMPT.has(resource.resource)

const isNamed = (items: readonly string[] | undefined, wanted: string): boolean =>
  items !== undefined && (items.includes('*') || items.includes(wanted))

function isInScope(scope: string | undefined, { namespace, resource }: AdmissionAttributes): boolean {
  if (scope === undefined || scope === '*') return true
  const isNamespaced = namespace !== undefined && !(resource.group === '' && resource.resource === 'namespaces')
  return scope === 'Namespaced' ? isNamespaced : !isNamespaced
}

/** "pods", "pods/status", "pods/*", "*", "*" with a subresource, and everything as "*" over "*". */
function isResourceNamed(items: readonly string[] | undefined, resource: string, subresource: string): boolean {
  return (items ?? []).some((item) => {
    const slash = item.indexOf('/')
    const [name, sub] = slash < 0 ? [item, ''] : [item.slice(0, slash), item.slice(slash + 1)]
    return (name === '*' || name === resource) && (sub === '*' || sub === subresource)
  })
}

/** What webhooks, policies and their bindings have in common. */
export interface Matching {
  readonly rules?: readonly NamedRuleWithOperations[] | undefined
  readonly matchPolicy?: string | undefined
  readonly namespaceSelector?: Webhook['namespaceSelector'] | undefined
  readonly objectSelector?: Webhook['objectSelector'] | undefined
}

function isRuleFor(rule: NamedRuleWithOperations, attributes: AdmissionAttributes, resource: ResourceInfo): boolean {
  return (
    isInScope(rule.scope, attributes) &&
    isNamed(rule.operations, attributes.operation) &&
    isNamed(rule.apiGroups, resource.group) &&
    isNamed(rule.apiVersions, resource.version) &&
    isResourceNamed(rule.resources, resource.resource, attributes.subresource ?? '') &&
    (!rule.resourceNames?.length || rule.resourceNames.includes(attributes.name))
  )
}

/**
 * The resource in the version in which the webhook wants it: as it was asked for, or, with matchPolicy Equivalent, the first other
 * version of it that a rule names. Undefined when no rule is about the request.
 */
export function matchRules(
  webhook: Matching,
  attributes: AdmissionAttributes,
  equivalents: () => readonly ResourceInfo[],
): ResourceInfo | undefined {
  const rules = webhook.rules ?? []
  if (rules.some((rule) => isRuleFor(rule, attributes, attributes.resource))) return attributes.resource
  if (webhook.matchPolicy !== 'Equivalent') return undefined
  for (const rule of rules)
    for (const equivalent of equivalents())
      if (equivalent !== attributes.resource && isRuleFor(rule, attributes, equivalent)) return equivalent
  return undefined
}

/** Whether the namespaceSelector picks the request's namespace; requests about cluster-scoped objects are never left out by it. */
export function matchNamespace({ namespaceSelector }: Matching, attributes: AdmissionAttributes): boolean {
  const { namespace, resource, context } = attributes
  const isNamespace = resource.group === '' && resource.resource === 'namespaces'
  if (!namespaceSelector || isEmptySelector(namespaceSelector) || (namespace === undefined && !isNamespace)) return true
  const matches = matcherOf(namespaceSelector)
  const isWrite = attributes.operation === 'CREATE' || attributes.operation === 'UPDATE'
  if (isNamespace && isWrite && !attributes.subresource) return matches(attributes.object?.metadata?.labels ?? {})
  const name = namespace ?? attributes.name
  const found = context.read.get('v1/Namespace', undefined, name)
  if (!found) throw notFound('', 'namespaces', name)
  return matches(found.metadata?.labels ?? {})
}

/** Whether the objectSelector picks the new or the old object; what cannot have labels is not picked. */
export function matchObject({ objectSelector }: Matching, { object, oldObject }: AdmissionAttributes): boolean {
  if (!objectSelector || isEmptySelector(objectSelector)) return true
  const matches = matcherOf(objectSelector)
  const isPicked = (candidate: KubeObject | undefined): boolean =>
    candidate?.metadata !== undefined && matches(candidate.metadata.labels ?? {})
  return isPicked(object) || isPicked(oldObject)
}

type Selector = NonNullable<Webhook['objectSelector']>

/** Compiled once a configuration: it is asked on every write. */
const matchers = new WeakMap<Selector, LabelMatcher>()

function matcherOf(selector: Selector): LabelMatcher {
  const known = matchers.get(selector)
  if (known) return known
  const compiled = compileLabelSelector(selector)
  matchers.set(selector, compiled)
  return compiled
}

const isEmptySelector = ({ matchLabels, matchExpressions }: Selector): boolean =>
  (matchLabels === undefined || Object.keys(matchLabels).length === 0) && (matchExpressions === undefined || matchExpressions.length === 0)
