/** Rules of what containers and pods request and are limited to. */
import type { ResourceClaim, ResourceRequirements } from '../../../api/generated/core/v1.ts'
import { dns1123LabelFaults, qualifiedNameFaults } from '../../../api/names.ts'
import { canonicalQuantity, compareQuantities, toMilli } from '../../../api/quantity.ts'
import { NOT_NEGATIVE, checkFormat, duplicate, forbidden, invalid, notFound, notSupported, required, type FieldErrors } from '../rules.ts'

const STANDARD = ['cpu', 'memory', 'ephemeral-storage']
const isHugePages = (name: string): boolean => name.startsWith('hugepages-')
/** Native resources have no domain, or one of Kubernetes' own. */
const isNative = (name: string): boolean => !name.includes('/') || name.includes('kubernetes.io/')
/** What may be promised beyond what there is. */
export const isOvercommitAllowed = (name: string): boolean => isNative(name) && !isHugePages(name)
export const isExtendedResource = (name: string): boolean =>
  !isNative(name) && !name.startsWith('requests.') && qualifiedNameFaults(`requests.${name}`).length === 0

/** Names that quotas and pods know without a domain. */
const STANDARD_RESOURCES: ReadonlySet<string> = new Set([
  ...STANDARD,
  'requests.cpu',
  'requests.memory',
  'requests.ephemeral-storage',
  'limits.cpu',
  'limits.memory',
  'limits.ephemeral-storage',
  'pods',
  'resourcequotas',
  'services',
  'replicationcontrollers',
  'secrets',
  'configmaps',
  'persistentvolumeclaims',
  'storage',
  'requests.storage',
  'services.nodeports',
  'services.loadbalancers',
])

/** False when the name is no resource's at all. */
export function validateResourceName(errors: FieldErrors, path: string, name: string): boolean {
  const faults = qualifiedNameFaults(name)
  for (const fault of faults) errors.push(invalid(path, name, fault))
  if (faults.length > 0) return false
  if (name.includes('/') || isStandardResource(name)) return true
  errors.push(invalid(path, name, 'must be a standard resource type or fully qualified'))
  return false
}

export const isStandardResource = (name: string): boolean =>
  STANDARD_RESOURCES.has(name) || isHugePages(name) || name.startsWith('requests.hugepages-')

export function validateContainerResourceName(errors: FieldErrors, path: string, name: string): void {
  validateResourceName(errors, path, name)
  if (!name.includes('/')) {
    if (!STANDARD.includes(name) && !isHugePages(name)) errors.push(invalid(path, name, 'must be a standard resource for containers'))
  } else if (!isNative(name) && !isExtendedResource(name))
    errors.push(invalid(path, name, "doesn't follow extended resource name standard"))
}

/** What a pod can ask for as a whole (KEP-2837). */
export function validatePodResourceName(errors: FieldErrors, path: string, name: string): void {
  if (!validateResourceName(errors, path, name) || name === 'cpu' || name === 'memory' || isHugePages(name)) return
  errors.push(notSupported(path, name, ['cpu', 'hugepages-', 'memory']))
}

/** Amounts of which only the sign is looked at. */
export function checkBasicAmounts(errors: FieldErrors, path: string, amounts: Readonly<Record<string, string>> | undefined): void {
  for (const [name, amount] of Object.entries(amounts ?? {})) {
    const whole = Math.ceil(toMilli(amount) / 1000)
    if (whole < 0) errors.push(invalid(`${path}[${name}]`, whole, 'must be a valid resource quantity'))
  }
}

/** Things that are counted. */
const WHOLE: ReadonlySet<string> = new Set([
  'pods',
  'resourcequotas',
  'services',
  'replicationcontrollers',
  'secrets',
  'configmaps',
  'persistentvolumeclaims',
  'services.nodeports',
  'services.loadbalancers',
])

export function validateAmount(errors: FieldErrors, path: string, name: string, amount: string): void {
  if (compareQuantities(amount, '0') < 0) errors.push(invalid(path, amount, NOT_NEGATIVE))
  if ((WHOLE.has(name) || isExtendedResource(name)) && toMilli(amount) % 1000 !== 0)
    errors.push(invalid(path, amount, 'must be an integer'))
}

export function validateResourceRequirements(
  errors: FieldErrors,
  path: string,
  requirements: ResourceRequirements | undefined,
  claimNames: ReadonlySet<string>,
  validateName = validateContainerResourceName,
): void {
  const limits = requirements?.limits ?? {}
  const requests = requirements?.requests ?? {}
  for (const name in limits) {
    validateName(errors, `${path}.limits[${name}]`, name)
    validateAmount(errors, `${path}.limits[${name}]`, name, limits[name] ?? '0')
  }
  for (const name in requests) {
    const amount = requests[name] ?? '0'
    validateName(errors, `${path}.requests[${name}]`, name)
    validateAmount(errors, `${path}.requests[${name}]`, name, amount)
    const limit = limits[name]
    if (limit === undefined) {
      if (!isOvercommitAllowed(name)) errors.push(required(`${path}.limits`, 'Limit must be set for non overcommitable resources'))
      continue
    }
    const order = compareQuantities(amount, limit)
    const shown = canonicalQuantity(amount)
    if (order !== 0 && !isOvercommitAllowed(name)) {
      errors.push(invalid(`${path}.requests`, shown, `must be equal to ${name} limit of ${canonicalQuantity(limit)}`))
    } else if (order > 0)
      errors.push(invalid(`${path}.requests`, shown, `must be less than or equal to ${name} limit of ${canonicalQuantity(limit)}`))
  }
  const names = [...Object.keys(limits), ...Object.keys(requests)]
  if (names.some(isHugePages) && !names.some((name) => name === 'cpu' || name === 'memory')) {
    errors.push(forbidden(path, 'HugePages require cpu or memory'))
  }
  validateClaimNames(errors, `${path}.claims`, requirements?.claims, claimNames)
}

function validateClaimNames(
  errors: FieldErrors,
  path: string,
  claims: readonly ResourceClaim[] | undefined,
  known: ReadonlySet<string>,
): void {
  const seen = new Set<string>()
  claims?.forEach(({ name = '', request }: Partial<ResourceClaim>, i) => {
    const at = `${path}[${i}]`
    if (!name) return void errors.push(required(at))
    const key = request ? `${name}/${request}` : name
    if (seen.has(name)) errors.push(duplicate(at, name))
    else {
      if (request) checkFormat(errors, `${at}.request`, request, dns1123LabelFaults)
      if (seen.has(key)) errors.push(duplicate(at, key))
      else if (!request) for (const other of seen) if (other.startsWith(`${name}/`)) errors.push(duplicate(at, name))
      seen.add(key)
    }
    if (known.has(name)) return
    const names = known.size === 0 ? ' which is empty' : `: ${[...known].sort().join(', ')}`
    const fault = notFound(at, name)
    errors.push({ ...fault, detail: `${fault.detail}: must be one of the names in pod.spec.resourceClaims${names}` })
  })
}
