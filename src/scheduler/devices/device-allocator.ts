/**
 * Finds devices for claims on one node (KEP-4381 and those that extend it): claim by claim, request by request, device by device, going
 * back where the rest cannot be met. What is found is the first that fits in the order of pools, which is what makes drivers' order of
 * devices their preference. Upstream: dynamic-resource-allocation/structured.
 */
import type { Node, NodeSelector, NodeSelectorRequirement } from '../../api/generated/core/v1.ts'
import type {
  AllocationResult,
  CapacityRequirements,
  Device,
  DeviceAllocationConfiguration,
  DeviceAttribute,
  DeviceClass,
  DeviceConstraint,
  DeviceSelector,
  DeviceTaint,
  DeviceToleration,
  ResourceClaim,
} from '../../api/generated/resource/v1.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { parseQuantity } from '../../api/quantity.ts'
import { addCapacities, consume, formatCapacities } from './device-capacity.ts'
import type { Capacities } from './device-capacity.ts'
import { compileDeviceSelector } from './device-selector.ts'
import type { Pool, PoolDevice } from './device-pools.ts'

/** What all claims that are allocated hold. */
export interface AllocatedState {
  readonly devices: ReadonlySet<string>
  /** Of devices that are shared: what is used of each. */
  readonly shared: ReadonlyMap<string, Capacities>
}

/** Something is wrong with a claim or a class, so that it can be allocated on no node. */
export class AllocationError extends Error {}

/** A claim holds at most so many devices (resource/v1 AllocationResultsMaxSize). */
const MAXIMUM_DEVICES = 32
/** Stands for the name of a share, which is made when it is written. */
export const UNNAMED_SHARE = ''
/** Steps until the search is given up, in place of upstream's time limit: the same claims give the same answer on any machine. */
const MAXIMUM_STEPS = 1_000_000

interface Wanted {
  /** "request", or "request/subrequest". */
  readonly name: string
  readonly parent: string
  readonly class: DeviceClass
  readonly selectors: readonly DeviceSelector[]
  readonly isAll: boolean
  readonly count: number
  readonly isAdmin: boolean
  readonly tolerations: readonly DeviceToleration[]
  readonly capacity: CapacityRequirements | undefined
}

interface Taken {
  readonly wanted: Wanted
  readonly found: PoolDevice
  readonly consumed: Capacities | undefined
}

const NO_CAPACITIES: Capacities = new Map()
const claimKey = ({ metadata }: ResourceClaim): string => `${metadata?.namespace}/${metadata?.name}`

/** Each request's alternatives, in the order of preference; most have one. */
function wantedOf(claim: ResourceClaim, classOf: (name: string) => DeviceClass | undefined): readonly (readonly Wanted[])[] {
  return (claim.spec.devices?.requests ?? []).map((request) => {
    const { exactly, firstAvailable = [] } = request
    const alternatives = exactly
      ? [{ ...exactly, name: request.name }]
      : firstAvailable.map((sub) => ({ ...sub, name: `${request.name}/${sub.name}` }))
    return alternatives.map((one): Wanted => {
      const deviceClass = classOf(one.deviceClassName)
      if (!deviceClass)
        throw new AllocationError(`claim ${claimKey(claim)}, request ${one.name}: could not retrieve device class ${one.deviceClassName}`)
      return {
        name: one.name,
        parent: request.name,
        class: deviceClass,
        selectors: one.selectors ?? [],
        isAll: one.allocationMode === 'All',
        count: one.count ?? 1,
        isAdmin: 'adminAccess' in one && one.adminAccess === true,
        tolerations: one.tolerations ?? [],
        capacity: one.capacity,
      }
    })
  })
}

function tolerates({ effect, key, operator, value }: DeviceToleration, taint: DeviceTaint): boolean {
  if ((effect && effect !== taint.effect) || (key && key !== taint.key)) return false
  return operator === 'Exists' || ((operator ?? 'Equal') === 'Equal' && (value ?? '') === (taint.value ?? ''))
}

