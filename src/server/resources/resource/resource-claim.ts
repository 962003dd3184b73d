/** ResourceClaims: devices that a pod asks for (KEP-4381). Stored as v1. */
import type { DeviceRequest, ResourceClaim, ResourceClaimSpec } from '../../../api/generated/resource/v1.ts'
import { dns1123LabelFaults, dns1123SubdomainFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { changeField, mapItems, withDefaults } from '../immutable.ts'
import { checkFormat, checkImmutable, checkOneOf, duplicate, invalid, required, tooMany, type FieldErrors } from '../rules.ts'
import { claimFromBeta, claimToBeta } from './device-request-conversion.ts'

const MAX_REQUESTS = 32
const MODES = ['All', 'ExactCount']

function state({ metadata, status }: ResourceClaim): string {
  const words: string[] = metadata?.deletionTimestamp ? ['deleted'] : []
  if (!status?.allocation) {
    if (!metadata?.deletionTimestamp) words.push('pending')
  } else words.push('allocated', ...(status.reservedFor?.length ? ['reserved'] : []))
  return words.join(',')
}

const countDefaults = <T extends { readonly allocationMode?: string; readonly count?: number }>(request: T): T => {
  const next = withDefaults<{ readonly allocationMode?: string; readonly count?: number }>(request, { allocationMode: 'ExactCount' })
  return (next.allocationMode === 'ExactCount' && !next.count ? { ...next, count: 1 } : next) as T
}

const requestDefaults = (request: DeviceRequest): DeviceRequest =>
  changeField(changeField(request, 'exactly', countDefaults), 'firstAvailable', (list) => mapItems(list, countDefaults))

export const claimSpecDefaults = (spec: ResourceClaimSpec): ResourceClaimSpec =>
  changeField(spec, 'devices', (devices) => changeField(devices, 'requests', (requests) => mapItems(requests, requestDefaults)))

export function validateClaimSpec(errors: FieldErrors, path: string, spec: ResourceClaimSpec | undefined): void {
  const requests = spec?.devices?.requests ?? []
  const at = `${path}.devices.requests`
  if (requests.length > MAX_REQUESTS) errors.push(tooMany(at, requests.length, MAX_REQUESTS))
  const names = new Set<string>()
  requests.forEach(({ name, exactly, firstAvailable }, i) => {
    const here = `${at}[${i}]`
    if (!name) errors.push(required(`${here}.name`))
    else checkFormat(errors, `${here}.name`, name, dns1123LabelFaults)
    if (names.has(name)) errors.push(duplicate(`${here}.name`, name))
    names.add(name)
    if (!exactly && !firstAvailable?.length) errors.push(required(here, 'exactly one of `exactly` or `firstAvailable` is required'))
    if (exactly && firstAvailable?.length)
      errors.push(invalid(here, '', 'exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set'))
    if (!exactly) return
    if (!exactly.deviceClassName) errors.push(required(`${here}.exactly.deviceClassName`))
    else checkFormat(errors, `${here}.exactly.deviceClassName`, exactly.deviceClassName, dns1123SubdomainFaults)
    if (exactly.allocationMode) checkOneOf(errors, `${here}.exactly.allocationMode`, exactly.allocationMode, MODES)
    const count = exactly.count ?? 0
    if (exactly.allocationMode === 'ExactCount' && count <= 0)
      errors.push(invalid(`${here}.exactly.count`, count, 'must be greater than zero'))
    if (exactly.allocationMode === 'All' && count !== 0)
      errors.push(invalid(`${here}.exactly.count`, count, "must not be specified when allocationMode is 'All'"))
  })
}

export const resourceClaims = defineResource({
  group: 'resource.k8s.io',
  version: 'v1',
  kind: 'ResourceClaim',
  hasGeneration: false,
  columns: nameToAge(text('State', state)),
  setDefaults: (claim) => changeField(claim, 'spec', claimSpecDefaults),
  prepareForCreate: (claim) => ({ ...claim, status: {} }),
  validate({ spec }) {
    const errors: FieldErrors = []
    validateClaimSpec(errors, 'spec', spec)
    return errors
  },
  validateUpdate(next, old, subresource) {
    const errors: FieldErrors = []
    if (subresource === undefined) checkImmutable(errors, 'spec', next.spec, old.spec)
    return errors
  },
  versions: { v1beta1: { fromStored: claimToBeta, toStored: claimFromBeta } },
})
