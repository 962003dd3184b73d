/**
 * What the server must hold before a pod with claims is bound: that its claims have the devices found for them and are used by it, and the
 * claim that stands for its extended resources (KEP-5004).
 */
import type { Pod } from '../../api/generated/core/v1.ts'
import type { AllocationResult, ResourceClaim } from '../../api/generated/resource/v1.ts'
import { isApiError } from '../../api/status.ts'
import { sleep, timestamp } from '../../base/clock.ts'
import { uuid } from '../../base/random.ts'
import type { Random } from '../../base/random.ts'
import type { BindContext } from '../framework.ts'
import { UNNAMED_SHARE } from './device-allocator.ts'
import { extendedClaim } from './extended-resources.ts'
import type { ExtendedRequests } from './extended-resources.ts'

export const CLAIM = 'resource.k8s.io/v1/ResourceClaim'
const FINALIZER = 'resource.kubernetes.io/delete-protection'
const ATTEMPTS = 5
/** How long the server may take to show a claim that was written (upstream's), and how often it is looked for. */
const SHOWN_WITHIN_MS = 120_000
const SHOWN_POLL_MS = 100

export const keyOf = ({ metadata }: ResourceClaim): string => `${metadata?.namespace}/${metadata?.name}`

export const isReservedFor = (claim: ResourceClaim, pod: Pod): boolean =>
  claim.status?.reservedFor?.some(({ uid }) => uid === pod.metadata?.uid) ?? false

export interface ExtendedPlan {
  readonly wanted: ExtendedRequests
  readonly allocation: AllocationResult
}

/** Of each device that has conditions to wait for: met, failed or still open. */
export function readiness({ status }: ResourceClaim): 'ready' | 'failed' | 'waiting' {
  let isWaiting = false
  for (const result of status?.allocation?.devices?.results ?? []) {
    if (!result.bindingConditions?.length) continue
    const known = status?.devices?.find(
      ({ driver, pool, device, shareID }) =>
        driver === result.driver && pool === result.pool && device === result.device && shareID === result.shareID,
    )
    const isTrue = (type: string) => known?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false
    if (result.bindingFailureConditions?.some(isTrue)) return 'failed'
    if (!result.bindingConditions.every(isTrue)) isWaiting = true
  }
  return isWaiting ? 'waiting' : 'ready'
}

/** Each part of a shared device gets a name of its own. */
function withShares(allocation: AllocationResult, random: Random): AllocationResult {
  const results = allocation.devices?.results?.map((result) =>
    result.shareID === UNNAMED_SHARE ? { ...result, shareID: uuid(random) } : result,
  )
  return results ? { ...allocation, devices: { ...allocation.devices, results } } : allocation
}

/** Writes the allocation, if it is new, and that the pod uses the claim; the server's newest is taken when it has moved on. */
export async function bindClaim(
  found: ResourceClaim,
  planned: AllocationResult | undefined,
  pod: Pod,
  context: BindContext,
): Promise<void> {
  const { client, runtime } = context
  const allocation = planned && withShares(planned, runtime.random)
  const key = { namespace: found.metadata?.namespace, name: found.metadata?.name ?? '' }
  let claim = found
  for (let attempt = 1; ; attempt++) {
    try {
      if (claim.metadata?.deletionTimestamp) throw new Error(`claim ${keyOf(claim)} got deleted in the meantime`)
      if (allocation) {
        if (claim.status?.allocation) throw new Error(`claim ${keyOf(claim)} got allocated elsewhere in the meantime`)
        if (!claim.metadata?.finalizers?.includes(FINALIZER)) {
          const finalizers = [...(claim.metadata?.finalizers ?? []), FINALIZER]
          claim = await client.update(CLAIM, { ...claim, metadata: { ...claim.metadata, finalizers } })
        }
      } else if (!claim.status?.allocation) throw new Error(`claim ${keyOf(claim)} got deallocated elsewhere in the meantime`)
      if (isReservedFor(claim, pod)) return
      const user = { resource: 'pods', name: pod.metadata?.name ?? '', uid: pod.metadata?.uid ?? '' }
      const known = allocation ?? claim.status!.allocation!
      const status = {
        ...claim.status,
        allocation: { ...known, allocationTimestamp: known.allocationTimestamp ?? timestamp(runtime.clock) },
        reservedFor: [...(claim.status?.reservedFor ?? []), user],
      }
      await client.update(CLAIM, { ...claim, status }, { subresource: 'status' })
      return
    } catch (error) {
      if (!isApiError(error, 'Conflict') || attempt === ATTEMPTS) throw error
      claim = await client.get(CLAIM, key)
    }
  }
}

/** Makes the claim for a pod's extended resources, gives it its devices and tells the pod of it. */
export async function bindExtended(
  pod: Pod,
  { wanted, allocation }: ExtendedPlan,
  context: BindContext,
  created: (claim: ResourceClaim) => void,
): Promise<void> {
  const { client, runtime, view, signal } = context
  const claim = await client.create(CLAIM, extendedClaim(pod, wanted.requests))
  created(claim)
  await bindClaim(claim, allocation, pod, context)
  const key = { namespace: pod.metadata?.namespace, name: pod.metadata?.name ?? '' }
  const status = { extendedResourceClaimStatus: { requestMappings: wanted.mappings, resourceClaimName: claim.metadata?.name ?? '' } }
  await client.patch('v1/Pod', key, 'strategic', { metadata: { uid: pod.metadata?.uid }, status }, { subresource: 'status' })
  const until = runtime.clock.monotonic() + SHOWN_WITHIN_MS
  const isShown = () => view.resourceClaim(key.namespace ?? '', claim.metadata?.name ?? '')?.status?.allocation !== undefined
  while (!isShown() && runtime.clock.monotonic() < until) await sleep(runtime.clock, SHOWN_POLL_MS, signal)
}

export async function deleteClaim({ client }: BindContext, { metadata }: ResourceClaim): Promise<void> {
  const key = { namespace: metadata?.namespace, name: metadata?.name ?? '' }
  try {
    const claim = await client.get(CLAIM, key)
    const finalizers = claim.metadata?.finalizers?.filter((finalizer) => finalizer !== FINALIZER) ?? []
    if (claim.metadata?.finalizers?.includes(FINALIZER))
      await client.update(CLAIM, { ...claim, metadata: { ...claim.metadata, finalizers } })
    await client.delete(CLAIM, key)
  } catch (error) {
    if (!isApiError(error, 'NotFound')) throw error
  }
}
