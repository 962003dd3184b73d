/** What the scheduler and drivers may write into the status of a ResourceClaim (upstream: pkg/apis/resource/validation). */
import type {
  AllocatedDeviceStatus,
  AllocationResult,
  DeviceAllocationConfiguration,
  DeviceRequestAllocationResult,
  ResourceClaim,
  ResourceClaimConsumerReference,
} from '../../../api/generated/resource/v1.ts'
import { dns1123LabelFaults } from '../../../api/names.ts'
import type { Reader } from '../../resource.ts'
import { interfaceAddressFaults } from '../addresses.ts'
import { validateConditions } from '../condition-validation.ts'
import { validateNodeSelector } from '../core/node-selector-validation.ts'
import { validateDriverName } from '../core/volume-sources.ts'
import {
  checkFormat,
  checkImmutable,
  checkRequiredOneOf,
  forbidden,
  invalid,
  invalidAsWhole,
  required,
  tooLong,
  tooMany,
  type FieldErrors,
} from '../rules.ts'
import {
  checkAdminAccess,
  MAX_CONFIGS,
  requestNamesOf,
  validateRequestConfiguration,
  validateRequestRef,
  type RequestNames,
} from './claim-validation.ts'
import { checkItems, validateBindingConditions, validateParameters, validatePoolName } from './device-validation.ts'

const MAX_CONSUMERS = 256
const MAX_RESULTS = 32
const MAX_CONDITIONS = 8
const MAX_ADDRESSES = 16
const MAX_INTERFACE_NAME = 256
const MAX_HARDWARE_ADDRESS = 128

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const UID_FAULT = 'uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters'

function validateUid(errors: FieldErrors, path: string, uid: string): void {
  if (UUID.test(uid)) return
  if (UUID.test(uid.toLowerCase())) return void errors.push(invalid(path, uid, UID_FAULT))
  const isOfLength = uid.length === 36
  errors.push(invalid(path, uid, `error validating uid: ${isOfLength ? 'invalid UUID format' : `invalid UUID length: ${uid.length}`}`))
}

/** A device as upstream names it in errors. */
const idOf = ({ driver = '', pool = '', device = '', shareID = '' }: Partial<DeviceRequestAllocationResult>): string =>
  JSON.stringify({ Driver: driver, Pool: pool, Device: device, ShareID: shareID })

function validateConsumer(errors: FieldErrors, path: string, consumer: Partial<ResourceClaimConsumerReference>): void {
  for (const field of ['resource', 'name', 'uid'] as const) if (!consumer[field]) errors.push(required(`${path}.${field}`))
}

function validateResult(errors: FieldErrors, path: string, result: Partial<DeviceRequestAllocationResult>, names: RequestNames): void {
  validateRequestRef(errors, `${path}.request`, result.request ?? '', names)
  validateDriverName(errors, `${path}.driver`, result.driver)
  validatePoolName(errors, `${path}.pool`, result.pool)
  checkFormat(errors, `${path}.device`, result.device ?? '', dns1123LabelFaults)
  validateBindingConditions(errors, path, result)
  if (result.shareID !== undefined) validateUid(errors, `${path}.shareID`, result.shareID)
}

function validateAllocation(errors: FieldErrors, path: string, { devices, nodeSelector }: AllocationResult, names: RequestNames): void {
  checkItems(errors, `${path}.devices.results`, devices?.results, MAX_RESULTS, (at, result) => validateResult(errors, at, result, names))
  // Those of the class come before those of the claim.
  checkItems(errors, `${path}.devices.config`, devices?.config, 2 * MAX_CONFIGS, (at, config: Partial<DeviceAllocationConfiguration>) => {
    checkRequiredOneOf(errors, `${at}.source`, config.source, ['FromClaim', 'FromClass'])
    validateRequestConfiguration(errors, at, config, names)
  })
  if (nodeSelector) validateNodeSelector(errors, `${path}.nodeSelector`, nodeSelector)
}

function validateDevice(errors: FieldErrors, path: string, device: Partial<AllocatedDeviceStatus>, allocated: ReadonlySet<string>): void {
  validateDriverName(errors, `${path}.driver`, device.driver)
  validatePoolName(errors, `${path}.pool`, device.pool)
  checkFormat(errors, `${path}.device`, device.device ?? '', dns1123LabelFaults)
  if (device.shareID !== undefined) validateUid(errors, `${path}.shareID`, device.shareID)
  const id = idOf(device)
  if (!allocated.has(id)) errors.push(invalidAsWhole(path, `${id}: must be an allocated device in the claim`))
  const count = device.conditions?.length ?? 0
  if (count > MAX_CONDITIONS) errors.push(tooMany(`${path}.conditions`, count, MAX_CONDITIONS))
  validateConditions(errors, `${path}.conditions`, device.conditions)
  if (device.data !== undefined) validateParameters(errors, `${path}.data`, device.data, false)
  const { interfaceName = '', hardwareAddress = '', ips } = device.networkData ?? {}
  const at = `${path}.networkData`
  if (interfaceName.length > MAX_INTERFACE_NAME) errors.push(tooLong(`${at}.interfaceName`, MAX_INTERFACE_NAME))
  if (hardwareAddress.length > MAX_HARDWARE_ADDRESS) errors.push(tooLong(`${at}.hardwareAddress`, MAX_HARDWARE_ADDRESS))
  checkItems(
    errors,
    `${at}.ips`,
    ips,
    MAX_ADDRESSES,
    (here, address) => checkFormat(errors, here, address, interfaceAddressFaults),
    (address) => address,
  )
}

export function validateClaimStatus(next: ResourceClaim, old: ResourceClaim, read: Reader): FieldErrors {
  const errors: FieldErrors = []
  const { allocation, reservedFor, devices } = next.status ?? {}
  const before = old.status?.allocation
  const results = allocation?.devices?.results ?? []
  if (!before?.devices?.results?.some(({ adminAccess }) => adminAccess)) {
    const path = (index: number) => `status.allocation.devices.results[${index}]`
    checkAdminAccess(
      errors,
      path,
      results.map(({ adminAccess }) => adminAccess),
      next.metadata?.namespace,
      read,
    )
  }
  const names = requestNamesOf(next.spec)
  checkItems(
    errors,
    'status.reservedFor',
    reservedFor,
    MAX_CONSUMERS,
    (at, consumer) => validateConsumer(errors, at, consumer),
    ({ uid = '' }: Partial<ResourceClaimConsumerReference>) => uid,
  )
  const allocated = new Set(results.map(idOf))
  const check = (at: string, device: AllocatedDeviceStatus) => validateDevice(errors, at, device, allocated)
  checkItems(errors, 'status.devices', devices, Infinity, check, idOf, (field, id) => ({
    type: 'FieldValueDuplicate',
    field,
    detail: `Duplicate value: ${id}`,
  }))
  if (reservedFor?.length && !allocation) errors.push(forbidden('status.reservedFor', 'may not be specified when `allocated` is not set'))
  else if (next.metadata?.deletionTimestamp && reservedFor?.some((one) => !old.status?.reservedFor?.some(({ uid }) => uid === one.uid))) {
    const why = 'new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set'
    errors.push(forbidden('status.reservedFor', why))
  }
  if (allocation && before) checkImmutable(errors, 'status.allocation', allocation, before, 'resource/v1.AllocationResult')
  else if (allocation) validateAllocation(errors, 'status.allocation', allocation, names)
  return errors
}
