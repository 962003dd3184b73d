/** Nodes: machines that run pods. */
import type { Node, NodeSpec, Taint } from '../../../api/generated/core/v1.ts'
import { labelValueFaults, maxLengthFault, qualifiedNameFaults, SUBDOMAIN_MAX_LENGTH } from '../../../api/names.ts'
import { defineResource, type Column } from '../../resource.ts'
import { cidrProblem, familyOfIP } from '../addresses.ts'
import { ageColumn, nameColumn, text, wide } from '../columns.ts'
import { changeField, isEqual, withField } from '../immutable.ts'
import { internalForm } from '../internal-form.ts'
import { checkFormat, checkRequiredOneOf, duplicate, forbidden, internal, invalid, type FieldErrors } from '../rules.ts'
import { validateAmount } from './resource-requirements-validation.ts'

const ROLE_PREFIX = 'node-role.kubernetes.io/'
const ROLE_LABEL = 'kubernetes.io/role'
export const TAINT_EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute']

function status(node: Node): string {
  const ready = node.status?.conditions?.findLast((condition) => condition.type === 'Ready')
  const word = ready ? (ready.status === 'True' ? 'Ready' : 'NotReady') : 'Unknown'
  return node.spec?.unschedulable ? `${word},SchedulingDisabled` : word
}

function roles(node: Node): string {
  const found = new Set<string>()
  for (const [key, value] of Object.entries(node.metadata?.labels ?? {})) {
    if (key.startsWith(ROLE_PREFIX) && key.length > ROLE_PREFIX.length) found.add(key.slice(ROLE_PREFIX.length))
    else if (key === ROLE_LABEL && value) found.add(value)
  }
  return [...found].sort().join(',') || '<none>'
}

const address = (node: Node, type: string): string => node.status?.addresses?.find((entry) => entry.type === type)?.address ?? '<none>'

function kernel({ status: { nodeInfo } = {} }: Node): string {
  const version = nodeInfo?.kernelVersion || '<unknown>'
  return nodeInfo?.architecture ? `${version} (${nodeInfo.architecture})` : version
}

function validateTaints(errors: FieldErrors, path: string, taints: readonly Taint[] | undefined): void {
  const seen = new Set<string>()
  taints?.forEach((taint, i) => {
    const at = `${path}[${i}]`
    checkFormat(errors, `${at}.key`, taint.key ?? '', qualifiedNameFaults)
    const problems = labelValueFaults(taint.value ?? '')
    if (problems.length > 0) errors.push(invalid(`${at}.value`, taint.value, problems.join(';')))
    checkRequiredOneOf(errors, `${at}.effect`, taint.effect, TAINT_EFFECTS)
    const key = `${taint.effect} ${taint.key}`
    if (seen.has(key)) {
      const detail = `Duplicate value: ${internalForm(taint, 'core/v1.Taint')}: taints must be unique by key and effect pair`
      errors.push({ type: 'FieldValueDuplicate', field: at, detail })
    }
    seen.add(key)
  })
}

function validateState(errors: FieldErrors, { status }: Node): void {
  for (const side of ['capacity', 'allocatable'] as const)
    for (const [name, amount] of Object.entries(status?.[side] ?? {})) validateAmount(errors, `status.${side}.${name}`, name, amount)
  const seen = new Set<string>()
  status?.addresses?.forEach((entry, i) => {
    const key = `${entry.type} ${entry.address}`
    const detail = `Duplicate value: ${internalForm(entry, 'core/v1.NodeAddress')}`
    if (seen.has(key)) errors.push({ type: 'FieldValueDuplicate', field: `status.addresses[${i}]`, detail })
    seen.add(key)
  })
}

/** The first of the networks stands beside them, too, and of both it is the one that counts. */
function withBothCIDRs(spec: NodeSpec): NodeSpec {
  const { podCIDR, podCIDRs = [] } = spec
  if (podCIDR) return podCIDR === podCIDRs[0] ? spec : { ...spec, podCIDRs: [podCIDR] }
  return podCIDRs[0] ? { ...spec, podCIDR: podCIDRs[0] } : spec
}

