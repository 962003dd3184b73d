/**
 * Devices for a pod's resource claims (KEP-4381, structured parameters): a pod goes where its claims' devices are, or where devices for
 * them can be found; those are set aside when the node is chosen and written into the claims before the pod is bound. Between the choice
 * and the server's knowing of it they are remembered here, so that two pods do not get the same device.
 */
import type { Pod } from '../../api/generated/core/v1.ts'
import type { AllocationResult, ResourceClaim } from '../../api/generated/resource/v1.ts'
import { matchesNodeSelector } from '../../api/node-selector.ts'
import { sleep } from '../../base/clock.ts'
import type { ClusterView } from '../cluster-view.ts'
import { bindClaim, bindExtended, CLAIM, deleteClaim, isReservedFor, keyOf, readiness } from '../devices/claim-binding.ts'
import type { ExtendedPlan } from '../devices/claim-binding.ts'
import { allocateDevices } from '../devices/device-allocator.ts'
import type { AllocatedState } from '../devices/device-allocator.ts'
import { addCapacities, parseCapacities } from '../devices/device-capacity.ts'
import { deviceId, groupSlices, poolsOf } from '../devices/device-pools.ts'
import type { SlicesByPool } from '../devices/device-pools.ts'
import { extendedClaim, extendedRequests, extendedResourcesOf, isExtendedClaimOf, isFromDevices } from '../devices/extended-resources.ts'
import type { ExtendedRequests } from '../devices/extended-resources.ts'
import { definePlugin, impossible, normaliseByMaximum } from '../framework.ts'
import type { BindContext, Plugin, Rejection } from '../framework.ts'
import type { NodeInfo } from '../node-info.ts'
import type { PodInfo } from '../pod-info.ts'
import type { Snapshot } from '../snapshot.ts'

export interface DynamicResourcesArgs {
  /** How long the binding waits for devices that say when they are ready (KEP-5007). */
  readonly bindingTimeoutMs: number
}

const NOT_AVAILABLE = impossible('resourceclaim not available on the node')
const NOT_ALLOCATED = impossible('cannot allocate all claims')
const STALE_CLAIM = impossible('cannot schedule extended resource claim')
const NO_RESOURCE = impossible('cannot fit resource')
const POLL_MS = 5_000
/** Alternatives of a request (resource/v1 FirstAvailableDeviceRequestMaxSize). */
const MAXIMUM_ALTERNATIVES = 8

/** The pod's claims, or in words why it cannot be scheduled yet. Claims that their template need not make are left out. */
function claimsOf(pod: Pod, view: ClusterView): readonly ResourceClaim[] | string {
  const namespace = pod.metadata?.namespace ?? ''
  const claims: ResourceClaim[] = []
  for (const { name, resourceClaimName } of pod.spec?.resourceClaims ?? []) {
    let claimName = resourceClaimName
    if (claimName === undefined) {
      const made = pod.status?.resourceClaimStatuses?.find((status) => status.name === name)
      if (!made) return `pod "${namespace}/${pod.metadata?.name}": ResourceClaim not created yet`
      if (made.resourceClaimName === undefined) continue
      claimName = made.resourceClaimName
    }
    const claim = view.resourceClaim(namespace, claimName)
    if (!claim) return `resourceclaim.resource.k8s.io "${claimName}" not found`
    if (claim.metadata?.deletionTimestamp) return `resourceclaim "${claimName}" is being deleted`
    const isOwn = claim.metadata?.ownerReferences?.some(({ controller, uid }) => controller && uid === pod.metadata?.uid)
    if (resourceClaimName === undefined && !isOwn)
      return `ResourceClaim ${keyOf(claim)} was not created for Pod ${namespace}/${pod.metadata?.name} (Pod is not owner)`
    claims.push(claim)
  }
  return claims
}

/** Does a request name a class that is not there? */
function missingClass(claims: readonly ResourceClaim[], view: ClusterView): string | undefined {
  for (const { spec } of claims) {
    for (const { name, exactly, firstAvailable = [] } of spec.devices?.requests ?? []) {
      const wanted = exactly ? [[name, exactly.deviceClassName]] : firstAvailable.map((sub) => [`${name}/${sub.name}`, sub.deviceClassName])
      for (const [request, className] of wanted)
        if (!view.deviceClass(className!)) return `request ${request}: device class ${className} does not exist`
    }
  }
  return undefined
}