const isTainted = ({ taints = [] }: Device, tolerations: readonly DeviceToleration[]): boolean =>
  taints.some(
    (taint) =>
      (taint.effect === 'NoSchedule' || taint.effect === 'NoExecute') && !tolerations.some((toleration) => tolerates(toleration, taint)),
  )

/** The attribute by its full name; a driver's own may be written without its domain. */
function attributeOf({ device, slice }: PoolDevice, name: string): DeviceAttribute | undefined {
  const slash = name.indexOf('/')
  return device.attributes?.[name] ?? (name.slice(0, slash) === slice.spec.driver ? device.attributes?.[name.slice(slash + 1)] : undefined)
}

function meets(constraint: DeviceConstraint, taken: readonly Taken[], next: Taken): boolean {
  const { requests = [], matchAttribute, distinctAttribute } = constraint
  const applies = ({ wanted }: Taken) => requests.length === 0 || requests.includes(wanted.parent) || requests.includes(wanted.name)
  if (!applies(next)) return true
  const name = matchAttribute ?? distinctAttribute
  if (name === undefined) throw new AllocationError('empty constraint (unsupported constraint type?)')
  const value = attributeOf(next.found, name)
  if (value === undefined) return false
  return taken.filter(applies).every(({ found }) => deepEqual(attributeOf(found, name), value) === (matchAttribute !== undefined))
}

export interface AllocatorOptions {
  readonly state: AllocatedState
  readonly classOf: (name: string) => DeviceClass | undefined
}

