/** ResourceClaims: devices that a pod asks for (KEP-4381). Stored as v1. */
import type {
  AllocatedDeviceStatus,
  DeviceRequest,
  DeviceRequestAllocationResult,
  DeviceToleration,
  ResourceClaim,
  ResourceClaimSpec,
  ResourceClaimStatus,
} from '../../../api/generated/resource/v1.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { changeField, mapItems, withDefaults, withField } from '../immutable.ts'
import { checkImmutable, type FieldErrors } from '../rules.ts'
import { validateClaimStatus } from './claim-status-validation.ts'
import { checkRequestedAdminAccess, validateClaimSpec } from './claim-validation.ts'
import { claimFromBeta, claimToBeta } from './device-request-conversion.ts'

function state({ metadata, status }: ResourceClaim): string {
  const words: string[] = metadata?.deletionTimestamp ? ['deleted'] : []
  if (!status?.allocation) {
    if (!metadata?.deletionTimestamp) words.push('pending')
  } else words.push('allocated', ...(status.reservedFor?.length ? ['reserved'] : []))
  return words.join(',')
}

/** What requests, subrequests and results have in common. */
interface Tolerating {
  readonly tolerations?: readonly DeviceToleration[]
}

const tolerationDefaults = <T extends Tolerating>(item: T): T =>
  changeField(item as Tolerating, 'tolerations', (list) => mapItems(list, (one) => withDefaults(one, { operator: 'Equal' }))) as T

interface Counted extends Tolerating {
  readonly allocationMode?: string
  readonly count?: number
}

const countDefaults = <T extends Counted>(request: T): T => {
  const next = withDefaults<Counted>(tolerationDefaults(request), { allocationMode: 'ExactCount' })
  return (next.allocationMode === 'ExactCount' && !next.count ? { ...next, count: 1 } : next) as T
}

const requestDefaults = (request: DeviceRequest): DeviceRequest =>
  changeField(changeField(request, 'exactly', countDefaults), 'firstAvailable', (list) => mapItems(list, countDefaults))

export const claimSpecDefaults = (spec: ResourceClaimSpec): ResourceClaimSpec =>
  changeField(spec, 'devices', (devices) => changeField(devices, 'requests', (requests) => mapItems(requests, requestDefaults)))

const statusDefaults = (status: ResourceClaimStatus): ResourceClaimStatus =>
  changeField(status, 'allocation', (allocation) =>
    changeField(allocation, 'devices', (devices) => changeField(devices, 'results', (results) => mapItems(results, tolerationDefaults))),
  )

/** A device once more as its results name it. */
const isOf = (device: AllocatedDeviceStatus, { driver, pool, device: name, shareID }: DeviceRequestAllocationResult): boolean =>
  device.driver === driver && device.pool === pool && device.device === name && device.shareID === shareID

/** What drivers told of devices goes when the devices are no longer allocated. */
function withoutDeallocated(next: ResourceClaim, old: ResourceClaim): ResourceClaim {
  const { status } = next
  const before = old.status?.allocation?.devices?.results ?? []
  const gone = before.filter((result) => !status?.allocation?.devices?.results?.some((kept) => isOf(kept, result)))
  const devices = status?.devices?.filter((device) => !gone.some((result) => isOf(device, result)))
  if (!status?.devices || devices?.length === status.devices.length) return next
  return { ...next, status: withField(status, 'devices', devices?.length ? devices : undefined) }
}

export const resourceClaims = defineResource({
  group: 'resource.k8s.io',
  version: 'v1',
  kind: 'ResourceClaim',
  hasGeneration: false,
  columns: nameToAge(text('State', state)),
  setDefaults: (claim) => changeField(changeField(claim, 'spec', claimSpecDefaults), 'status', statusDefaults),
  prepareForCreate: (claim) => ({ ...claim, status: {} }),
  prepareForUpdate: (next, old, { subresource }) => (subresource === 'status' ? withoutDeallocated(next, old) : next),
  validateCreate({ metadata, spec }, _, read) {
    const errors: FieldErrors = []
    checkRequestedAdminAccess(errors, spec, metadata?.namespace, read)
    validateClaimSpec(errors, 'spec', spec)
    return errors
  },
  validateStatusUpdate: validateClaimStatus,
  // What cannot change is not looked at again.
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'spec', next.spec, old.spec, 'resource/v1.ResourceClaimSpec')
    return errors
  },
  versions: { v1beta1: { fromStored: claimToBeta, toStored: claimFromBeta } },
})