function stateOf(allocations: Iterable<AllocationResult>): AllocatedState {
  const devices = new Set<string>()
  const shared = new Map<string, Map<string, bigint>>()
  for (const { devices: allocated } of allocations) {
    for (const { driver, pool, device, adminAccess, shareID, consumedCapacity } of allocated?.results ?? []) {
      const id = deviceId(driver, pool, device)
      // Who only looks after a device takes it from nobody.
      if (adminAccess) continue
      if (shareID === undefined) devices.add(id)
      else {
        const sums = shared.get(id) ?? new Map<string, bigint>()
        addCapacities(sums, parseCapacities(consumedCapacity ?? {}), 1n)
        shared.set(id, sums)
      }
    }
  }
  return { devices, shared }
}

interface State {
  /** Asked for as extended resources, and a claim for them that an attempt before has left behind. */
  readonly extended: readonly string[]
  readonly stale: ResourceClaim | undefined
  readonly claims: readonly ResourceClaim[]
  readonly toAllocate: readonly ResourceClaim[]
  readonly allocated: AllocatedState
  readonly slices: SlicesByPool
  /** By node: what the filter has found. */
  readonly results: Map<string, readonly AllocationResult[]>
  /** Claims whose devices some node cannot reach or that have failed to get ready. */
  readonly unavailable: Set<ResourceClaim>
}

/** What was found on a node for each claim; `wanted`: the last is for extended resources, by these requests. */
interface Found {
  readonly results: readonly AllocationResult[]
  readonly wanted: ExtendedRequests | undefined
}

interface Plan {
  readonly claims: ReadonlyMap<string, AllocationResult | undefined>
  readonly extended: ExtendedPlan | undefined
  /** Takes back what was written for the extended resources. */
  undo: (() => void) | undefined
}

/** The better the earlier alternatives are that were found. */
function preferenceOf(claims: readonly ResourceClaim[], results: readonly AllocationResult[]): number {
  let score = 0
  let next = 0
  for (const { spec, status } of claims) {
    const allocation = status?.allocation ?? results[next++]
    const taken = new Set(allocation?.devices?.results?.map(({ request }) => request))
    for (const { name, firstAvailable = [] } of spec.devices?.requests ?? [])
      for (const [i, sub] of firstAvailable.entries()) if (taken.has(`${name}/${sub.name}`)) score += MAXIMUM_ALTERNATIVES - i
  }
  return score
}

/** Of the pods that wait for claims: which a change of one may help. */
function helps(pod: Pod, claim: ResourceClaim, old: ResourceClaim | undefined): boolean {
  if (old?.status?.allocation && !claim.status?.allocation) return true
  const names = new Set([
    ...(pod.spec?.resourceClaims ?? []).map(({ resourceClaimName }) => resourceClaimName),
    ...(pod.status?.resourceClaimStatuses ?? []).map(({ resourceClaimName }) => resourceClaimName),
  ])
  const isUsed = pod.metadata?.namespace === claim.metadata?.namespace && names.has(claim.metadata?.name)
  return isUsed && JSON.stringify(old?.status) !== JSON.stringify(claim.status)
}