/** A result for each claim, or undefined when the node has not what they want. Throws an AllocationError. */
export function allocateDevices(
  claims: readonly ResourceClaim[],
  node: Node,
  pools: readonly Pool[],
  { state, classOf }: AllocatorOptions,
): readonly AllocationResult[] | undefined {
  const wanted = claims.map((claim) => wantedOf(claim, classOf))
  const taken: Taken[][] = claims.map(() => [])
  const inUse = new Map<string, Set<number>>()
  const shared = new Map<string, Map<string, bigint>>()
  const counters = new Map<string, bigint>()
  const matching = new Map<Wanted, Map<string, boolean>>()
  let steps = 0

  function isSelected(claim: ResourceClaim, request: Wanted, { id, device, slice }: PoolDevice): boolean {
    let known = matching.get(request)
    if (!known) matching.set(request, (known = new Map()))
    const before = known.get(id)
    if (before !== undefined) return before
    const lists = [
      [`class ${request.class.metadata?.name}`, request.class.spec.selectors ?? []],
      [`claim ${claimKey(claim)}`, request.selectors],
    ] as const
    const matches = lists.every(([owner, selectors]) =>
      selectors.every(({ cel }, i) => {
        const verdict = compileDeviceSelector(cel?.expression ?? '')(slice.spec.driver, device)
        if (typeof verdict === 'object') throw new AllocationError(`${owner}: selector #${i}: ${verdict.error}`)
        return verdict
      }),
    )
    known.set(id, matches)
    return matches
  }

  /** Of each counter of the pool what is left for the device; `undefined` names none. */
  function hasCounters({ device, pool }: PoolDevice): boolean {
    for (const { counterSet, counters: wantedCounters } of device.consumesCounters ?? []) {
      const set = pool.counterSets.find(({ name }) => name === counterSet)
      for (const [name, { value }] of Object.entries(wantedCounters)) {
        let left = parseQuantity(set?.counters[name]?.value ?? '0').nano - (counters.get(counterKey(pool, counterSet, name)) ?? 0n)
        for (const other of pool.everywhere)
          if (state.devices.has(other.id) || state.shared.has(other.id)) left -= counterAmount(other.device, counterSet, name)
        if (left < parseQuantity(value).nano) return false
      }
    }
    return true
  }

  function useCounters({ device, pool }: PoolDevice, sign: 1n | -1n): void {
    for (const { counterSet, counters: used } of device.consumesCounters ?? [])
      for (const [name, { value }] of Object.entries(used)) {
        const key = counterKey(pool, counterSet, name)
        counters.set(key, (counters.get(key) ?? 0n) + sign * parseQuantity(value).nano)
      }
  }

  /** Takes the device for the request; undefined when it cannot be had, else what gives it back. */
  function take(index: number, request: Wanted, found: PoolDevice): (() => void) | undefined {
    const { id, device } = found
    const isShared = device.allowMultipleAllocations === true
    const holders = inUse.get(id)
    if (request.isAdmin ? !isShared && holders?.has(index) : state.devices.has(id) || (holders?.size ?? 0) > 0) return undefined
    if (isTainted(device, request.tolerations)) return undefined
    const usedHere = shared.get(id)
    const usesCounters = !(isShared && (state.shared.has(id) || usedHere !== undefined))
    if (usesCounters && !hasCounters(found)) return undefined
    const used = new Map(state.shared.get(id) ?? NO_CAPACITIES)
    if (usedHere) addCapacities(used, usedHere, 1n)
    const consumed = consume(device, request.capacity, used)
    if (!consumed) return undefined
    const next: Taken = { wanted: request, found, consumed: isShared ? consumed : undefined }
    for (const constraint of claims[index]!.spec.devices?.constraints ?? []) if (!meets(constraint, taken[index]!, next)) return undefined

    taken[index]!.push(next)
    if (usesCounters) useCounters(found, 1n)
    if (isShared) {
      const sums = usedHere ?? new Map<string, bigint>()
      shared.set(id, sums)
      addCapacities(sums, consumed, 1n)
    } else inUse.set(id, new Set([...(holders ?? []), index]))
    return () => {
      taken[index]!.pop()
      if (usesCounters) useCounters(found, -1n)
      if (isShared) {
        addCapacities(shared.get(id)!, consumed, -1n)
        if (!usedHere) shared.delete(id)
      } else inUse.get(id)!.delete(index)
    }
  }

  const usable = pools.filter(({ isIncomplete, isInvalid }) => !isIncomplete && !isInvalid).flatMap(({ devices }) => devices)

  function allOf(claim: ResourceClaim, request: Wanted): readonly PoolDevice[] {
    for (const pool of pools) {
      const why = pool.isIncomplete ? 'currently being updated' : pool.isInvalid ? 'currently invalid' : undefined
      if (why)
        throw new AllocationError(
          `claim ${claimKey(claim)}, request ${request.name}: asks for all devices, but resource pool ${pool.driver}/${pool.name} is ${why}`,
        )
    }
    return usable.filter((found) => isSelected(claim, request, found))
  }

  /** Meets the requests from this one on. */
  function meetFrom(index: number, requestIndex: number): boolean {
    if (index === claims.length) return true
    const requests = wanted[index]!
    if (requestIndex === requests.length) return meetFrom(index + 1, 0)
    return requests[requestIndex]!.some((request) => {
      const all = request.isAll ? allOf(claims[index]!, request) : undefined
      if (all?.length === 0) return false
      const count = all ? all.length : request.count
      if (taken[index]!.length + count > MAXIMUM_DEVICES) return false
      return takeMany(index, requestIndex, request, { left: count, from: 0, all })
    })
  }

  function takeMany(
    index: number,
    requestIndex: number,
    request: Wanted,
    { left, from, all }: { readonly left: number; readonly from: number; readonly all: readonly PoolDevice[] | undefined },
  ): boolean {
    if (++steps > MAXIMUM_STEPS) throw new AllocationError(`node ${node.metadata?.name}: gave up trying to allocate devices`)
    if (left === 0) return meetFrom(index, requestIndex + 1)
    const candidates = all ?? usable
    for (let i = from; i < candidates.length; i++) {
      const found = candidates[i]!
      if (!all && !isSelected(claims[index]!, request, found)) continue
      const giveBack = take(index, request, found)
      if (giveBack) {
        if (takeMany(index, requestIndex, request, { left: left - 1, from: i + 1, all })) return true
        giveBack()
      }
      // All means every one of them.
      if (all) return false
    }
    return false
  }

  if (!meetFrom(0, 0)) return undefined
  return claims.map((claim, i) => resultOf(claim, taken[i]!, node))
}