function validateCIDRs(errors: FieldErrors, path: string, cidrs: readonly string[] = []): void {
  cidrs.forEach((cidr, i) => {
    const problem = cidrProblem(cidr)
    if (problem !== undefined) errors.push(invalid(`${path}[${i}]`, cidr, problem))
  })
  if (cidrs.length < 2) return
  const families = cidrs.map((cidr) => (cidrProblem(cidr) ? undefined : familyOfIP(cidr.slice(0, cidr.indexOf('/')))))
  const bad = families.indexOf(undefined)
  if (bad >= 0) {
    const fault = `invalid CIDR[${bad}]: <nil> (invalid CIDR address: ${cidrs[bad]})`
    errors.push(internal(path, `invalid PodCIDRs. failed to check with dual stack with error:${fault}`))
  }
  if (bad >= 0 || cidrs.length > 2 || families[0] === families[1])
    errors.push(invalid(path, cidrs, 'may specify no more than one CIDR for each IP family'))
}

const FEATURE = /^[A-Z][a-zA-Z0-9]*(\/[a-zA-Z][a-zA-Z0-9]*)*$/
const FEATURE_FAULT =
  "must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes"

/** What a node says that it can do: names in order, each once. */
function validateDeclaredFeatures(errors: FieldErrors, features: readonly string[] = []): void {
  features.forEach((feature, i) => {
    const path = `status.declaredFeatures[${i}]`
    const fault =
      feature.length > SUBDOMAIN_MAX_LENGTH ? maxLengthFault(SUBDOMAIN_MAX_LENGTH) : FEATURE.test(feature) ? undefined : FEATURE_FAULT
    if (fault) errors.push(invalid(path, feature, `invalid feature name ${JSON.stringify(feature)}: ${fault}`))
    const before = i > 0 ? features[i - 1] : undefined
    if (before === feature) errors.push(duplicate(path, feature))
    else if (before !== undefined && before > feature) errors.push(invalid(path, feature, 'list must be sorted alphabetically'))
  })
}

export const nodes = defineResource({
  group: '',
  version: 'v1',
  kind: 'Node',
  hasGeneration: false,
  columns: [
    nameColumn as Column<Node>,
    text('Status', status, 'Whether the node is ready, and takes new pods.'),
    text('Roles', roles),
    ageColumn as Column<Node>,
    text('Version', (node: Node) => node.status?.nodeInfo?.kubeletVersion ?? ''),
    wide(text('Internal-IP', (node: Node) => address(node, 'InternalIP'))),
    wide(text('External-IP', (node: Node) => address(node, 'ExternalIP'))),
    wide(text('OS-Image', (node: Node) => node.status?.nodeInfo?.osImage || '<unknown>')),
    wide(text('Kernel-Version', kernel)),
    wide(text('Container-Runtime', (node: Node) => node.status?.nodeInfo?.containerRuntimeVersion || '<unknown>')),
  ],
  fieldSelectors: { 'spec.unschedulable': (node) => String(node.spec?.unschedulable ?? false) },
  setDefaults: (node) =>
    changeField(
      changeField(node, 'status', (state) =>
        state.capacity && !state.allocatable ? withField(state, 'allocatable', state.capacity) : state,
      ),
      'spec',
      withBothCIDRs,
    ),
  validate(node) {
    const errors: FieldErrors = []
    validateTaints(errors, 'metadata.taints', node.spec?.taints)
    validateDeclaredFeatures(errors, node.status?.declaredFeatures)
    validateCIDRs(errors, 'spec.podCIDRs', node.spec?.podCIDRs)
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    const why = (field: string): string => `node updates may not change ${field} except from "" to valid`
    validateState(errors, next)
    validateDeclaredFeatures(errors, next.status?.declaredFeatures)
    if (old.spec?.podCIDRs?.length && !isEqual(old.spec.podCIDRs, next.spec?.podCIDRs))
      errors.push(forbidden('spec.podCIDRs', why('podCIDR')))
    if (old.spec?.providerID && old.spec.providerID !== next.spec?.providerID) errors.push(forbidden('spec.providerID', why('providerID')))
    if ((next.spec?.externalID ?? '') !== (old.spec?.externalID ?? '')) errors.push(forbidden('spec.externalID', 'may not be updated'))
    return errors
  },
  validateStatusUpdate(next) {
    const errors: FieldErrors = []
    validateState(errors, next)
    validateDeclaredFeatures(errors, next.status?.declaredFeatures)
    return errors
  },
  warnings: ({ spec }) => [
    ...(spec?.configSource ? ['spec.configSource: the spec.configSource field is deprecated'] : []),
    ...(spec?.externalID ? ['spec.externalID: this field is deprecated, and is unused by Kubernetes'] : []),
  ],
})
