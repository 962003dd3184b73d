/** EndpointSlices: the addresses of a service, up to a thousand a slice. */
import type { Endpoint, EndpointPort, EndpointSlice } from '../../../api/generated/discovery/v1.ts'
import { dns1123LabelFaults, dns1123SubdomainFaults, labelValueFaults, qualifiedNameFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { canonicalProblem, familyOfIP, ipProblem, ipWarnings } from '../addresses.ts'
import { firstItems, nameToAge, text } from '../columns.ts'
import { specialAddressProblem } from '../core/endpoints.ts'
import { changeField, isSemanticallyEqual, mapItems, withField } from '../immutable.ts'
import {
  checkFormat,
  checkImmutable,
  checkOneOf,
  checkRequiredOneOf,
  duplicate,
  invalid,
  required,
  tooMany,
  type FieldErrors,
  type Format,
} from '../rules.ts'

const MAX_ENDPOINTS = 1000
const MAX_ADDRESSES = 100
const MAX_PORTS = 100
const ADDRESS_TYPES = ['FQDN', 'IPv4', 'IPv6']
const SHOWN = 3

const portText = ({ port, name }: EndpointPort): string => (port === undefined ? (name ?? '*') : String(port))

const portDefaults = (port: EndpointPort): EndpointPort =>
  port.name !== undefined && port.protocol !== undefined ? port : { ...port, name: port.name ?? '', protocol: port.protocol ?? 'TCP' }

/** A field of v1beta1, never of v1. */
const withoutTopology = (slice: EndpointSlice): EndpointSlice =>
  changeField(slice, 'endpoints', (endpoints) => mapItems(endpoints, (endpoint) => withField(endpoint, 'deprecatedTopology', undefined)))

const MAX_HINTS = 8

function validateHints(errors: FieldErrors, path: string, hints: readonly { readonly name?: string }[] | undefined, format: Format): void {
  if ((hints?.length ?? 0) > MAX_HINTS) return void errors.push(tooMany(path, hints!.length, MAX_HINTS))
  const names = new Set<string>()
  hints?.forEach(({ name = '' }, i) => {
    if (names.has(name)) errors.push(duplicate(`${path}[${i}].name`, name))
    names.add(name)
    checkFormat(errors, `${path}[${i}].name`, name, format)
  })
}

/** A fully qualified name; the dot at its end is not looked at. */
function validateDomain(errors: FieldErrors, path: string, address: string): void {
  if (address === '') return void errors.push(required(path))
  const name = address.replace(/\.$/, '')
  const faults = dns1123SubdomainFaults(name)
  if (faults.length > 0) return void errors.push(invalid(path, name, faults.join(',')))
  if (!name.includes('.')) return void errors.push(invalid(path, name, 'should be a domain with at least two segments separated by dots'))
  for (const label of name.split('.')) {
    const wrong = dns1123LabelFaults(label)
    if (wrong.length > 0) return void errors.push(invalid(path, label, wrong.join(',')))
  }
}

function validateEndpoint(errors: FieldErrors, path: string, endpoint: Endpoint, type: string): void {
  const addresses = endpoint.addresses ?? []
  if (addresses.length === 0) errors.push(required(`${path}.addresses`, 'must contain at least 1 address'))
  else if (addresses.length > MAX_ADDRESSES) errors.push(tooMany(`${path}.addresses`, addresses.length, MAX_ADDRESSES))
  addresses.forEach((address, i) => {
    const at = `${path}.addresses[${i}]`
    if (type === 'FQDN') validateDomain(errors, at, address)
    else if (type === 'IPv4' || type === 'IPv6') {
      const problem = ipProblem(address) ?? (type === 'IPv6' ? canonicalProblem(address) : undefined)
      if (problem !== undefined) return void errors.push(invalid(at, address, problem))
      if (familyOfIP(address) !== type) errors.push(invalid(`${path}.addresses`, address, `must be an ${type} address`))
      const special = specialAddressProblem(address)
      if (special !== undefined) errors.push(invalid(at, address, special))
    }
  })
  if (endpoint.nodeName !== undefined) checkFormat(errors, `${path}.nodeName`, endpoint.nodeName, dns1123SubdomainFaults)
  if (endpoint.hostname !== undefined) checkFormat(errors, `${path}.hostname`, endpoint.hostname, dns1123LabelFaults)
  validateHints(errors, `${path}.hints.forZones`, endpoint.hints?.forZones, labelValueFaults)
  validateHints(errors, `${path}.hints.forNodes`, endpoint.hints?.forNodes, dns1123SubdomainFaults)
}

export const endpointSlices = defineResource({
  group: 'discovery.k8s.io',
  version: 'v1',
  kind: 'EndpointSlice',
  hasGeneration: true,
  columns: nameToAge(
    text('AddressType', (slice: EndpointSlice) => slice.addressType ?? ''),
    text('Ports', (slice: EndpointSlice) => firstItems((slice.ports ?? []).map(portText), SHOWN, '<unset>')),
    text('Endpoints', (slice: EndpointSlice) =>
      firstItems(
        (slice.endpoints ?? []).flatMap(({ addresses }) => addresses ?? []),
        SHOWN,
        '<unset>',
      ),
    ),
  ),
  setDefaults: (slice) => changeField(slice, 'ports', (ports) => mapItems(ports, portDefaults)),
  validate(slice) {
    const errors: FieldErrors = []
    checkRequiredOneOf(errors, 'addressType', slice.addressType, ADDRESS_TYPES)
    const endpoints = slice.endpoints ?? []
    if (endpoints.length > MAX_ENDPOINTS) errors.push(tooMany('endpoints', endpoints.length, MAX_ENDPOINTS))
    endpoints.forEach((endpoint, i) => validateEndpoint(errors, `endpoints[${i}]`, endpoint, slice.addressType))
    const ports = slice.ports ?? []
    if (ports.length > MAX_PORTS) errors.push(tooMany('ports', ports.length, MAX_PORTS))
    const names = new Set<string>()
    ports.forEach(({ name = '', protocol, appProtocol }, i) => {
      if (name) checkFormat(errors, `ports[${i}].name`, name, dns1123LabelFaults)
      if (names.has(name)) errors.push(duplicate(`ports[${i}].name`, name))
      names.add(name)
      checkOneOf(errors, `ports[${i}].protocol`, protocol, ['SCTP', 'TCP', 'UDP'])
      if (appProtocol !== undefined) checkFormat(errors, `ports[${i}].appProtocol`, appProtocol, qualifiedNameFaults)
    })
    return errors
  },
  prepareForCreate: withoutTopology,
  prepareForUpdate(next, old) {
    // Labels tell whose slice it is: changing them counts too, and so does what is then dropped.
    const isNew = !isSemanticallyEqual(next.metadata?.labels, old.metadata?.labels) || !isSemanticallyEqual(next.endpoints, old.endpoints)
    const counted = isNew ? { ...next, metadata: { ...next.metadata, generation: (old.metadata?.generation ?? 0) + 1 } } : next
    return withoutTopology(counted)
  },
  warnings: ({ addressType, endpoints }, old) => [
    ...(addressType === 'FQDN' && !old ? ['spec.addressType: FQDN endpoints are deprecated'] : []),
    ...(addressType === 'FQDN'
      ? []
      : (endpoints ?? []).flatMap(({ addresses }: Partial<Endpoint>, i) =>
          (addresses ?? []).flatMap((address, j) => ipWarnings(`endpoints[${i}].addresses[${j}]`, address)),
        )),
  ],
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'addressType', next.addressType, old.addressType)
    return errors
  },
})
