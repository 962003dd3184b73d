/**
 * When a node is under pressure: thresholds of what must stay available, hard ones that count at once and soft ones with a grace period
 * (pkg/kubelet/eviction). Pure: the state of one look is the input of the next.
 */
import { quantityOf, toNumber } from '../../api/quantity.ts'
import { durationMs, type EvictionSignal, type NodeConfiguration } from '../configuration.ts'
import type { MachineUsage } from '../host.ts'

export type Pressure = 'MemoryPressure' | 'DiskPressure' | 'PIDPressure'
export type StarvedResource = 'memory' | 'ephemeral-storage' | 'inodes' | 'pids'

export interface Threshold {
  readonly signal: EvictionSignal
  /** A quantity, or a percentage of the capacity. */
  readonly value: string
  readonly isHard: boolean
  readonly graceMs: number
  /** How much more than the value must be available again. */
  readonly minReclaim: string | undefined
}

export interface Observation {
  readonly available: number
  readonly capacity: number
}
export type Observations = ReadonlyMap<EvictionSignal, Observation>

export const CONDITION_OF: Readonly<Record<EvictionSignal, Pressure>> = {
  'memory.available': 'MemoryPressure',
  'nodefs.available': 'DiskPressure',
  'nodefs.inodesFree': 'DiskPressure',
  'imagefs.available': 'DiskPressure',
  'imagefs.inodesFree': 'DiskPressure',
  'pid.available': 'PIDPressure',
}

export const RESOURCE_OF: Readonly<Record<EvictionSignal, StarvedResource>> = {
  'memory.available': 'memory',
  'nodefs.available': 'ephemeral-storage',
  'nodefs.inodesFree': 'inodes',
  'imagefs.available': 'ephemeral-storage',
  'imagefs.inodesFree': 'inodes',
  'pid.available': 'pids',
}

/** A threshold of nothing is none. */
const isNone = (value: string): boolean => value === '0' || value === '0%'

export function thresholdsOf(configuration: NodeConfiguration): readonly Threshold[] {
  const of = (values: Readonly<Record<string, string>>, isHard: boolean): readonly Threshold[] =>
    Object.entries(values)
      .filter(([, value]) => !isNone(value))
      .map(([signal, value]) => ({
        signal: signal as EvictionSignal,
        value,
        isHard,
        graceMs: isHard ? 0 : durationMs(configuration.evictionSoftGracePeriod[signal]!),
        minReclaim: configuration.evictionMinimumReclaim[signal],
      }))
  return [...of(configuration.evictionHard, true), ...of(configuration.evictionSoft, false)]
}

/** Images lie on the file system of the node's own directory. */
export function observationsOf({ availableBytes, workingSetBytes, nodeFs, processes }: MachineUsage): Observations {
  const bytes = { available: nodeFs.availableBytes, capacity: nodeFs.capacityBytes }
  const inodes = { available: nodeFs.inodesFree, capacity: nodeFs.inodes }
  return new Map([
    ['memory.available', { available: availableBytes, capacity: availableBytes + workingSetBytes }],
    ['nodefs.available', bytes],
    ['nodefs.inodesFree', inodes],
    ['imagefs.available', bytes],
    ['imagefs.inodesFree', inodes],
    ['pid.available', { available: processes.max - processes.current, capacity: processes.max }],
  ])
}

export function quantityAt(value: string, capacity: number): number {
  const percent = /^(.*)%$/.exec(value)?.[1]
  return percent === undefined ? toNumber(value) : Math.floor((capacity * Number(percent)) / 100)
}

export function isMet({ signal, value, minReclaim }: Threshold, observations: Observations, withReclaim: boolean): boolean {
  const seen = observations.get(signal)
  if (!seen) return false
  const wanted = quantityAt(value, seen.capacity) + (withReclaim && minReclaim ? quantityAt(minReclaim, seen.capacity) : 0)
  return wanted > seen.available
}

export interface PressureState {
  /** When each threshold was first met without a break. */
  readonly since: ReadonlyMap<Threshold, number>
  readonly lastSeen: ReadonlyMap<Pressure, number>
  /** Those whose grace is over. */
  readonly due: readonly Threshold[]
  /** What the node tells: a condition stays for the transition period, so that it does not flap. */
  readonly conditions: readonly Pressure[]
}

export const CALM: PressureState = { since: new Map(), lastSeen: new Map(), due: [], conditions: [] }

export function nextPressure(
  before: PressureState,
  thresholds: readonly Threshold[],
  observations: Observations,
  nowMs: number,
  transitionMs: number,
): PressureState {
  const met = thresholds.filter(
    (threshold) => isMet(threshold, observations, false) || (before.due.includes(threshold) && isMet(threshold, observations, true)),
  )
  const since = new Map(met.map((threshold) => [threshold, before.since.get(threshold) ?? nowMs]))
  const lastSeen = new Map(before.lastSeen)
  for (const { signal } of met) lastSeen.set(CONDITION_OF[signal], nowMs)
  for (const [condition, atMs] of lastSeen) if (nowMs - atMs >= transitionMs && atMs !== nowMs) lastSeen.delete(condition)
  return {
    since,
    lastSeen,
    due: met.filter((threshold) => nowMs - since.get(threshold)! >= threshold.graceMs),
    conditions: [...lastSeen.keys()],
  }
}

/** Memory first, as upstream. */
export const mostUrgent = (due: readonly Threshold[]): Threshold | undefined =>
  due.find(({ signal }) => signal === 'memory.available') ?? due[0]

/** A number of bytes as messages write it: "1536Ki", "2Gi"; other numbers as they are. */
export const amount = (value: number, resource: StarvedResource): string =>
  quantityOf(Math.round(value), resource === 'inodes' || resource === 'pids' ? 'DecimalSI' : 'BinarySI')
