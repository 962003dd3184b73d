/**
 * How much of a ResourceQuota an object of each kind uses (upstream's pkg/quota/v1/evaluator). The API server charges by it when
 * an object is written, the controller counts by it what is there: one rule for both, or they would correct each other for ever.
 *
 * Not here: the extended resources that claims stand for (DRAExtendedResource); claims count by themselves and by device class.
 */
import type { PersistentVolumeClaim, Pod, ScopedResourceSelectorRequirement, Service } from '../generated/core/v1.ts'
import type { ResourceClaim } from '../generated/resource/v1.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import type { KubeObject } from '../object.ts'
import type { ResourceList } from '../pod-resources.ts'
import { addQuantities, compareQuantities, quantityOf, toNumber } from '../quantity.ts'
import { qualifiedResource } from '../status.ts'
import { hasDeadline, attributesClassesOf, claimMatchesScope, podMatchesScope } from './scopes.ts'
import { isCharged, isPodQuotaName, podUsage } from './pod-usage.ts'

export interface QuotaEvaluator {
  /** Whether this kind of object uses what the quota calls by this name. */
  counts(name: string): boolean
  usage(object: KubeObject, nowMs: number): ResourceList
  matchesScope(object: KubeObject, requirement: ScopedResourceSelectorRequirement): boolean
  /** Whether an update may change the usage. */
  isUsageChanged(next: KubeObject, old: KubeObject, nowMs: number): boolean
}

const noScope = (): boolean => false

const pods: QuotaEvaluator = {
  counts: isPodQuotaName,
  usage: podUsage,
  matchesScope: podMatchesScope,
  isUsageChanged: (next: Pod, old: Pod, nowMs) =>
    hasDeadline(next) !== hasDeadline(old) ||
    isCharged(next, nowMs) !== isCharged(old, nowMs) ||
    !deepEqual(next.spec?.containers, old.spec?.containers) ||
    next.metadata?.deletionTimestamp !== old.metadata?.deletionTimestamp ||
    next.status?.containerStatuses?.some(({ resources }, i) => !deepEqual(resources, old.status?.containerStatuses?.[i]?.resources)) ===
      true,
}

const SERVICE_NAMES: ReadonlySet<string> = new Set(['count/services', 'services', 'services.nodeports', 'services.loadbalancers'])

const services: QuotaEvaluator = {
  counts: (name) => SERVICE_NAMES.has(name),
  usage({ spec }: Service) {
    const ports = spec?.ports ?? []
    const isBalanced = spec?.type === 'LoadBalancer'
    const isAllocated = spec?.type === 'NodePort' || (isBalanced && spec.allocateLoadBalancerNodePorts !== false)
    const explicit = isBalanced ? ports.filter(({ nodePort }) => nodePort).length : 0
    return {
      'count/services': '1',
      services: '1',
      'services.nodeports': String(isAllocated ? ports.length : explicit),
      'services.loadbalancers': isBalanced ? '1' : '0',
    }
  },
  matchesScope: noScope,
  isUsageChanged: (next, old) => next.spec !== old.spec,
}

const CLAIM_NAMES = ['persistentvolumeclaims', 'requests.storage']
const BY_STORAGE_CLASS = '.storageclass.storage.k8s.io/'
const OLD_CLASS = 'volume.beta.kubernetes.io/storage-class'

/** Whole bytes, as a quota counts them. */
const wholeBytes = (amount: string): string =>
  compareQuantities(amount, String(toNumber(amount))) === 0 ? amount : quantityOf(toNumber(amount))

function storageOf({ spec, status }: PersistentVolumeClaim): string | undefined {
  const asked = spec?.resources?.requests?.['storage']
  const allocated = status?.allocatedResources?.['storage']
  if (asked === undefined) return undefined
  return wholeBytes(allocated !== undefined && compareQuantities(allocated, asked) > 0 ? allocated : asked)
}

