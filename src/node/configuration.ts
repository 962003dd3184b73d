/**
 * What a node is told about its pods' limits and its own upkeep: the fields of upstream's KubeletConfiguration
 * (kubelet.config.k8s.io/v1beta1) that this agent obeys, with upstream's defaults. Others are refused by name, not ignored. Pure.
 */
import { toNumber } from '../api/quantity.ts'

export type EvictionSignal =
  | 'memory.available'
  | 'nodefs.available'
  | 'nodefs.inodesFree'
  | 'imagefs.available'
  | 'imagefs.inodesFree'
  | 'pid.available'

/** As it is written, in a KubeletConfiguration. */
export interface KubeletConfiguration {
  readonly staticPodPath?: string
  readonly fileCheckFrequency?: string
  readonly maxPods?: number
  readonly podPidsLimit?: number
  readonly containerLogMaxSize?: string
  readonly containerLogMaxFiles?: number
  readonly containerLogMonitorInterval?: string
  readonly imageMinimumGCAge?: string
  readonly imageMaximumGCAge?: string
  readonly imageGCHighThresholdPercent?: number
  readonly imageGCLowThresholdPercent?: number
  readonly evictionHard?: Readonly<Record<string, string>>
  readonly evictionSoft?: Readonly<Record<string, string>>
  readonly evictionSoftGracePeriod?: Readonly<Record<string, string>>
  readonly evictionMinimumReclaim?: Readonly<Record<string, string>>
  readonly evictionPressureTransitionPeriod?: string
  readonly evictionMaxPodGracePeriod?: number
  readonly systemReserved?: Readonly<Record<string, string>>
  readonly kubeReserved?: Readonly<Record<string, string>>
  readonly reservedSystemCPUs?: string
  readonly cpuManagerPolicy?: 'none' | 'static'
  readonly shutdownGracePeriod?: string
  readonly shutdownGracePeriodCriticalPods?: string
  readonly allowedUnsafeSysctls?: readonly string[]
}

export const DEFAULT_EVICTION_HARD: Readonly<Record<EvictionSignal, string>> = {
  'memory.available': '100Mi',
  'nodefs.available': '10%',
  'nodefs.inodesFree': '5%',
  'imagefs.available': '15%',
  'imagefs.inodesFree': '5%',
  'pid.available': '0%',
}

const DEFAULTS = {
  staticPodPath: '',
  fileCheckFrequency: '20s',
  maxPods: 110,
  podPidsLimit: -1,
  containerLogMaxSize: '10Mi',
  containerLogMaxFiles: 5,
  containerLogMonitorInterval: '10s',
  imageMinimumGCAge: '2m0s',
  imageMaximumGCAge: '0s',
  imageGCHighThresholdPercent: 85,
  imageGCLowThresholdPercent: 80,
  evictionHard: DEFAULT_EVICTION_HARD as Readonly<Record<string, string>>,
  evictionSoft: {},
  evictionSoftGracePeriod: {},
  evictionMinimumReclaim: {},
  evictionPressureTransitionPeriod: '5m0s',
  evictionMaxPodGracePeriod: 0,
  systemReserved: {},
  kubeReserved: {},
  reservedSystemCPUs: '',
  cpuManagerPolicy: 'none',
  shutdownGracePeriod: '0s',
  shutdownGracePeriodCriticalPods: '0s',
  allowedUnsafeSysctls: [],
} satisfies Required<KubeletConfiguration>

export type NodeConfiguration = Required<KubeletConfiguration>

const UNITS_MS: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Milliseconds of a duration as Go writes it: "1m30s". */
export function durationMs(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)]
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) throw new Error(`time: invalid duration ${JSON.stringify(text)}`)
  return parts.reduce((sum, [, value, unit]) => sum + Number(value) * UNITS_MS[unit!]!, 0)
}

