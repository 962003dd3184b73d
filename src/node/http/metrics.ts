/**
 * The node's metrics in the text format of Prometheus: /metrics (the agent itself), /metrics/resource (what metrics servers read),
 * /metrics/cadvisor (the names that dashboards know) and /metrics/probes. Names, labels and stability are upstream's.
 */
import type { Pod } from '../../api/generated/core/v1.ts'
import type { ContainerUsage } from '../container-runtime.ts'
import { COUNTERS, type Counters, type MetricLabels } from '../counters.ts'
import { CONTAINER_NAME_LABEL, POD_NAME_LABEL, POD_NAMESPACE_LABEL } from '../identity.ts'
import type { ContainerStats, PodStats, Summary } from '../summary.ts'
import type { Measurement } from '../usage.ts'

/** Without a time it is of now. */
type Sample = readonly [labels: MetricLabels, value: number, timeMs?: number]

function family(name: string, type: 'counter' | 'gauge', help: string, samples: readonly Sample[]): string {
  if (samples.length === 0) return ''
  const lines = samples.map(([labels, value, timeMs]) => {
    const inner = Object.entries(labels).map(([label, text]) => `${label}=${JSON.stringify(text)}`)
    return `${name}${inner.length > 0 ? `{${inner.join(',')}}` : ''} ${value}${timeMs === undefined ? '' : ` ${timeMs}`}\n`
  })
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

type Measured = Pick<PodStats, 'cpu' | 'memory'>
const cpuSample = (labels: MetricLabels, { cpu }: Measured): Sample => [labels, cpu.usageCoreNanoSeconds / 1e9, Date.parse(cpu.time)]
const memorySample = (labels: MetricLabels, { memory }: Measured): Sample => [labels, memory.workingSetBytes, Date.parse(memory.time)]
const podLabels = ({ podRef }: PodStats): MetricLabels => ({ namespace: podRef.namespace, pod: podRef.name })

export function resourceMetrics({ node, pods }: Summary): string {
  const containers: readonly (readonly [MetricLabels, ContainerStats])[] = pods.flatMap((pod) =>
    pod.containers.map((container) => [{ container: container.name, ...podLabels(pod) }, container] as const),
  )
  const started = containers.flatMap(([labels, { startTime }]): Sample[] =>
    startTime === null ? [] : [[labels, Date.parse(startTime) / 1000]],
  )
  const rows: readonly (readonly [string, 'counter' | 'gauge', string, readonly Sample[]])[] = [
    [
      'container_cpu_usage_seconds_total',
      'counter',
      'Cumulative cpu time consumed by the container in core-seconds',
      containers.map(([labels, one]) => cpuSample(labels, one)),
    ],
    [
      'container_memory_working_set_bytes',
      'gauge',
      'Current working set of the container in bytes',
      containers.map(([labels, one]) => memorySample(labels, one)),
    ],
    ['container_start_time_seconds', 'gauge', 'Start time of the container since unix epoch in seconds', started],
    ['node_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the node in core-seconds', [cpuSample({}, node)]],
    ['node_memory_working_set_bytes', 'gauge', 'Current working set of the node in bytes', [memorySample({}, node)]],
    [
      'pod_cpu_usage_seconds_total',
      'counter',
      'Cumulative cpu time consumed by the pod in core-seconds',
      pods.map((pod) => cpuSample(podLabels(pod), pod)),
    ],
    [
      'pod_memory_working_set_bytes',
      'gauge',
      'Current working set of the pod in bytes',
      pods.map((pod) => memorySample(podLabels(pod), pod)),
    ],
    ['resource_scrape_error', 'gauge', '1 if there was an error while getting container metrics, 0 otherwise', [[{}, 0]]],
  ]
  return rows.map(([name, type, help, samples]) => family(name, type, `[STABLE] ${help}`, samples)).join('')
}

export function cadvisorMetrics(
  { containers, networks, machine }: Measurement,
  pods: readonly Pod[],
  cpuCount: number,
  memoryBytes: number,
): string {
  const images = new Map(
    pods.flatMap(({ status }) =>
      (status?.containerStatuses ?? []).map((one) => [one.containerID?.replace(/^.*:\/\//, '') ?? '', one.image] as const),
    ),
  )
  const labelsOf = ({ id, labels }: ContainerUsage, more: MetricLabels = {}): MetricLabels => ({
    container: labels[CONTAINER_NAME_LABEL] ?? '',
    ...more,
    id: `/${id}`,
    image: images.get(id) ?? '',
    name: id,
    namespace: labels[POD_NAMESPACE_LABEL] ?? '',
    pod: labels[POD_NAME_LABEL] ?? '',
  })
  const each = (of: (usage: ContainerUsage) => number | undefined, more?: MetricLabels): readonly Sample[] =>
    containers.map((usage) => [labelsOf(usage, more), of(usage) ?? 0, usage.atMs])
  const net = (of: 'rxBytes' | 'rxErrors' | 'txBytes' | 'txErrors'): readonly Sample[] =>
    networks.flatMap(({ labels, interfaces }) =>
      interfaces.map((one): Sample => {
        const pod = { namespace: labels[POD_NAMESPACE_LABEL] ?? '', pod: labels[POD_NAME_LABEL] ?? '' }
        return [{ container: '', image: '', interface: one.name, ...pod }, one[of]]
      }),
    )
  return [
    family(
      'container_cpu_usage_seconds_total',
      'counter',
      'Cumulative cpu time consumed in seconds.',
      each((usage) => usage.cpuNanoseconds / 1e9, { cpu: 'total' }),
    ),
    family(
      'container_memory_working_set_bytes',
      'gauge',
      'Current working set in bytes.',
      each((usage) => usage.workingSetBytes),
    ),
    family(
      'container_memory_usage_bytes',
      'gauge',
      'Current memory usage in bytes, including all memory regardless of when it was accessed',
      each((usage) => usage.usageBytes),
    ),
    family(
      'container_memory_rss',
      'gauge',
      'Size of RSS in bytes.',
      each((usage) => usage.rssBytes),
    ),
    family(
      'container_fs_usage_bytes',
      'gauge',
      'Number of bytes that are consumed by the container on this filesystem.',
      each((usage) => usage.writableLayer?.usedBytes),
    ),
    family(
      'container_fs_inodes_total',
      'gauge',
      'Number of Inodes',
      each(() => machine.nodeFs.inodes),
    ),
    family(
      'container_last_seen',
      'gauge',
      'Last time a container was seen by the exporter',
      each(({ atMs }) => Math.floor(atMs / 1000)),
    ),
    family('container_network_receive_bytes_total', 'counter', 'Cumulative count of bytes received', net('rxBytes')),
    family('container_network_receive_errors_total', 'counter', 'Cumulative count of errors encountered while receiving', net('rxErrors')),
    family('container_network_transmit_bytes_total', 'counter', 'Cumulative count of bytes transmitted', net('txBytes')),
    family(
      'container_network_transmit_errors_total',
      'counter',
      'Cumulative count of errors encountered while transmitting',
      net('txErrors'),
    ),
    family('container_scrape_error', 'gauge', '1 if there was an error while getting container metrics, 0 otherwise', [[{}, 0]]),
    family('machine_cpu_cores', 'gauge', 'Number of logical CPU cores.', [[{}, cpuCount]]),
    family('machine_memory_bytes', 'gauge', 'Amount of memory installed on the machine.', [[{}, memoryBytes]]),
  ].join('')
}

const counterFamily = (counters: Counters, name: keyof typeof COUNTERS, stability: string): string =>
  family(
    name,
    'counter',
    `[${stability}] ${COUNTERS[name]}`,
    Array.from(counters.values(name), ({ labels, value }): Sample => [labels, value]),
  )

export const probeMetrics = (counters: Counters): string => counterFamily(counters, 'prober_probe_total', 'BETA')

export function agentMetrics(nodeName: string, counters: Counters, pods: readonly Pod[]): string {
  const statuses = pods.flatMap(({ status }) => [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])])
  const running = statuses.filter(({ state }) => state?.running).length
  const ended = statuses.filter(({ state }) => state?.terminated).length
  const usage = process.resourceUsage()
  return [
    counterFamily(counters, 'kubelet_evictions', 'ALPHA'),
    family('kubelet_node_name', 'gauge', "[ALPHA] The node's name. The count is always 1.", [[{ node: nodeName }, 1]]),
    family('kubelet_running_containers', 'gauge', '[ALPHA] Number of containers currently running', [
      [{ container_state: 'exited' }, ended],
      [{ container_state: 'running' }, running],
    ]),
    family('kubelet_running_pods', 'gauge', '[ALPHA] Number of pods that have a running pod sandbox', [
      [{}, pods.filter(({ status }) => status?.phase === 'Running').length],
    ]),
    counterFamily(counters, 'kubelet_started_containers_errors_total', 'ALPHA'),
    counterFamily(counters, 'kubelet_started_containers_total', 'ALPHA'),
    counterFamily(counters, 'kubelet_started_pods_errors_total', 'ALPHA'),
    counterFamily(counters, 'kubelet_started_pods_total', 'ALPHA'),
    family('process_cpu_seconds_total', 'counter', 'Total user and system CPU time spent in seconds.', [
      [{}, (usage.userCPUTime + usage.systemCPUTime) / 1e6],
    ]),
    family('process_resident_memory_bytes', 'gauge', 'Resident memory size in bytes.', [[{}, process.memoryUsage.rss()]]),
    family('process_start_time_seconds', 'gauge', 'Start time of the process since unix epoch in seconds.', [
      [{}, Math.round(performance.timeOrigin / 10) / 100],
    ]),
  ].join('')
}