export function createDynamicResources({ bindingTimeoutMs }: DynamicResourcesArgs = { bindingTimeoutMs: 600_000 }): Plugin {
  /** By claim: devices set aside for pods on their way, until the server shows them. */
  const pending = new Map<string, AllocationResult>()
  /** By pod: what its binding has to write. */
  const plans = new Map<string, Plan>()

  /** What claims hold. What the server shows, and whose claim is gone, need not be remembered any more. */
  function allocations(view: ClusterView): readonly AllocationResult[] {
    const found: AllocationResult[] = []
    const open = new Set(pending.keys())
    for (const { metadata, status } of view.resourceClaims()) {
      const uid = metadata?.uid ?? ''
      const allocation = status?.allocation ?? pending.get(uid)
      if (allocation) found.push(allocation)
      if (!status?.allocation) open.delete(uid)
    }
    for (const uid of open) pending.delete(uid)
    // Claims that are still to be made are nobody's else.
    for (const { extended } of plans.values()) if (extended) found.push(extended.allocation)
    return found
  }

  function prepare(info: PodInfo, view: ClusterView): State | Rejection | undefined {
    const { pod } = info
    const extended = info.requests.scalars.size > 0 ? extendedResourcesOf(info, view) : []
    if (!pod.spec?.resourceClaims?.length && extended.length === 0) return undefined
    const claims = claimsOf(pod, view)
    if (typeof claims === 'string') return impossible(claims)
    if (claims.length === 0 && extended.length === 0) return undefined
    const toAllocate = claims.filter(({ status }) => !status?.allocation)
    const underWay = toAllocate.find(({ metadata }) => pending.has(metadata?.uid ?? ''))
    if (underWay) return impossible(`resource claim ${keyOf(underWay)} is in the process of being allocated`)
    const missing = missingClass(toAllocate, view)
    if (missing) return impossible(missing)
    const isNeeded = toAllocate.length > 0 || extended.length > 0
    return {
      extended,
      stale: extended.length > 0 ? [...view.resourceClaims()].find((claim) => isExtendedClaimOf(claim, pod)) : undefined,
      claims,
      toAllocate,
      allocated: isNeeded ? stateOf(allocations(view)) : { devices: new Set(), shared: new Map() },
      slices: isNeeded ? groupSlices(view.resourceSlices()) : new Map(),
      results: new Map(),
      unavailable: new Set(),
    }
  }

  /** The results of the claims, and after them, where the node has to give extended resources by devices, that of the claim for those. */
  function allocate(state: State, { node, allocatable }: NodeInfo, { pod }: PodInfo, view: ClusterView): Found | undefined {
    const byDevices = state.extended.filter((name) => isFromDevices(name, allocatable, view))
    const wanted = byDevices.length > 0 ? extendedRequests(pod, byDevices, view) : undefined
    const claims = wanted ? [...state.toAllocate, extendedClaim(pod, wanted.requests)] : state.toAllocate
    if (claims.length === 0) return { results: [], wanted }
    const classOf = (name: string) => view.deviceClass(name)
    const results = allocateDevices(claims, node, poolsOf(state.slices, node), { state: state.allocated, classOf })
    return results && { results, wanted }
  }

  const reserve = (pod: PodInfo, nodeName: string, { view, node }: Snapshot): Rejection | undefined => {
    const state = prepare(pod, view)
    if (!state || 'reasons' in state) return state
    const info = node(nodeName)
    const found = info ? allocate(state, info, pod, view) : { results: [], wanted: undefined }
    if (!found) return NOT_ALLOCATED
    const { results, wanted } = found
    const plan = new Map<string, AllocationResult | undefined>()
    for (const claim of state.claims) if (!isReservedFor(claim, pod.pod)) plan.set(keyOf(claim), undefined)
    for (const [i, claim] of state.toAllocate.entries()) {
      pending.set(claim.metadata?.uid ?? '', results[i]!)
      plan.set(keyOf(claim), results[i])
    }
    plans.set(pod.uid, { claims: plan, extended: wanted && { wanted, allocation: results.at(-1)! }, undo: undefined })
    return undefined
  }

  async function untilReady(pod: Pod, keys: Iterable<string>, { view, runtime, signal }: BindContext): Promise<void> {
    const names = [...keys].map((key) => key.slice(key.indexOf('/') + 1))
    const current = () => names.flatMap((name) => view.resourceClaim(pod.metadata?.namespace ?? '', name) ?? [])
    for (const until = runtime.clock.monotonic() + bindingTimeoutMs; ;) {
      const states = current().map(readiness)
      if (states.includes('failed')) throw new Error('device binding failed')
      if (!states.includes('waiting')) return
      if (runtime.clock.monotonic() >= until) throw new Error('device binding timeout: context deadline exceeded')
      await sleep(runtime.clock, POLL_MS, signal)
    }
  }

  return definePlugin<State, State>({
    name: 'DynamicResources',
    preEnqueue(pod, view) {
      if (!pod.spec?.resourceClaims?.length) return undefined
      const claims = claimsOf(pod, view)
      return typeof claims === 'string' ? impossible(claims) : undefined
    },
    preFilter(pod, { view }) {
      const state = prepare(pod, view)
      if (!state) return { skip: true }
      return 'reasons' in state ? { rejection: state } : { state }
    },
    filter(state, pod, info, { view }) {
      const { node, name, allocatable } = info
      if (state.stale) return STALE_CLAIM
      if (state.extended.some((resource) => !allocatable.scalars.has(resource) && !isFromDevices(resource, allocatable, view)))
        return NO_RESOURCE
      let isAvailable = true
      for (const claim of state.claims) {
        const allocation = claim.status?.allocation
        if (!allocation) continue
        const isReachable = !allocation.nodeSelector || matchesNodeSelector(allocation.nodeSelector, node)
        if (isReachable && readiness(claim) !== 'failed') continue
        state.unavailable.add(claim)
        isAvailable = false
      }
      if (!isAvailable) return NOT_AVAILABLE
      const found = allocate(state, info, pod, view)
      if (!found) return NOT_ALLOCATED
      state.results.set(name, found.results)
      return undefined
    },
    postFilter({ pod, state, wasPassedOver }) {
      const found = state as State | undefined
      const message = (text: string) => ({ message: text, clearNomination: false })
      // Upstream's words, and its ending of the matter, when it has not been told of the pod's claims.
      if (wasPassedOver) return { ...message('not found'), isFinal: true }
      if (!found) return message('no new claims to deallocate')
      for (const claim of found.unavailable) {
        const users = claim.status?.reservedFor ?? []
        if (users.length > 1 || (users.length === 1 && users[0]!.uid !== pod.uid)) continue
        return {
          ...message('deallocation of ResourceClaim completed'),
          effect: async ({ client }) => {
            await client.update(CLAIM, { ...claim, status: {} }, { subresource: 'status' })
          },
        }
      }
      const { stale } = found
      if (stale) return { ...message('deletion of ResourceClaim completed'), effect: (context) => deleteClaim(context, stale) }
      return message('still not schedulable')
    },
    preScore(pod, nodes, { view }) {
      const state = prepare(pod, view)
      if (!state || 'reasons' in state) return { skip: true }
      const hasAlternatives = state.claims.some(({ spec }) => spec.devices?.requests?.some(({ firstAvailable }) => firstAvailable?.length))
      if (!hasAlternatives) return { skip: true }
      for (const node of nodes) state.results.set(node.name, allocate(state, node, pod, view)?.results ?? [])
      return { state }
    },
    score: ({ claims, results }, _pod, { name }) => preferenceOf(claims, results.get(name) ?? []),
    normalise: (scores) => normaliseByMaximum(scores, false),
    reserve,
    unreserve({ uid }) {
      const plan = plans.get(uid)
      for (const allocation of plan?.claims.values() ?? [])
        for (const [claim, known] of pending) if (known === allocation) pending.delete(claim)
      plans.delete(uid)
      plan?.undo?.()
    },
    preBindPreFlight: ({ uid }) => plans.has(uid),
    async preBind({ pod, uid }, _nodeName, context) {
      const plan = plans.get(uid)
      if (!plan) return
      const { claims, extended } = plan
      for (const [key, allocation] of claims) {
        const slash = key.indexOf('/')
        const claim = context.view.resourceClaim(key.slice(0, slash), key.slice(slash + 1))
        if (!claim) throw new Error(`resourceclaim.resource.k8s.io "${key.slice(slash + 1)}" not found`)
        await bindClaim(claim, allocation, pod, context)
      }
      const names = new Set(claims.keys())
      if (extended) {
        await bindExtended(pod, extended, context, (claim) => {
          names.add(keyOf(claim))
          plan.undo = () => {
            deleteClaim(context, claim).catch((error: unknown) =>
              context.runtime.log.warn('claim not deleted', { claim: keyOf(claim), error: String(error) }),
            )
          }
        })
      }
      const isLate = [...claims.values(), extended?.allocation].some((allocation) =>
        allocation?.devices?.results?.some(({ bindingConditions }) => bindingConditions?.length),
      )
      if (isLate) await untilReady(pod, names, context)
    },
    postBind({ uid }) {
      // The devices stay set aside until the server shows that the claims have them.
      plans.delete(uid)
    },
    requeueOn: [
      { on: ['node-added', 'node-labels', 'node-allocatable', 'device-class', 'resource-slice', 'own-claims'] },
      {
        on: ['resource-claim'],
        isWorth: ({ pod }, event) => {
          if (event.kind !== 'resource-claim') return false
          return helps(pod, event.object as unknown as ResourceClaim, event.old as unknown as ResourceClaim | undefined)
        },
      },
    ],
  })
}
