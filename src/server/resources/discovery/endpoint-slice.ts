/** EndpointSlices: the addresses of a service, up to a thousand a slice. */
import type { Endpoint, EndpointPort, EndpointSlice } from '../../../api/generated/discovery/v1.ts'
import { dns1123LabelFaults, dns1123SubdomainFaults, qualifiedNameFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { familyOfIP } from '../addresses.ts'
import { firstItems, nameToAge, text } from '../columns.ts'
import { specialAddressProblem } from '../core/endpoints.ts'
import { changeField, mapItems } from '../immutable.ts'
import { validateLabels } from '../object-meta.ts'
import { checkFormat, checkImmutable, checkRequiredOneOf, duplicate, invalid, required, tooMany, type FieldErrors } from '../rules.ts'

const MAX_ENDPOINTS = 1000
const MAX_ADDRESSES = 100
const MAX_PORTS = 100
const ADDRESS_TYPES = ['FQDN', 'IPv4', 'IPv6']
const SHOWN = 3

const portText = ({ port, name }: EndpointPort): string => (port === undefined ? (name ?? '*') : String(port))

const portDefaults = (port: EndpointPort): EndpointPort =>
  port.name !== undefined && port.protocol !== undefined ? port : { ...port, name: port.name ?? '', protocol: port.protocol ?? 'TCP' }

function validateEndpoint(errors: FieldErrors, path: string, endpoint: Endpoint, type: string): void {
  const addresses = endpoint.addresses ?? []
  if (addresses.length === 0) errors.push(required(`${path}.addresses`, 'must contain at least 1 address'))
  else if (addresses.length > MAX_ADDRESSES) errors.push(tooMany(`${path}.addresses`, addresses.length, MAX_ADDRESSES))
  addresses.forEach((address, i) => {
    const at = `${path}.addresses[${i}]`
    if (type === 'FQDN') checkFormat(errors, at, address, dns1123SubdomainFaults)
    else if (type === 'IPv4' || type === 'IPv6') {
      if (familyOfIP(address) !== type) errors.push(invalid(at, address, `must be an ${type} address`))
      else {
        const problem = specialAddressProblem(address)
        if (problem !== undefined) errors.push(invalid(at, address, problem))
      }
    }
  })
  if (endpoint.nodeName !== undefined) checkFormat(errors, `${path}.nodeName`, endpoint.nodeName, dns1123SubdomainFaults)
  validateLabels(errors, `${path}.deprecatedTopology`, endpoint.deprecatedTopology)
  if (endpoint.hostname !== undefined) checkFormat(errors, `${path}.hostname`, endpoint.hostname, dns1123LabelFaults)
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
      checkRequiredOneOf(errors, `ports[${i}].protocol`, protocol, ['SCTP', 'TCP', 'UDP'])
      if (appProtocol !== undefined) checkFormat(errors, `ports[${i}].appProtocol`, appProtocol, qualifiedNameFaults)
    })
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'addressType', next.addressType, old.addressType)
    return errors
  },
})
