/**
 * PodSecurity: pods are held to the standard that their namespace names; workloads are let through with a warning, for their pods come
 * later (KEP-2579, k8s.io/pod-security-admission/admission). Warnings are told to the client, violations of the audit level go into
 * the audit log.
 */
import type { Namespace, Pod, PodSpec, PodTemplateSpec } from '../../../api/generated/core/v1.ts'
import { failure, invalid } from '../../../api/status.ts'
import { admissionDenied, type AdmissionAttributes, type AdmissionPlugin } from '../../admission.ts'
import type { PodLike, Refusal } from './checks.ts'
import { podSecurityConfiguration, type PodSecurityConfiguration } from './configuration.ts'
import { detailsText, evaluate, isSame, isStricter, MODES, policyOf, reasonsText, shown, type LevelVersion, type Policy } from './policy.ts'

/** How many existing pods are looked at when a namespace becomes stricter, and for how long. */
const MAX_PODS = 3000
const MAX_CHECK_MS = 1000

const AUDIT_PREFIX = 'pod-security.kubernetes.io/'

/** Subresources of pods that cannot change what runs. */
const IGNORED_SUBRESOURCES: ReadonlySet<string> = new Set([
  'exec',
  'attach',
  'binding',
  'eviction',
  'log',
  'portforward',
  'proxy',
  'status',
])

type Template = PodTemplateSpec | undefined

/** Where workloads have the template of their pods. */
const TEMPLATES: Readonly<Record<string, (object: NonNullable<AdmissionAttributes['object']>) => Template>> = {
  podtemplates: ({ template }) => template as Template,
  replicationcontrollers: ({ spec }) => spec?.template,
  'replicasets.apps': ({ spec }) => spec?.template,
  'deployments.apps': ({ spec }) => spec?.template,
  'statefulsets.apps': ({ spec }) => spec?.template,
  'daemonsets.apps': ({ spec }) => spec?.template,
  'jobs.batch': ({ spec }) => spec?.template,
  'cronjobs.batch': ({ spec }) => spec?.jobTemplate?.spec?.template,
}

const nameOf = ({ resource: { group, resource } }: AdmissionAttributes): string => (group === '' ? resource : `${resource}.${group}`)

export function podSecurity(given?: unknown): AdmissionPlugin {
  const configuration = podSecurityConfiguration(given)
  return {
    name: 'PodSecurity',
    handles(attributes) {
      if (attributes.operation !== 'CREATE' && attributes.operation !== 'UPDATE') return false
      const name = nameOf(attributes)
      if (name === 'pods') return !IGNORED_SUBRESOURCES.has(attributes.subresource ?? '')
      return attributes.subresource === undefined && (name === 'namespaces' || Object.hasOwn(TEMPLATES, name))
    },
    validate(attributes) {
      const name = nameOf(attributes)
      if (name === 'namespaces') return validateNamespace(attributes, configuration)
      const pod = name === 'pods' ? (attributes.object as Pod) : TEMPLATES[name]!(attributes.object!)
      if (pod?.spec) validatePod(attributes, configuration, { metadata: pod.metadata ?? {}, spec: pod.spec }, name === 'pods')
    },
  }
}

const annotate = ({ context }: AdmissionAttributes, key: string, value: string): void => context.annotate?.(AUDIT_PREFIX + key, value)

function validatePod(attributes: AdmissionAttributes, configuration: PodSecurityConfiguration, pod: PodLike, isPod: boolean): void {
  const { context, namespace = '', user, operation } = attributes
  if (configuration.exemptNamespaces.has(namespace)) return annotate(attributes, 'exempt', 'namespace')
  if (configuration.exemptUsers.has(user.name)) return annotate(attributes, 'exempt', 'user')
  const found = context.read.get('v1/Namespace', undefined, namespace)
  if (!found) {
    if (isPod) throw failure('InternalError', `Internal error occurred: failed to lookup namespace ${JSON.stringify(namespace)}`)
    return
  }
  const { policy, errors } = policyOf(found.metadata?.labels, configuration.defaults)
  const modes = isPod ? MODES : (['audit', 'warn'] as const)
  if (errors.length === 0 && modes.every((mode) => policy[mode].level === 'privileged')) {
    if (isPod) annotate(attributes, 'enforce-policy', 'privileged:latest')
    return
  }
  if (isPod && operation === 'UPDATE' && !isSignificant(pod.spec, (attributes.oldObject as Pod).spec)) return
  if (configuration.exemptRuntimeClasses.has(pod.spec.runtimeClassName ?? '')) return annotate(attributes, 'exempt', 'runtimeClass')
  if (errors.length > 0) {
    annotate(attributes, 'error', `Failed to parse policy: ${errors.map(({ field, detail }) => `${field}: ${detail}`).join(', ')}`)
  }
  judge(attributes, policy, pod, isPod)
}

function judge(attributes: AdmissionAttributes, policy: Policy, pod: PodLike, isPod: boolean): void {
  const results = new Map<string, readonly Refusal[]>()
  const refusalsOf = (level: LevelVersion): readonly Refusal[] => {
    const known = results.get(shown(level))
    if (known) return known
    const made = evaluate(level, pod)
    results.set(shown(level), made)
    return made
  }
  const audited = refusalsOf(policy.audit)
  if (audited.length > 0) annotate(attributes, 'audit-violations', text('would violate', policy.audit, audited))
  if (isPod) {
    annotate(attributes, 'enforce-policy', shown(policy.enforce))
    const refusals = refusalsOf(policy.enforce)
    if (refusals.length > 0) throw admissionDenied(attributes, text('violates', policy.enforce, refusals))
  }
  const warned = refusalsOf(policy.warn)
  if (warned.length > 0) attributes.context.warn(text('would violate', policy.warn, warned))
}

