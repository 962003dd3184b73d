/** Nodes: machines that run pods. */
import type { Node, Taint } from '../../../api/generated/core/v1.ts'
import { labelValueFaults, qualifiedNameFaults } from '../../../api/names.ts'
import { defineResource, type Column } from '../../resource.ts'
import { cidrProblem } from '../addresses.ts'
import { ageColumn, nameColumn, text, wide } from '../columns.ts'
import { changeField, isEqual, withField } from '../immutable.ts'
import { internalForm } from '../internal-form.ts'
import { checkFormat, checkRequiredOneOf, forbidden, invalid, type FieldErrors } from '../rules.ts'
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
    changeField(node, 'status', (state) =>
      state.capacity && !state.allocatable ? withField(state, 'allocatable', state.capacity) : state,
    ),
  validate(node) {
    const errors: FieldErrors = []
    validateTaints(errors, 'metadata.taints', node.spec?.taints)
    node.spec?.podCIDRs?.forEach((cidr, i) => {
      const problem = cidrProblem(cidr)
      if (problem !== undefined) errors.push(invalid(`spec.podCIDRs[${i}]`, cidr, problem))
    })
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    const why = (field: string): string => `node updates may not change ${field} except from "" to valid`
    validateState(errors, next)
    if (old.spec?.podCIDRs?.length && !isEqual(old.spec.podCIDRs, next.spec?.podCIDRs))
      errors.push(forbidden('spec.podCIDRs', why('podCIDR')))
    if (old.spec?.providerID && old.spec.providerID !== next.spec?.providerID) errors.push(forbidden('spec.providerID', why('providerID')))
    if ((next.spec?.externalID ?? '') !== (old.spec?.externalID ?? '')) errors.push(forbidden('spec.externalID', 'may not be updated'))
    return errors
  },
  validateStatusUpdate(next) {
    const errors: FieldErrors = []
    validateState(errors, next)
    return errors
  },
  warnings: ({ spec }) => [
    ...(spec?.configSource ? ['spec.configSource: the spec.configSource field is deprecated'] : []),
    ...(spec?.externalID ? ['spec.externalID: this field is deprecated, and is unused by Kubernetes'] : []),
  ],
})