const DURATIONS = [
  'fileCheckFrequency',
  'containerLogMonitorInterval',
  'imageMinimumGCAge',
  'imageMaximumGCAge',
  'evictionPressureTransitionPeriod',
  'shutdownGracePeriod',
  'shutdownGracePeriodCriticalPods',
] as const

/** Throws when it says what this agent does not know, or what contradicts itself: in upstream's words where it checks the same. */
export function nodeConfiguration(given: KubeletConfiguration = {}): NodeConfiguration {
  for (const [name, value] of Object.entries(given)) {
    if (!(name in DEFAULTS))
      throw new Error(`unknown field ${JSON.stringify(name)}: this node obeys no such field of a KubeletConfiguration`)
    const fallback: unknown = DEFAULTS[name as keyof typeof DEFAULTS]
    if (typeof value !== typeof fallback || Array.isArray(value) !== Array.isArray(fallback)) throw new Error(`${name}: wrong type`)
  }
  const all: NodeConfiguration = { ...DEFAULTS, ...given, evictionHard: { ...(given.evictionHard ?? DEFAULTS.evictionHard) } }
  for (const name of DURATIONS) durationMs(all[name])
  const { imageGCHighThresholdPercent: high, imageGCLowThresholdPercent: low } = all
  if (high < 0 || high > 100)
    throw new Error(
      `invalid configuration: imageGCHighThresholdPercent (--image-gc-high-threshold) ${high} must be between 0 and 100, inclusive`,
    )
  if (low < 0 || low > 100)
    throw new Error(
      `invalid configuration: imageGCLowThresholdPercent (--image-gc-low-threshold) ${low} must be between 0 and 100, inclusive`,
    )
  if (low >= high)
    throw new Error(
      `invalid configuration: imageGCLowThresholdPercent (--image-gc-low-threshold) ${low} must be less than imageGCHighThresholdPercent (--image-gc-high-threshold) ${high}`,
    )
  if (all.containerLogMaxFiles < 2)
    throw new Error(`invalid configuration: containerLogMaxFiles must be greater than 1, got ${all.containerLogMaxFiles}`)
  if (toNumber(all.containerLogMaxSize) <= 0)
    throw new Error(`invalid configuration: containerLogMaxSize must be positive, got ${all.containerLogMaxSize}`)
  if (durationMs(all.shutdownGracePeriodCriticalPods) > durationMs(all.shutdownGracePeriod))
    throw new Error(
      `invalid configuration: shutdownGracePeriodCriticalPods ${all.shutdownGracePeriodCriticalPods} must be <= shutdownGracePeriod ${all.shutdownGracePeriod}`,
    )
  for (const thresholds of [all.evictionHard, all.evictionSoft])
    for (const [signal, value] of Object.entries(thresholds)) checkThreshold(signal, value)
  for (const signal of Object.keys(all.evictionSoft))
    if (!all.evictionSoftGracePeriod[signal]) throw new Error(`grace period must be specified for the soft eviction threshold ${signal}`)
  return all
}

function checkThreshold(signal: string, value: string): void {
  if (!(signal in DEFAULT_EVICTION_HARD)) throw new Error(`unsupported eviction signal ${signal}`)
  const percent = /^(-?[\d.]+)%$/.exec(value)?.[1]
  if (percent === undefined) toNumber(value)
  else if (Number(percent) < 0) throw new Error(`eviction percentage threshold ${signal} must be >= 0%: ${value}`)
  else if (Number(percent) > 100) throw new Error(`eviction percentage threshold ${signal} must be <= 100%: ${value}`)
}

/** The numbers of a list of CPUs as Linux writes it: "0-2,7". */
export function cpuSet(text: string): readonly number[] {
  const found = new Set<number>()
  for (const part of text.split(',').filter((one) => one !== '')) {
    const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(part.trim()) ?? []
    if (first === undefined || Number(last) < Number(first)) throw new Error(`${JSON.stringify(text)} is not a list of CPUs`)
    for (let cpu = Number(first); cpu <= Number(last); cpu++) found.add(cpu)
  }
  return [...found].toSorted((a, b) => a - b)
}
