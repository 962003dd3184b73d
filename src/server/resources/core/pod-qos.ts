/** The quality-of-service class of a pod, decided once at its creation (KEP-2837 adds resources of the pod as a whole). */
import type { Container, Pod, ResourceRequirements } from '../../../api/generated/core/v1.ts'
import { addQuantities, compareQuantities } from '../../../api/quantity.ts'

const isPositive = (quantity: string): boolean => compareQuantities(quantity, '0') > 0

const COMPUTE = ['cpu', 'memory'] as const

type Resources = Pick<ResourceRequirements, 'requests' | 'limits'>

/** Sums of the positive amounts of cpu and memory. */
function add(total: Map<string, string>, list: Readonly<Record<string, string>> | undefined): void {
  for (const name of COMPUTE) {
    const amount = list?.[name]
    if (amount === undefined || !isPositive(amount)) continue
    const sum = total.get(name)
    total.set(name, sum === undefined ? amount : addQuantities(sum, amount))
  }
}

const limitsAll = (resources: Resources | undefined): boolean =>
  COMPUTE.every((name) => resources?.limits?.[name] !== undefined && isPositive(resources.limits[name]))

export function podQosClass(pod: Pod): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const spec = pod.spec
  const containers: readonly Container[] = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])]
  const subjects: readonly (Resources | undefined)[] = spec?.resources
    ? [spec.resources]
    : containers.map((container) => container.resources)
  const requests = new Map<string, string>()
  const limits = new Map<string, string>()
  for (const resources of subjects) {
    add(requests, resources?.requests)
    add(limits, resources?.limits)
  }
  if (requests.size === 0 && limits.size === 0) return 'BestEffort'
  const isGuaranteed =
    subjects.every(limitsAll) &&
    requests.size === limits.size &&
    [...requests].every(([name, amount]) => compareQuantities(amount, limits.get(name) ?? '0') === 0)
  return isGuaranteed ? 'Guaranteed' : 'Burstable'
}
