/**
 * ipFamilies, ipFamilyPolicy and clusterIPs of a service on a cluster with IPv4 alone, filled as upstream fills them there
 * (registry/core/service/storage/alloc.go). Dual-stack demands get upstream's refusals.
 */
import type { ServiceSpec } from '../../../api/generated/core/v1.ts'
import type { FieldError } from '../../../api/status.ts'
import { familyOfIP, ipProblem, type IPFamily } from '../addresses.ts'
import { isEqual, withField } from '../immutable.ts'
import { duplicate, invalid, notSupported, required, type FieldErrors } from '../rules.ts'

const FAMILIES: readonly string[] = ['IPv4', 'IPv6']
const POLICIES = ['PreferDualStack', 'RequireDualStack', 'SingleStack']
const CLUSTER_FAMILY: IPFamily = 'IPv4'

/** Whether clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy go together. */
export function validateClusterIPFields(errors: FieldErrors, spec: ServiceSpec): void {
  if (spec.type === 'ExternalName') return
  const ips = spec.clusterIPs ?? []
  const families = spec.ipFamilies ?? []
  const path = 'spec.clusterIPs'
  if (spec.clusterIP) {
    if (ips.length === 0) errors.push(required(path))
    else if (ips[0] !== spec.clusterIP) errors.push(invalid(path, ips, 'first value must match `clusterIP`'))
  } else if (ips.length > 0) errors.push(invalid(path, ips, 'must be empty when `clusterIP` is not specified'))

  families.forEach((family, i) => {
    if (!FAMILIES.includes(family)) errors.push(notSupported(`spec.ipFamilies[${i}]`, family, FAMILIES))
    if (families.indexOf(family) < i) errors.push(duplicate(`spec.ipFamilies[${i}]`, family))
  })
  if (spec.ipFamilyPolicy !== undefined && !POLICIES.includes(spec.ipFamilyPolicy)) {
    errors.push(notSupported('spec.ipFamilyPolicy', spec.ipFamilyPolicy, POLICIES))
  }

  let areIPs = true
  ips.forEach((ip, i) => {
    if (i === 0 && ip === 'None') {
      if (ips.length > 1) {
        areIPs = false
        errors.push(invalid(path, ips, "'None' must be the first and only value"))
      }
      return
    }
    const problem = ipProblem(ip)
    if (problem === undefined) return
    areIPs = false
    errors.push(invalid(`${path}[${i}]`, ip, problem))
  })
  if (ips.length > 2) errors.push(invalid(path, ips, 'may only hold up to 2 values'))
  if (!areIPs) return
  if (ips.length > 1 && (ips.length !== 2 || familyOfIP(ips[0] ?? '') === familyOfIP(ips[1] ?? ''))) {
    errors.push(invalid(path, ips, 'may specify no more than one IP for each IP family'))
  }
  if (ips[0] === 'None') return
  ips.forEach((ip, i) => {
    const family = families[i]
    if (family !== undefined && FAMILIES.includes(family) && familyOfIP(ip) !== family) {
      errors.push(invalid(`${path}[${i}]`, ip, `expected an ${family} value as indicated by \`ipFamilies[${i}]\``))
    }
  })
}

/** A dual-stack service that asks for nothing new stays as it is, whatever became of the cluster. */
const isUnchangedDualStack = (next: ServiceSpec, old: ServiceSpec): boolean =>
  next.type === old.type &&
  next.type !== 'ExternalName' &&
  next.ipFamilyPolicy === 'PreferDualStack' &&
  (old.ipFamilyPolicy === undefined || old.ipFamilyPolicy === 'PreferDualStack') &&
  isEqual(next.clusterIPs, old.clusterIPs) &&
  isEqual(next.ipFamilies, old.ipFamilies)

const isShorter = (next: readonly string[] | undefined, old: readonly string[] | undefined): boolean =>
  (next?.length ?? 0) > 0 && (next?.length ?? 0) < (old?.length ?? 0)

