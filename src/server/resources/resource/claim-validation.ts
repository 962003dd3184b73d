/** What a ResourceClaim may ask for (upstream: pkg/apis/resource/validation). */
import type {
  DeviceAllocationConfiguration,
  DeviceConstraint,
  DeviceRequest,
  ExactDeviceRequest,
  ResourceClaimSpec,
} from '../../../api/generated/resource/v1.ts'
import { dns1123LabelFaults, dns1123SubdomainFaults } from '../../../api/names.ts'
import { checkFormat, forbidden, invalid, invalidAsWhole, notSupported, required, type FieldErrors } from '../rules.ts'
import type { Reader } from '../../resource.ts'
import {
  checkItems,
  validateConfiguration,
  validateFullyQualifiedName,
  validateSelectors,
  validateToleration,
} from './device-validation.ts'

export const MAX_REQUESTS = 32
const MAX_SUBREQUESTS = 8
const MAX_CONSTRAINTS = 32
export const MAX_CONFIGS = 32
const ONE_SORT = 'exactly one of `exactly` or `firstAvailable` is required'
const NO_REQUEST = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"

/** Names of requests, and of subrequests as "request/subrequest". */
export type RequestNames = ReadonlySet<string>

export const requestNamesOf = (spec: ResourceClaimSpec | undefined): RequestNames =>
  new Set(
    spec?.devices?.requests?.flatMap(({ name = '', firstAvailable = [] }: Partial<DeviceRequest>) => [
      name,
      ...firstAvailable.map((sub) => `${name}/${sub.name ?? ''}`),
    ]),
  )

export function validateRequestRef(errors: FieldErrors, path: string, name: string, names: RequestNames): void {
  const segments = name.split('/')
  if (segments.length <= 2) for (const segment of segments) checkFormat(errors, path, segment, dns1123LabelFaults)
  if (!names.has(name)) errors.push(invalid(path, name, NO_REQUEST))
}

export const validateRequestRefs = (errors: FieldErrors, path: string, refs: readonly string[] | undefined, names: RequestNames): void =>
  checkItems(
    errors,
    path,
    refs,
    MAX_REQUESTS,
    (at, name) => validateRequestRef(errors, at, name, names),
    (name) => name,
  )

/** What exact requests and subrequests have in common. */
function validateWanted(errors: FieldErrors, path: string, wanted: Partial<ExactDeviceRequest>): void {
  const { deviceClassName, selectors, allocationMode = '', count = 0, tolerations } = wanted
  if (!deviceClassName) errors.push(required(`${path}.deviceClassName`))
  else checkFormat(errors, `${path}.deviceClassName`, deviceClassName, dns1123SubdomainFaults)
  validateSelectors(errors, `${path}.selectors`, selectors)
  if (allocationMode === 'All') {
    if (count !== 0) errors.push(invalid(`${path}.count`, count, "must not be specified when allocationMode is 'All'"))
  } else if (allocationMode === 'ExactCount') {
    if (count <= 0) errors.push(invalid(`${path}.count`, count, 'must be greater than zero'))
  } else errors.push(notSupported(`${path}.allocationMode`, allocationMode, ['All', 'ExactCount']))
  tolerations?.forEach((toleration, i) => validateToleration(errors, `${path}.tolerations[${i}]`, toleration))
}

function validateRequest(errors: FieldErrors, path: string, { name = '', exactly, firstAvailable = [] }: Partial<DeviceRequest>): void {
  checkFormat(errors, `${path}.name`, name, dns1123LabelFaults)
  if (exactly && firstAvailable.length > 0) errors.push(invalidAsWhole(path, `null: ${ONE_SORT}, but multiple fields are set`))
  else if (exactly) validateWanted(errors, `${path}.exactly`, exactly)
  else if (firstAvailable.length === 0) errors.push(required(path, ONE_SORT))
  else {
    checkItems(
      errors,
      `${path}.firstAvailable`,
      firstAvailable,
      MAX_SUBREQUESTS,
      (at, sub) => {
        checkFormat(errors, `${at}.name`, sub.name ?? '', dns1123LabelFaults)
        validateWanted(errors, at, sub)
      },
      (sub) => sub.name ?? '',
    )
  }
}

function validateConstraint(errors: FieldErrors, path: string, constraint: DeviceConstraint, names: RequestNames): void {
  const { requests, matchAttribute, distinctAttribute } = constraint
  validateRequestRefs(errors, `${path}.requests`, requests, names)
  if (matchAttribute !== undefined) validateFullyQualifiedName(errors, `${path}.matchAttribute`, matchAttribute)
  else if (distinctAttribute !== undefined) validateFullyQualifiedName(errors, `${path}.distinctAttribute`, distinctAttribute)
  // So upstream says it, of none at all.
  else errors.push(required(path, 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'))
}

export function validateClaimSpec(errors: FieldErrors, path: string, spec: ResourceClaimSpec | undefined): void {
  const names = requestNamesOf(spec)
  const { requests, constraints, config } = spec?.devices ?? {}
  const at = `${path}.devices`
  checkItems(
    errors,
    `${at}.requests`,
    requests,
    MAX_REQUESTS,
    (here, request) => validateRequest(errors, here, request),
    (request) => request.name ?? '',
  )
  checkItems(errors, `${at}.constraints`, constraints, MAX_CONSTRAINTS, (here, constraint) =>
    validateConstraint(errors, here, constraint, names),
  )
  checkItems(errors, `${at}.config`, config, MAX_CONFIGS, (here, one) => validateRequestConfiguration(errors, here, one, names))
}

export function validateRequestConfiguration(
  errors: FieldErrors,
  path: string,
  configuration: Pick<DeviceAllocationConfiguration, 'requests' | 'opaque'>,
  names: RequestNames,
): void {
  validateRequestRefs(errors, `${path}.requests`, configuration.requests, names)
  validateConfiguration(errors, path, configuration)
}

const ADMIN_LABEL = 'resource.kubernetes.io/admin-access'

/** Devices that others use are for administrators: of namespaces that are labelled for it (KEP-5018). `path` is of the first that asks. */
export function checkAdminAccess(
  errors: FieldErrors,
  path: (index: number) => string,
  asks: readonly (boolean | undefined)[] | undefined,
  namespace: string | undefined,
  read: Reader,
): void {
  const index = asks?.indexOf(true) ?? -1
  if (index < 0 || read.get('v1/Namespace', undefined, namespace ?? '')?.metadata?.labels?.[ADMIN_LABEL] === 'true') return
  const why = `admin access to devices requires the \`${ADMIN_LABEL}: true\` label on the containing namespace`
  errors.push(forbidden(`${path(index)}.adminAccess`, why))
}

export const checkRequestedAdminAccess = (
  errors: FieldErrors,
  spec: ResourceClaimSpec | undefined,
  namespace: string | undefined,
  read: Reader,
): void =>
  checkAdminAccess(
    errors,
    (index) => `spec.devices.requests[${index}]`,
    spec?.devices?.requests?.map(({ exactly }) => exactly?.adminAccess),
    namespace,
    read,
  )