const counterKey = (pool: Pool, set: string, name: string): string => `${pool.driver}/${pool.name}/${set}/${name}`

const counterAmount = ({ consumesCounters = [] }: Device, set: string, name: string): bigint =>
  consumesCounters.reduce((sum, { counterSet, counters }) => {
    const counter = counterSet === set ? counters[name] : undefined
    return counter ? sum + parseQuantity(counter.value).nano : sum
  }, 0n)

function resultOf(claim: ResourceClaim, taken: readonly Taken[], node: Node): AllocationResult {
  const config = configOf(claim, taken)
  const nodeSelector = nodeSelectorOf(taken, node)
  return {
    devices: {
      results: taken.map(({ wanted, found: { device, slice }, consumed }) => ({
        request: wanted.name,
        driver: slice.spec.driver,
        pool: slice.spec.pool.name,
        device: device.name,
        ...(wanted.isAdmin ? { adminAccess: true } : {}),
        ...(wanted.tolerations.length > 0 ? { tolerations: wanted.tolerations } : {}),
        ...(device.bindingConditions ? { bindingConditions: device.bindingConditions } : {}),
        ...(device.bindingFailureConditions ? { bindingFailureConditions: device.bindingFailureConditions } : {}),
        ...(consumed ? { shareID: UNNAMED_SHARE } : {}),
        ...(consumed && consumed.size > 0 ? { consumedCapacity: formatCapacities(device, consumed) } : {}),
      })),
      ...(config.length > 0 ? { config } : {}),
    },
    ...(nodeSelector ? { nodeSelector } : {}),
  }
}

/** What drivers are to be told: first by classes, then by the claim itself. */
function configOf(claim: ResourceClaim, taken: readonly Taken[]): readonly DeviceAllocationConfiguration[] {
  const names = new Map<DeviceClass, Set<string>>()
  for (const { wanted } of taken) names.set(wanted.class, (names.get(wanted.class) ?? new Set<string>()).add(wanted.name))
  const ofClasses = [...names].flatMap(([{ spec }, requests]) =>
    (spec.config ?? []).map((config) => ({ source: 'FromClass', requests: [...requests], ...config })),
  )
  const isMeant = (requests: readonly string[]) =>
    requests.length === 0 || taken.some(({ wanted }) => requests.includes(wanted.parent) || requests.includes(wanted.name))
  const ofClaim = (claim.spec.devices?.config ?? [])
    .filter(({ requests = [] }) => isMeant(requests))
    .map((config) => ({ source: 'FromClaim', ...config }))
  return [...ofClasses, ...ofClaim]
}

/** Where the devices can be used from; undefined: everywhere. */
function nodeSelectorOf(taken: readonly Taken[], node: Node): NodeSelector | undefined {
  const matchExpressions: NodeSelectorRequirement[] = []
  const matchFields: NodeSelectorRequirement[] = []
  const add = (list: NodeSelectorRequirement[], more: readonly NodeSelectorRequirement[] = []) => {
    for (const one of more) if (!list.some((known) => deepEqual(known, one))) list.push(one)
  }
  for (const { found } of taken) {
    const { device, slice } = found
    const place = slice.spec.perDeviceNodeSelection ? device : slice.spec
    if (place.nodeName !== undefined || device.bindsToNode)
      return { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node.metadata?.name ?? ''] }] }] }
    const term = place.nodeSelector?.nodeSelectorTerms[0]
    add(matchFields, term?.matchFields)
    add(matchExpressions, term?.matchExpressions)
  }
  if (matchExpressions.length + matchFields.length === 0) return undefined
  return {
    nodeSelectorTerms: [
      { ...(matchExpressions.length > 0 ? { matchExpressions } : {}), ...(matchFields.length > 0 ? { matchFields } : {}) },
    ],
  }
}