const volumeClaims: QuotaEvaluator = {
  counts: (name) =>
    name === 'count/persistentvolumeclaims' ||
    CLAIM_NAMES.some((counted) => name === counted || name.endsWith(`${BY_STORAGE_CLASS}${counted}`)),
  usage(claim: PersistentVolumeClaim) {
    const used: Record<string, string> = { persistentvolumeclaims: '1', 'count/persistentvolumeclaims': '1' }
    const storage = storageOf(claim)
    if (storage !== undefined) used['requests.storage'] = storage
    const className = claim.metadata?.annotations?.[OLD_CLASS] ?? claim.spec?.storageClassName
    if (className) {
      used[`${className}${BY_STORAGE_CLASS}persistentvolumeclaims`] = '1'
      if (storage !== undefined) used[`${className}${BY_STORAGE_CLASS}requests.storage`] = storage
    }
    return used
  },
  matchesScope: claimMatchesScope,
  isUsageChanged: (next: PersistentVolumeClaim, old: PersistentVolumeClaim) =>
    next.spec !== old.spec || storageOf(next) !== storageOf(old) || attributesClassesOf(next).join() !== attributesClassesOf(old).join(),
}

const CLAIM_COUNT = 'count/resourceclaims.resource.k8s.io'
const BY_DEVICE_CLASS = '.deviceclass.resource.k8s.io/devices'
/** All devices of a node: the most that one allocation may hold (AllocationResultsMaxSize). */
const MAX_DEVICES = 32

const devicesOf = ({ allocationMode, count }: { readonly allocationMode?: string; readonly count?: number }): number =>
  allocationMode === 'ExactCount' ? (count ?? 1) : allocationMode === 'All' ? MAX_DEVICES : 0

const resourceClaims: QuotaEvaluator = {
  counts: (name) => name === CLAIM_COUNT || name.endsWith(BY_DEVICE_CLASS),
  usage({ spec }: ResourceClaim) {
    const used: Record<string, string> = { [CLAIM_COUNT]: '1' }
    const add = (className: string, devices: number): void => {
      const name = `${className}${BY_DEVICE_CLASS}`
      used[name] = addQuantities(used[name] ?? '0', String(devices))
    }
    for (const request of spec?.devices?.requests ?? []) {
      if (request.exactly) add(request.exactly.deviceClassName, devicesOf(request.exactly))
      // Of alternatives the most that may be taken of each class.
      const most = new Map<string, number>()
      for (const option of request.firstAvailable ?? [])
        most.set(option.deviceClassName, Math.max(most.get(option.deviceClassName) ?? 0, devicesOf(option)))
      for (const [className, devices] of most) add(className, devices)
    }
    return used
  },
  matchesScope: noScope,
  isUsageChanged: (next, old) => next.spec !== old.spec,
}

/** Counts objects; `alias` is the name from before count/ was. */
function objectCount(countName: string, alias?: string): QuotaEvaluator {
  const names = alias === undefined ? [countName] : [countName, alias]
  const used = Object.fromEntries(names.map((name) => [name, '1']))
  return { counts: (name) => names.includes(name), usage: () => used, matchesScope: noScope, isUsageChanged: () => false }
}

const ALIASED = ['configmaps', 'resourcequotas', 'replicationcontrollers', 'secrets']

/** The kinds that count for more than their number, by "resource.group". */
const special: ReadonlyMap<string, QuotaEvaluator> = new Map([
  ['pods', pods],
  ['services', services],
  ['persistentvolumeclaims', volumeClaims],
  ['resourceclaims.resource.k8s.io', resourceClaims],
  ...ALIASED.map((resource) => [resource, objectCount(`count/${resource}`, resource)] as const),
])

/** What quotas do not know: reviews and bindings are not stored, events never were counted. */
const IGNORED: ReadonlySet<string> = new Set([
  'bindings',
  'componentstatuses',
  'events',
  'events.events.k8s.io',
  'localsubjectaccessreviews.authorization.k8s.io',
])

/** `resource` is "pods" or "deployments.apps". */
function evaluatorNamed(resource: string): QuotaEvaluator | undefined {
  return IGNORED.has(resource) ? undefined : (special.get(resource) ?? objectCount(`count/${resource}`))
}

/** How objects of a resource count; undefined for those that never do. */
export const quotaEvaluatorOf = (group: string, resource: string): QuotaEvaluator | undefined =>
  evaluatorNamed(qualifiedResource(group, resource))

/** The resources ("pods", "deployments.apps") whose objects count for these names of a quota. */
export function resourcesCountedBy(names: readonly string[]): readonly string[] {
  const found = new Set<string>()
  for (const name of names) {
    for (const [resource, evaluator] of special) if (evaluator.counts(name)) found.add(resource)
    const counted = name.startsWith('count/') ? name.slice('count/'.length) : ''
    if (counted !== '' && !IGNORED.has(counted)) found.add(counted)
  }
  return [...found]
}
