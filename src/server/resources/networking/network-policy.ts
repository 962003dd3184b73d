/** NetworkPolicies: which pods may talk to which. */
import type {
  IPBlock,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  NetworkPolicySpec,
} from '../../../api/generated/networking/v1.ts'
import { portNameFaults, portNumberFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { cidrProblem, isInNetwork } from '../addresses.ts'
import { nameToAge, selectorText, text } from '../columns.ts'
import { changeField, mapItems, withPointerDefaults } from '../immutable.ts'
import { validateLabelSelector } from '../object-meta.ts'
import { checkFormat, checkOneOf, forbidden, invalid, notSupported, required, type FieldErrors } from '../rules.ts'

const portDefaults = (port: NetworkPolicyPort): NetworkPolicyPort => withPointerDefaults(port, { protocol: 'TCP' })

function specDefaults(spec: NetworkPolicySpec): NetworkPolicySpec {
  const next = spec.policyTypes?.length ? spec : { ...spec, policyTypes: spec.egress?.length ? ['Ingress', 'Egress'] : ['Ingress'] }
  const withIngress = changeField(next, 'ingress', (rules) =>
    mapItems(rules, (rule) => changeField(rule, 'ports', (ports) => mapItems(ports, portDefaults))),
  )
  return changeField(withIngress, 'egress', (rules) =>
    mapItems(rules, (rule) => changeField(rule, 'ports', (ports) => mapItems(ports, portDefaults))),
  )
}

function validatePort(errors: FieldErrors, path: string, { protocol, port, endPort }: NetworkPolicyPort): void {
  if (protocol !== undefined) checkOneOf(errors, `${path}.protocol`, protocol, ['TCP', 'UDP', 'SCTP'])
  const at = `${path}.endPort`
  if (typeof port === 'number') {
    for (const fault of portNumberFaults(port)) errors.push(invalid(`${path}.port`, port, fault))
    if (endPort === undefined) return
    if (endPort < port) errors.push(invalid(at, port, 'must be greater than or equal to `port`'))
    for (const fault of portNumberFaults(endPort)) errors.push(invalid(at, endPort, fault))
  } else {
    const why = port === undefined ? 'may not be specified when `port` is not specified' : 'may not be specified when `port` is non-numeric'
    if (endPort !== undefined) errors.push(invalid(at, endPort, why))
    if (port !== undefined) checkFormat(errors, `${path}.port`, port, portNameFaults)
  }
}

function validatePeer(errors: FieldErrors, path: string, { podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer): void {
  validateLabelSelector(errors, `${path}.podSelector`, podSelector)
  validateLabelSelector(errors, `${path}.namespaceSelector`, namespaceSelector)
  if (!podSelector && !namespaceSelector && !ipBlock) errors.push(required(path, 'must specify a peer'))
  if (!ipBlock) return
  validateBlock(errors, `${path}.ipBlock`, ipBlock)
  if (podSelector || namespaceSelector) errors.push(forbidden(path, 'may not specify both ipBlock and another peer'))
}

function validateBlock(errors: FieldErrors, at: string, ipBlock: IPBlock): void {
  if (!ipBlock.cidr) {
    errors.push(required(`${at}.cidr`))
    return
  }
  const problem = cidrProblem(ipBlock.cidr)
  if (problem !== undefined) errors.push(invalid(`${at}.cidr`, ipBlock.cidr, problem))
  ipBlock.except?.forEach((except, i) => {
    const fault = cidrProblem(except)
    if (fault !== undefined) errors.push(invalid(`${at}.except[${i}]`, except, fault))
    else if (problem === undefined) {
      const [base = '', bits = '0'] = except.split('/')
      const isInside = isInNetwork(base, ipBlock.cidr) && Number(bits) > Number(ipBlock.cidr.split('/')[1])
      if (!isInside) errors.push(invalid(`${at}.except[${i}]`, except, `must be a strict subset of \`cidr\``))
    }
  })
}

export const networkPolicies = defineResource({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'NetworkPolicy',
  columns: nameToAge(text('Pod-Selector', ({ spec }: NetworkPolicy) => selectorText(spec?.podSelector) || '<none>')),
  setDefaults: (policy) => changeField(policy, 'spec', specDefaults),
  validate({ spec }) {
    const errors: FieldErrors = []
    validateLabelSelector(errors, 'spec.podSelector', spec?.podSelector)
    spec?.ingress?.forEach(({ ports, from }, i) => {
      ports?.forEach((port, j) => validatePort(errors, `spec.ingress[${i}].ports[${j}]`, port))
      from?.forEach((peer, j) => validatePeer(errors, `spec.ingress[${i}].from[${j}]`, peer))
    })
    spec?.egress?.forEach(({ ports, to }, i) => {
      ports?.forEach((port, j) => validatePort(errors, `spec.egress[${i}].ports[${j}]`, port))
      to?.forEach((peer, j) => validatePeer(errors, `spec.egress[${i}].to[${j}]`, peer))
    })
    const types = spec?.policyTypes ?? []
    if (types.length > 2) errors.push(invalid('spec.policyTypes', types, 'may not specify more than two policyTypes'))
    else
      types.forEach(
        (type, i) =>
          !['Ingress', 'Egress'].includes(type) && errors.push(notSupported(`spec.policyTypes[${i}]`, type, ['Ingress', 'Egress'])),
      )
    return errors
  },
})
