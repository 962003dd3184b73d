/**
 * What the node and its pods use. Measured when somebody asks, and not before: an idle node costs nothing. CPU is averaged over the time
 * since the last measurement; when that is long ago, over a second that the first one to ask waits. Where nothing can be measured (a
 * simulated runtime) pods use what they declare by annotation, or else request.
 */
import type { Container, Pod } from '../api/generated/core/v1.ts'
import type { NodeUsage } from '../api/node-service.ts'
import { sleep } from '../base/clock.ts'
import type { Runtime } from '../base/runtime.ts'
import type { ContainerRuntime, ContainerUsage, ImageFsUsage, PodNetworkUsage } from './container-runtime.ts'
import type { Host, MachineUsage } from './host.ts'
import { CONTAINER_NAME_LABEL, POD_UID_LABEL } from './identity.ts'
import { isTerminalPhase } from './pod-phase.ts'
import { bytesOf, milliOf } from './quantities.ts'

/** By these a simulated pod says what each of its containers uses: "250m", "100Mi". */
const CPU_USAGE_ANNOTATION = 'proa.dev/cpu-usage'
const MEMORY_USAGE_ANNOTATION = 'proa.dev/memory-usage'

/** Whoever asks again so soon gets the same answer. */
const FRESH_MS = 5000
/** An older measurement says little about now. */
const OLD_MS = 120_000
const SHORT_WINDOW_MS = 1000
const NANO_PER_MILLI = 1e6

export interface Measurement {
  readonly atMs: number
  readonly machine: MachineUsage
  readonly imageFs: ImageFsUsage | undefined
  readonly networks: readonly PodNetworkUsage[]
  readonly containers: readonly ContainerUsage[]
  readonly windowMs: number
  /** By container id, and "" for the machine. */
  readonly cpuNanoCores: ReadonlyMap<string, number>
}

type Sample = Omit<Measurement, 'windowMs' | 'cpuNanoCores'>

export interface UsageMeter {
  /** Undefined where nothing can be measured. */
  measure(): Promise<Measurement | undefined>
  usage(): Promise<NodeUsage>
}

export interface UsageMeterOptions {
  readonly containers: Pick<ContainerRuntime, 'usage' | 'networkUsage' | 'imageFsUsage'>
  readonly host: Pick<Host, 'machineUsage'>
  /** Those of the node. */
  pods(): readonly Pod[]
}

export function createUsageMeter({ clock }: Pick<Runtime, 'clock'>, { containers, host, pods }: UsageMeterOptions): UsageMeter {
  let last: Sample | undefined
  let current: Measurement | undefined
  let running: Promise<Measurement> | undefined

  async function sample(machineUsage: () => Promise<MachineUsage>, usage: () => Promise<readonly ContainerUsage[]>): Promise<Sample> {
    const [machine, measured, networks, imageFs] = await Promise.all([
      machineUsage(),
      usage(),
      containers.networkUsage?.() ?? [],
      containers.imageFsUsage?.(),
    ])
    return { atMs: clock.now(), machine, containers: measured, networks, imageFs }
  }

  /** Others may wait for the same, so it does not end with the one who asked first. */
  async function take(next: () => Promise<Sample>): Promise<Measurement> {
    let before = last
    if (!before || clock.now() - before.atMs > OLD_MS) {
      before = await next()
      await sleep(clock, SHORT_WINDOW_MS)
    }
    last = await next()
    return (current = compared(before, last))
  }

  async function measure(): Promise<Measurement | undefined> {
    if (!containers.usage || !host.machineUsage) return undefined
    if (current && clock.now() - current.atMs < FRESH_MS) return current
    const next = () =>
      sample(
        () => host.machineUsage!(),
        () => containers.usage!(),
      )
    return (running ??= take(next).finally(() => (running = undefined)))
  }

  return {
    measure,
    async usage() {
      const measurement = await measure()
      return measurement ? measuredUsage(measurement, pods()) : declaredUsage(clock.now(), pods())
    },
  }
}

function compared(before: Sample, now: Sample): Measurement {
  const rate = (cpuBefore: number, cpuNow: number, ms: number) => (ms > 0 ? Math.max(0, Math.round(((cpuNow - cpuBefore) / ms) * 1000)) : 0)
  const known = new Map(before.containers.map((usage) => [usage.id, usage]))
  const cpuNanoCores = new Map<string, number>()
  cpuNanoCores.set('', rate(before.machine.cpuNanoseconds, now.machine.cpuNanoseconds, now.machine.atMs - before.machine.atMs))
  for (const { id, cpuNanoseconds, atMs } of now.containers) {
    const old = known.get(id)
    // One that was started meanwhile has used all of its time since.
    cpuNanoCores.set(id, rate(old?.cpuNanoseconds ?? 0, cpuNanoseconds, atMs - (old?.atMs ?? before.atMs)))
  }
  return { ...now, windowMs: now.atMs - before.atMs, cpuNanoCores }
}

function measuredUsage({ atMs, windowMs, machine, containers, cpuNanoCores }: Measurement, pods: readonly Pod[]): NodeUsage {
  const byUid = new Map(pods.map((pod) => [pod.metadata?.uid ?? '', pod]))
  const groups = Map.groupBy(containers, ({ labels }) => labels[POD_UID_LABEL] ?? '')
  return {
    atMs,
    windowMs,
    node: { cpuNanoCores: cpuNanoCores.get('') ?? 0, workingSetBytes: machine.workingSetBytes },
    pods: [...groups].flatMap(([uid, own]) => {
      const metadata = byUid.get(uid)?.metadata
      if (!metadata) return []
      return {
        namespace: metadata.namespace ?? '',
        name: metadata.name ?? '',
        containers: own.map(({ id, labels, workingSetBytes }) => ({
          name: labels[CONTAINER_NAME_LABEL] ?? '',
          cpuNanoCores: cpuNanoCores.get(id) ?? 0,
          workingSetBytes,
        })),
      }
    }),
  }
}

/** What a minute's average would show if pods used what they say. */
function declaredUsage(atMs: number, pods: readonly Pod[]): NodeUsage {
  const figures = pods
    .filter(({ status }) => status?.phase === 'Running' && !isTerminalPhase(status.phase))
    .map((pod) => ({
      namespace: pod.metadata?.namespace ?? '',
      name: pod.metadata?.name ?? '',
      containers: (pod.spec?.containers ?? []).map((container) => ({ name: container.name, ...declared(pod, container) })),
    }))
  const all = figures.flatMap(({ containers }) => containers)
  const total = (name: 'cpuNanoCores' | 'workingSetBytes') => all.reduce((sum, one) => sum + one[name], 0)
  return {
    atMs,
    windowMs: 60_000,
    node: { cpuNanoCores: total('cpuNanoCores'), workingSetBytes: total('workingSetBytes') },
    pods: figures,
  }
}

function declared({ metadata }: Pod, { resources }: Container): { readonly cpuNanoCores: number; readonly workingSetBytes: number } {
  const { [CPU_USAGE_ANNOTATION]: cpu, [MEMORY_USAGE_ANNOTATION]: memory } = metadata?.annotations ?? {}
  return {
    cpuNanoCores: milliOf(cpu ?? resources?.requests?.['cpu']) * NANO_PER_MILLI,
    workingSetBytes: bytesOf(memory ?? resources?.requests?.['memory']),
  }
}