/** Without a policy an update keeps the old one; a headless service without selector spans both families. */
function policyOf(spec: ServiceSpec, old: ServiceSpec | undefined, isSelectorlessHeadless: boolean): string {
  return spec.ipFamilyPolicy ?? old?.ipFamilyPolicy ?? (isSelectorlessHeadless ? 'RequireDualStack' : 'SingleStack')
}

export function initIPFamilies(
  spec: ServiceSpec,
  old: ServiceSpec | undefined,
): { readonly spec: ServiceSpec } | { readonly errors: readonly FieldError[] } {
  if (spec.type === 'ExternalName' || (old && isUnchangedDualStack(spec, old))) return { spec }
  const isSelectorlessHeadless = spec.clusterIP === 'None' && Object.keys(spec.selector ?? {}).length === 0
  const policy = policyOf(spec, old, isSelectorlessHeadless)
  let next = withField(spec, 'ipFamilyPolicy', policy)
  const errors: FieldErrors = []
  validateClusterIPFields(errors, next)
  if (errors.length > 0) return { errors }

  const policyPath = 'spec.ipFamilyPolicy'
  if (old && policy === 'SingleStack') {
    if (isEqual(old.clusterIPs, next.clusterIPs) && (next.clusterIPs?.length ?? 0) > 1)
      next = { ...next, clusterIPs: next.clusterIPs?.slice(0, 1) }
    if (isEqual(old.ipFamilies, next.ipFamilies) && (next.ipFamilies?.length ?? 0) > 1)
      next = { ...next, ipFamilies: next.ipFamilies?.slice(0, 1) }
  } else if (old) {
    if (isShorter(next.clusterIPs, old.clusterIPs))
      errors.push(invalid(policyPath, policy, "must be 'SingleStack' to release the secondary cluster IP"))
    if (isShorter(next.ipFamilies, old.ipFamilies))
      errors.push(invalid(policyPath, policy, "must be 'SingleStack' to release the secondary IP family"))
  }
  if (policy === 'SingleStack') {
    const why = (what: string): string => `must be 'RequireDualStack' or 'PreferDualStack' when multiple ${what} are specified`
    if (next.clusterIPs?.length === 2) errors.push(invalid(policyPath, policy, why('cluster IPs')))
    if (next.ipFamilies?.length === 2) errors.push(invalid(policyPath, policy, why('IP families')))
  }

  const families = [...(next.ipFamilies ?? [])]
  for (const [i, ip] of (next.clusterIPs ?? []).entries()) {
    if (ip === 'None') break
    if (i < families.length) continue
    const family = familyOfIP(ip) ?? CLUSTER_FAMILY
    if (family === CLUSTER_FAMILY) families.push(family)
    else errors.push(invalid(`spec.clusterIPs[${i}]`, next.clusterIPs, `${family} is not configured on this cluster`))
  }
  if (errors.length > 0) return { errors }

  if (isSelectorlessHeadless) {
    if (families.length === 0) families.push(CLUSTER_FAMILY)
    if (families.length < 2 && policy !== 'SingleStack') families.push(families[0] === 'IPv4' ? 'IPv6' : 'IPv4')
    return { spec: isEqual(next.ipFamilies, families) ? next : { ...next, ipFamilies: families } }
  }

  if (policy === 'RequireDualStack') errors.push(invalid(policyPath, policy, 'this cluster is not configured for dual-stack services'))
  families.forEach((family, i) => {
    if (family !== CLUSTER_FAMILY) errors.push(invalid(`spec.ipFamilies[${i}]`, family, 'not configured on this cluster'))
  })
  if (errors.length > 0) return { errors }
  if (families.length === 0) families.push(CLUSTER_FAMILY)
  return { spec: isEqual(next.ipFamilies, families) ? next : { ...next, ipFamilies: families } }
}
