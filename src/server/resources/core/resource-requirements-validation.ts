/** Rules of what containers and pods request and are limited to. */
import type { ResourceRequirements } from '../../../api/generated/core/v1.ts'
import { qualifiedNameFaults } from '../../../api/names.ts'
import { canonicalQuantity, compareQuantities, toMilli } from '../../../api/quantity.ts'
import { checkFormat, duplicate, forbidden, invalid, notFound, NOT_NEGATIVE, required, type FieldErrors } from '../rules.ts'

const STANDARD = ['cpu', 'memory', 'ephemeral-storage']
const isHugePages = (name: string): boolean => name.startsWith('hugepages-')
/** Native resources have no domain, or one of Kubernetes' own. */
const isNative = (name: string): boolean => !name.includes('/') || name.includes('kubernetes.io/')
/** What may be promised beyond what there is. */
export const isOvercommitAllowed = (name: string): boolean => isNative(name) && !isHugePages(name)
export const isExtendedResource = (name: string): boolean =>
  !isNative(name) && !name.startsWith('requests.') && qualifiedNameFaults(`requests.${name}`).length === 0

function validateName(errors: FieldErrors, path: string, name: string): void {
  const before = errors.length
  checkFormat(errors, path, name, qualifiedNameFaults)
  if (errors.length > before) return
  if (!name.includes('/')) {
    if (!STANDARD.includes(name) && !isHugePages(name)) errors.push(invalid(path, name, 'must be a standard resource for containers'))
  } else if (!isNative(name) && !isExtendedResource(name))
    errors.push(invalid(path, name, "doesn't follow extended resource name standard"))
}

function validateAmount(errors: FieldErrors, path: string, name: string, amount: string): void {
  if (compareQuantities(amount, '0') < 0) errors.push(invalid(path, amount, NOT_NEGATIVE))
  if (isExtendedResource(name) && toMilli(amount) % 1000 !== 0) errors.push(invalid(path, amount, 'must be an integer'))
}

export function validateResourceRequirements(
  errors: FieldErrors,
  path: string,
  requirements: ResourceRequirements | undefined,
  claimNames: ReadonlySet<string>,
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
  const seen = new Set<string>()
  requirements?.claims?.forEach(({ name, request }, i) => {
    const at = `${path}.claims[${i}]`
    const key = request ? `${name}/${request}` : (name ?? '')
    if (!name) errors.push(required(`${at}.name`))
    else if (seen.has(key)) errors.push(duplicate(at, key))
    else if (!claimNames.has(name)) errors.push(notFound(`${at}.name`, name))
    seen.add(key)
  })
}
