/**
 * What the node, its pods and their containers use, in upstream's two forms: the summary (k8s.io/kubelet/pkg/apis/stats/v1alpha1) and
 * the metrics of /metrics/resource, which metrics servers read. CPU is counted since the start; rates are the reader's business.
 */
import { readFile } from 'node:fs/promises'
import type { Pod } from '../../api/generated/core/v1.ts'
import type { ContainerUsage } from '../container-runtime.ts'
import { CONTAINER_NAME_LABEL, POD_NAME_LABEL, POD_NAMESPACE_LABEL, POD_UID_LABEL } from '../identity.ts'

export interface Usage {
  readonly atMs: number
  readonly cpuNanoseconds: number
  readonly workingSetBytes: number
}

/** The kernel counts CPU time for user space in hundredths of a second (USER_HZ), whatever its own clock. */
const NANOSECONDS_PER_TICK = 10_000_000
const PROC_STAT_IDLE = [3, 4]
/** user, nice, system, idle, iowait, irq, softirq, steal; guests are counted in user already. */
const PROC_STAT_FIELDS = 8

/** Of the whole machine: nodes that share one all tell the same. */
export async function machineUsage(): Promise<Usage> {
  const [stat, memory] = await Promise.all([readFile('/proc/stat', 'utf8'), readFile('/proc/meminfo', 'utf8')])
  const ticks = /^cpu +(.*)$/m.exec(stat)?.[1]?.split(' ').slice(0, PROC_STAT_FIELDS).map(Number) ?? []
  const busy = ticks.reduce((sum, value, i) => (PROC_STAT_IDLE.includes(i) ? sum : sum + value), 0)
  const bytesOf = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(memory)?.[1] ?? 0) * 1024
  return { atMs: Date.now(), cpuNanoseconds: busy * NANOSECONDS_PER_TICK, workingSetBytes: bytesOf('MemTotal') - bytesOf('MemAvailable') }
}

interface Measured {
  readonly cpu: { readonly time: string; readonly usageCoreNanoSeconds: number }
  readonly memory: { readonly time: string; readonly workingSetBytes: number }
}

interface ContainerStats extends Measured {
  readonly name: string
  readonly startTime: string | null
}

export interface Summary {
  readonly node: Measured & { readonly nodeName: string }
  readonly pods: readonly (Measured & {
    readonly podRef: { readonly name: string; readonly namespace: string; readonly uid: string }
    readonly startTime: string | null
    readonly containers: readonly ContainerStats[]
  })[]
}

function measured({ atMs, cpuNanoseconds, workingSetBytes }: Usage): Measured {
  const time = new Date(atMs).toISOString()
  return { cpu: { time, usageCoreNanoSeconds: cpuNanoseconds }, memory: { time, workingSetBytes } }
}

/** A pod's usage is that of its containers together. */
export function summarize(nodeName: string, machine: Usage, pods: readonly Pod[], usages: readonly ContainerUsage[]): Summary {
  const byUid = new Map(pods.map((pod) => [pod.metadata?.uid, pod]))
  const groups = Map.groupBy(usages, ({ labels }) => labels[POD_UID_LABEL] ?? '')
  const stats = [...groups].flatMap(([uid, containers]) => {
    const { labels } = containers[0]!
    const pod = byUid.get(uid)
    if (!pod) return []
    const total: Usage = {
      atMs: Math.max(...containers.map(({ atMs }) => atMs)),
      cpuNanoseconds: containers.reduce((sum, { cpuNanoseconds }) => sum + cpuNanoseconds, 0),
      workingSetBytes: containers.reduce((sum, { workingSetBytes }) => sum + workingSetBytes, 0),
    }
    return {
      podRef: { name: labels[POD_NAME_LABEL] ?? '', namespace: labels[POD_NAMESPACE_LABEL] ?? '', uid },
      startTime: pod.status?.startTime ?? null,
      ...measured(total),
      containers: containers.map((usage) => {
        const name = usage.labels[CONTAINER_NAME_LABEL] ?? ''
        return { name, startTime: startOf(pod, name), ...measured(usage) }
      }),
    }
  })
  return { node: { nodeName, ...measured(machine) }, pods: stats }
}

function startOf({ status }: Pod, name: string): string | null {
  const lists = [status?.containerStatuses, status?.initContainerStatuses, status?.ephemeralContainerStatuses]
  const found = lists.flatMap((list) => list ?? []).find((one) => one.name === name)
  return found?.state?.running?.startedAt ?? null
}

type Labels = Readonly<Record<string, string>>
type Sample = readonly [labels: Labels, value: number, time: string | undefined]

/** The text format of Prometheus, labels by name as Go's client writes them. */
export function resourceMetrics({ node, pods }: Summary): string {
  const containers = pods.flatMap(({ podRef, containers: own }) =>
    own.map((one) => ({ ...one, labels: { container: one.name, namespace: podRef.namespace, pod: podRef.name } })),
  )
  const podLabels = ({ podRef }: Summary['pods'][number]): Labels => ({ namespace: podRef.namespace, pod: podRef.name })
  const cpu = (labels: Labels, { cpu: { time, usageCoreNanoSeconds } }: Measured): Sample => [labels, usageCoreNanoSeconds / 1e9, time]
  const memory = (labels: Labels, { memory: { time, workingSetBytes } }: Measured): Sample => [labels, workingSetBytes, time]
  const started = containers.flatMap(({ labels, startTime }): Sample[] =>
    startTime === null ? [] : [[labels, Date.parse(startTime) / 1000, undefined]],
  )
  return [
    family(
      'container_cpu_usage_seconds_total',
      'counter',
      'Cumulative cpu time consumed by the container in core-seconds',
      containers.map((one) => cpu(one.labels, one)),
    ),
    family(
      'container_memory_working_set_bytes',
      'gauge',
      'Current working set of the container in bytes',
      containers.map((one) => memory(one.labels, one)),
    ),
    family('container_start_time_seconds', 'gauge', 'Start time of the container since unix epoch in seconds', started),
    family('node_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the node in core-seconds', [cpu({}, node)]),
    family('node_memory_working_set_bytes', 'gauge', 'Current working set of the node in bytes', [memory({}, node)]),
    family(
      'pod_cpu_usage_seconds_total',
      'counter',
      'Cumulative cpu time consumed by the pod in core-seconds',
      pods.map((pod) => cpu(podLabels(pod), pod)),
    ),
    family(
      'pod_memory_working_set_bytes',
      'gauge',
      'Current working set of the pod in bytes',
      pods.map((pod) => memory(podLabels(pod), pod)),
    ),
    family('resource_scrape_error', 'gauge', '1 if there was an error while getting container metrics, 0 otherwise', [[{}, 0, undefined]]),
  ].join('')
}

function family(name: string, type: 'counter' | 'gauge', help: string, samples: readonly Sample[]): string {
  if (samples.length === 0) return ''
  const lines = samples.map(([labels, value, time]) => {
    const inner = Object.entries(labels).map(([label, text]) => `${label}=${JSON.stringify(text)}`)
    return `${name}${inner.length > 0 ? `{${inner.join(',')}}` : ''} ${value}${time === undefined ? '' : ` ${Date.parse(time)}`}\n`
  })
  return `# HELP ${name} [STABLE] ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}