const text = (verb: string, level: LevelVersion, refusals: readonly Refusal[]): string =>
  `${verb} PodSecurity "${shown(level)}": ${detailsText(refusals)}`

/** Of a pod that is there, containers and their images alone can change for the worse. */
function isSignificant(next: PodSpec, old: PodSpec | undefined): boolean {
  if (!old) return true
  const areChanged = (after: PodSpec['containers'] = [], before: PodSpec['containers'] = []): boolean =>
    after.length !== before.length || after.some(({ image }, index) => image !== before[index]!.image)
  if (areChanged(next.containers, old.containers) || areChanged(next.initContainers, old.initContainers)) return true
  const images = new Map(old.ephemeralContainers?.map(({ name, image }) => [name, image]))
  return next.ephemeralContainers?.some(({ name, image }) => !images.has(name) || images.get(name) !== image) ?? false
}

function validateNamespace(attributes: AdmissionAttributes, configuration: PodSecurityConfiguration): void {
  const namespace = attributes.object as Namespace
  const name = namespace.metadata?.name ?? ''
  const { policy, errors } = policyOf(namespace.metadata?.labels, configuration.defaults)
  if (attributes.operation === 'CREATE') {
    if (errors.length > 0) throw invalid('', 'Namespace', name, errors)
    if (configuration.exemptNamespaces.has(name)) warnOfExemption(attributes, namespace, policy, configuration.defaults)
    return
  }
  const old = policyOf((attributes.oldObject as Namespace).metadata?.labels, configuration.defaults)
  const told = (list: typeof errors): string => JSON.stringify(list)
  if (errors.length > 0 && (old.errors.length === 0 || told(errors) !== told(old.errors))) throw invalid('', 'Namespace', name, errors)
  const { enforce } = policy
  const before = old.policy.enforce
  if (isSame(enforce, before) || enforce.level === 'privileged') return
  if (enforce.version === before.version && !isStricter(enforce.level, before.level)) return
  if (configuration.exemptNamespaces.has(name)) return warnOfExemption(attributes, namespace, policy, configuration.defaults)
  for (const warning of existingViolations(attributes, configuration, name, enforce)) attributes.context.warn(warning)
}

/** What runs already is not stopped; whoever makes the namespace stricter hears of it. */
function existingViolations(
  { context }: AdmissionAttributes,
  { exemptRuntimeClasses }: PodSecurityConfiguration,
  namespace: string,
  enforce: LevelVersion,
): readonly string[] {
  const pods = byUniqueness(
    context.read.list('v1/Pod', namespace).filter(({ spec }) => spec && !exemptRuntimeClasses.has(spec.runtimeClassName ?? '')),
  )
  const deadlineMs = context.runtime.clock.monotonic() + MAX_CHECK_MS
  const violations = new Map<string, { first: string; count: number }>()
  let checked = 0
  for (const { metadata = {}, spec } of pods.slice(0, MAX_PODS)) {
    checked++
    const refusals = evaluate(enforce, { metadata, spec: spec! })
    if (refusals.length > 0) {
      const name = metadata.name ?? ''
      const known = violations.get(reasonsText(refusals))
      if (!known) violations.set(reasonsText(refusals), { first: name, count: 1 })
      else {
        known.count++
        if (name < known.first) known.first = name
      }
    }
    if (context.runtime.clock.monotonic() > deadlineMs) break
  }
  const lines = Array.from(violations, ([reasons, { first, count }]) => {
    const others = count === 1 ? '' : count === 2 ? ' (and 1 other pod)' : ` (and ${count - 1} other pods)`
    return `${first}${others}: ${reasons}`
  })
  return [
    ...(checked < pods.length
      ? [`new PodSecurity enforce level only checked against the first ${checked} of ${pods.length} existing pods`]
      : []),
    ...(lines.length > 0
      ? [`existing pods in namespace ${JSON.stringify(namespace)} violate the new PodSecurity enforce level "${shown(enforce)}"`]
      : []),
    ...lines.toSorted(),
  ]
}

/** One pod of each controller first: its others are alike. */
function byUniqueness(pods: readonly Pod[]): readonly Pod[] {
  const seen = new Set<string>()
  const others: Pod[] = []
  const first = pods.filter((pod) => {
    const owner = pod.metadata?.ownerReferences?.find(({ controller }) => controller)?.uid
    if (owner === undefined) return true
    if (seen.has(owner)) {
      others.push(pod)
      return false
    }
    seen.add(owner)
    return true
  })
  return [...first, ...others]
}

function warnOfExemption(attributes: AdmissionAttributes, { metadata }: Namespace, policy: Policy, defaults: Policy): void {
  const isLike = (a: LevelVersion, b: LevelVersion) => isSame(a, b) || (a.level === 'privileged' && b.level === 'privileged')
  if (MODES.every((mode) => isLike(policy[mode], defaults[mode])) || MODES.every((mode) => policy[mode].level === 'privileged')) return
  const labels = metadata?.labels ?? {}
  const given = MODES.filter(
    (mode) => policy[mode].level !== 'privileged' && (AUDIT_PREFIX + mode in labels || `${AUDIT_PREFIX}${mode}-version` in labels),
  ).map((mode) => `${mode}=${shown(policy[mode])}`)
  attributes.context.warn(
    `namespace ${JSON.stringify(metadata?.name ?? '')} is exempt from Pod Security, and the policy (${given.join(', ')}) will be ignored`,
  )
}
