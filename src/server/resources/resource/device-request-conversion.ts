/**
 * resource.k8s.io/v1beta1 of what is stored as v1: the fields of an exact request stood directly in the request, and those of a
 * device under `basic`. v1beta2 differs by its name alone. Pure.
 */
import type {
  DeviceClaim as V1DeviceClaim,
  DeviceRequest as V1Request,
  ResourceClaim as V1Claim,
  ResourceClaimTemplate as V1Template,
  ResourceSlice as V1Slice,
} from '../../../api/generated/resource/v1.ts'
import type {
  DeviceClaim as BetaDeviceClaim,
  DeviceRequest as BetaRequest,
  ResourceClaim as BetaClaim,
  ResourceClaimTemplate as BetaTemplate,
  ResourceSlice as BetaSlice,
} from '../../../api/generated/resource/v1beta1.ts'
import type { KubeObject } from '../../../api/object.ts'

const API_VERSION = 'resource.k8s.io/v1beta1'
const STORED_API_VERSION = 'resource.k8s.io/v1'

const requestToBeta = ({ name, exactly, firstAvailable }: V1Request): BetaRequest => ({
  name,
  ...exactly,
  ...(firstAvailable ? { firstAvailable } : {}),
})

function requestFromBeta({ name, firstAvailable, ...exactly }: BetaRequest): V1Request {
  const isExact = Object.values(exactly).some((value) => value !== undefined)
  return {
    name,
    ...(isExact ? { exactly: { ...exactly, deviceClassName: exactly.deviceClassName ?? '' } } : {}),
    ...(firstAvailable ? { firstAvailable } : {}),
  }
}

const devicesToBeta = (devices: V1DeviceClaim): BetaDeviceClaim => ({
  ...devices,
  ...(devices.requests ? { requests: devices.requests.map(requestToBeta) } : {}),
})
const devicesFromBeta = (devices: BetaDeviceClaim): V1DeviceClaim => ({
  ...devices,
  ...(devices.requests ? { requests: devices.requests.map(requestFromBeta) } : {}),
})

const claimSpecToBeta = (spec: V1Claim['spec']): BetaClaim['spec'] =>
  spec?.devices ? { ...spec, devices: devicesToBeta(spec.devices) } : spec
const claimSpecFromBeta = (spec: BetaClaim['spec']): V1Claim['spec'] =>
  spec?.devices ? { ...spec, devices: devicesFromBeta(spec.devices) } : spec

export const claimToBeta = (claim: V1Claim): BetaClaim => ({ ...claim, apiVersion: API_VERSION, spec: claimSpecToBeta(claim.spec) })
export const claimFromBeta = (object: KubeObject): V1Claim => ({
  ...object,
  apiVersion: STORED_API_VERSION,
  spec: claimSpecFromBeta((object as BetaClaim).spec),
})

export const templateToBeta = (template: V1Template): BetaTemplate => ({
  ...template,
  apiVersion: API_VERSION,
  spec: { ...template.spec, spec: claimSpecToBeta(template.spec?.spec) },
})
export const templateFromBeta = (object: KubeObject): V1Template => {
  const template = object as BetaTemplate
  return {
    ...object,
    apiVersion: STORED_API_VERSION,
    spec: { ...template.spec, spec: claimSpecFromBeta(template.spec?.spec) },
  }
}

export const sliceToBeta = (slice: V1Slice): BetaSlice => {
  const devices = slice.spec?.devices?.map(({ name, ...basic }) => ({ name, basic }))
  return { ...slice, apiVersion: API_VERSION, spec: { ...slice.spec, ...(devices ? { devices } : {}) } }
}
export const sliceFromBeta = (object: KubeObject): V1Slice => {
  const slice = object as BetaSlice
  const devices = slice.spec?.devices?.map(({ name, basic }) => ({ name, ...basic }))
  return { ...object, apiVersion: STORED_API_VERSION, spec: { ...slice.spec, ...(devices ? { devices } : {}) } }
}
