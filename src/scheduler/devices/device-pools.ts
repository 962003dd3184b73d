/** The devices that a node can use, pool by pool, as drivers publish them in ResourceSlices (KEP-4381, KEP-4815). */
import type { Node, NodeSelector } from '../../api/generated/core/v1.ts'
import type { CounterSet, Device, ResourceSlice } from '../../api/generated/resource/v1.ts'
import { matchesNodeSelector } from '../../api/node-selector.ts'

/** A device of a slice. Two are the same when `id` is. */
export interface PoolDevice {
  readonly id: string
  readonly device: Device
  readonly slice: ResourceSlice
  readonly pool: Pool
}

export interface Pool {
  readonly driver: string
  readonly name: string
  /** Slices of the newest generation are still missing: nothing can be had of it. */
  readonly isIncomplete: boolean
  readonly isInvalid: boolean
  /** Those that the node can use, in the order of slices' names. */
  readonly devices: readonly PoolDevice[]
  /** All of the pool, wherever they are: they use up the same counters. */
  readonly everywhere: readonly PoolDevice[]
  readonly counterSets: readonly CounterSet[]
}

export const deviceId = (driver: string, pool: string, device: string): string => `${driver}/${pool}/${device}`

interface Place {
  readonly nodeName?: string | undefined
  readonly allNodes?: boolean | undefined
  readonly nodeSelector?: NodeSelector | undefined
}

function isAt({ nodeName, allNodes, nodeSelector }: Place, node: Node): boolean {
  if (nodeName) return node.metadata?.name === nodeName
  return allNodes === true || (nodeSelector !== undefined && matchesNodeSelector(nodeSelector, node))
}

const isUsable = ({ spec }: ResourceSlice, device: Device, node: Node): boolean => isAt(spec.perDeviceNodeSelection ? device : spec, node)

function hasDuplicates(names: readonly string[]): boolean {
  return new Set(names).size < names.length
}

/** Do devices use up only counters that there are? */
function haveCounters(devices: readonly PoolDevice[], sets: readonly CounterSet[]): boolean {
  const known = new Map(sets.map(({ name, counters }) => [name, counters]))
  return devices.every(({ device }) =>
    (device.consumesCounters ?? []).every(({ counterSet, counters }) =>
      Object.keys(counters).every((name) => known.get(counterSet)?.[name] !== undefined),
    ),
  )
}

const compareTexts = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

function poolOf(driver: string, name: string, all: readonly ResourceSlice[], node: Node): Pool | undefined {
  const newest = Math.max(...all.map(({ spec }) => spec.pool.generation))
  const slices = all
    .filter(({ spec }) => spec.pool.generation === newest)
    .toSorted((a, b) => compareTexts(a.metadata?.name ?? '', b.metadata?.name ?? ''))
  const isIncomplete = slices.length !== slices[0]!.spec.pool.resourceSliceCount
  const pool: Pool & { everywhere: PoolDevice[]; devices: PoolDevice[]; isInvalid: boolean } = {
    driver,
    name,
    isIncomplete,
    isInvalid: false,
    devices: [],
    everywhere: [],
    counterSets: slices.flatMap(({ spec }) => spec.sharedCounters ?? []),
  }
  for (const slice of slices) {
    for (const device of slice.spec.devices ?? []) {
      const found = { id: deviceId(driver, name, device.name), device, slice, pool }
      pool.everywhere.push(found)
      if (isUsable(slice, device, node)) pool.devices.push(found)
    }
  }
  if (pool.devices.length === 0) return undefined
  pool.isInvalid =
    hasDuplicates(pool.devices.map(({ id }) => id)) ||
    hasDuplicates(pool.counterSets.map((set) => set.name)) ||
    !haveCounters(pool.everywhere, pool.counterSets)
  return pool
}

const bindsLate = ({ devices }: Pool): boolean => devices.some(({ device }) => device.bindingConditions !== undefined)

/** Slices by pool, made once for all nodes. */
export type SlicesByPool = ReadonlyMap<string, readonly ResourceSlice[]>

export function groupSlices(slices: Iterable<ResourceSlice>): SlicesByPool {
  const byPool = new Map<string, ResourceSlice[]>()
  for (const slice of slices) {
    const key = `${slice.spec.driver}/${slice.spec.pool.name}`
    const known = byPool.get(key)
    if (known) known.push(slice)
    else byPool.set(key, [slice])
  }
  return byPool
}

/** The pools that have something for the node: in the order of drivers and names, those that take time to bind last. */
export function poolsOf(byPool: SlicesByPool, node: Node): readonly Pool[] {
  const pools: Pool[] = []
  for (const slices of byPool.values()) {
    const { driver, pool } = slices[0]!.spec
    const found = poolOf(driver, pool.name, slices, node)
    if (found) pools.push(found)
  }
  pools.sort((a, b) => compareTexts(a.driver, b.driver) || compareTexts(a.name, b.name))
  return [...pools.filter((pool) => !bindsLate(pool)), ...pools.filter(bindsLate)]
}
