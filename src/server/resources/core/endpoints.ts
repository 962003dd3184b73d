/** Endpoints: the old, single list of a service's addresses, kept for those who still read it. */
import type { EndpointAddress, EndpointPort, Endpoints } from '../../../api/generated/core/v1.ts'
import { dns1123LabelFaults, dns1123SubdomainFaults, portNumberFaults, qualifiedNameFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { ipProblem, isIP } from '../addresses.ts'
import { firstItems, nameToAge, text } from '../columns.ts'
import { changeField, isSemanticallyEqual, mapItems, withDefaults } from '../immutable.ts'
import { checkFormat, checkRequiredOneOf, invalid, required, type FieldErrors } from '../rules.ts'

export const PROTOCOLS = ['SCTP', 'TCP', 'UDP']

function addresses({ subsets }: Endpoints): string {
  const all = (subsets ?? []).flatMap((subset) => {
    const ips = (subset.addresses ?? []).map(({ ip }) => (ip.includes(':') && subset.ports?.length ? `[${ip}]` : ip))
    return subset.ports?.length ? subset.ports.flatMap((port) => ips.map((ip) => `${ip}:${port.port}`)) : ips
  })
  return firstItems(all, 3, subsets?.length ? '' : '<none>')
}

/** An address at which a service may not point: the machine itself and what is no single machine. */
export function specialAddressProblem(ip: string): string | undefined {
  if (ip === '0.0.0.0' || ip === '::') return `may not be unspecified (${ip})`
  if (ip.startsWith('127.') || ip === '::1') return `may not be in the loopback range (127.0.0.0/8, ::1/128)`
  if (ip.startsWith('169.254.') || /^fe[89ab]/i.test(ip)) return 'may not be in the link-local range (169.254.0.0/16, fe80::/10)'
  if (ip.startsWith('224.0.0.') || /^ff02:/i.test(ip)) return 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)'
  return undefined
}

function validateAddress(errors: FieldErrors, path: string, address: EndpointAddress): void {
  const problem = ipProblem(address.ip ?? '')
  if (problem !== undefined) errors.push(invalid(`${path}.ip`, address.ip ?? '', problem))
  if (address.hostname) checkFormat(errors, `${path}.hostname`, address.hostname, dns1123LabelFaults)
  if (address.nodeName !== undefined) checkFormat(errors, `${path}.nodeName`, address.nodeName, dns1123SubdomainFaults)
  const special = isIP(address.ip ?? '') ? specialAddressProblem(address.ip) : 'must be a valid IP address'
  if (special !== undefined) errors.push(invalid(`${path}.ip`, address.ip ?? '', special))
}

function validatePort(errors: FieldErrors, path: string, port: EndpointPort, needsName: boolean): void {
  if (needsName && !port.name) errors.push(required(`${path}.name`))
  else if (port.name) checkFormat(errors, `${path}.name`, port.name, dns1123LabelFaults)
  for (const problem of portNumberFaults(port.port)) errors.push(invalid(`${path}.port`, port.port, problem))
  checkRequiredOneOf(errors, `${path}.protocol`, port.protocol, PROTOCOLS)
  if (port.appProtocol !== undefined) checkFormat(errors, `${path}.appProtocol`, port.appProtocol, qualifiedNameFaults)
}

export function validateEndpoints({ subsets }: Endpoints): FieldErrors {
  const errors: FieldErrors = []
  subsets?.forEach((subset, i) => {
    const at = `subsets[${i}]`
    if (!subset.addresses?.length && !subset.notReadyAddresses?.length)
      errors.push(required(at, 'must specify `addresses` or `notReadyAddresses`'))
    subset.addresses?.forEach((address, j) => validateAddress(errors, `${at}.addresses[${j}]`, address))
    subset.notReadyAddresses?.forEach((address, j) => validateAddress(errors, `${at}.notReadyAddresses[${j}]`, address))
    subset.ports?.forEach((port, j) => validatePort(errors, `${at}.ports[${j}]`, port, (subset.ports?.length ?? 0) > 1))
  })
  return errors
}

export const endpoints = defineResource({
  group: '',
  version: 'v1',
  kind: 'Endpoints',
  hasGeneration: false,
  columns: nameToAge(text('Endpoints', addresses)),
  setDefaults: (object) =>
    changeField(object, 'subsets', (subsets) =>
      mapItems(subsets, (subset) =>
        changeField(subset, 'ports', (ports) => mapItems(ports, (port) => withDefaults(port, { protocol: 'TCP' }))),
      ),
    ),
  validate: (object) => (isSemanticallyEqual(object.subsets, []) ? [] : validateEndpoints(object)),
})
