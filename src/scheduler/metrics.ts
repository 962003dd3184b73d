/**
 * What the scheduler counts about itself, under upstream's names (scheduler_*), so that the dashboards and alerts of a cluster know it:
 * pods that wait, attempts and how they ended, how long they took, preemptions, and what is known of nodes and pods.
 */
import { Histogram, type MetricFamily, type Sample } from '../base/metrics.ts'
import type { ClusterEvent } from './framework.ts'
import type { QueueObserver, SchedulingQueue } from './queue.ts'
import type { ClusterState } from './snapshot.ts'

export type AttemptResult = 'scheduled' | 'unschedulable' | 'error'

export interface SchedulerMetrics {
  readonly families: readonly MetricFamily[]
  readonly queue: QueueObserver
  /** Where gauges are read from, once the scheduler runs. */
  watch(state: ClusterState, queue: SchedulingQueue): void
  decided(seconds: number): void
  attempted(profile: string, result: AttemptResult, seconds: number): void
  /** The pod is bound, after so many attempts since it came. */
  bound(attempts: number, seconds: number): void
  preempted(victims: number): void
}

/** Without labels of its own a bucket's label stands alone. */
const alone = (samples: Iterable<Sample>): readonly Sample[] =>
  [...samples].map(([labels, ...rest]): Sample => [labels.replace(/^,/, ''), ...rest])

const powers = (start: number, factor: number, count: number): readonly number[] =>
  Array.from({ length: count }, (_, i) => Number((start * factor ** i).toPrecision(10)))

/** Upstream's labels of what brings a pod back (framework.ClusterEvent.Label). */
const EVENT_LABELS: Readonly<Record<ClusterEvent['kind'], string>> = {
  'node-added': 'NodeAdd',
  'node-allocatable': 'NodeUpdateNodeAllocatable',
  'node-labels': 'NodeUpdateNodeLabel',
  'node-taints': 'NodeUpdateNodeTaint',
  'node-conditions': 'NodeUpdateNodeCondition',
  'node-annotations': 'NodeUpdateNodeAnnotation',
  'node-features': 'NodeUpdateNodeDeclaredFeature',
  'node-deleted': 'NodeDelete',
  'pod-added': 'AssignedPodAdd',
  'pod-deleted': 'AssignedPodDelete',
  'pod-labels': 'AssignedPodUpdatePodLabel',
  'pod-scaled-down': 'AssignedPodUpdatePodScaleDown',
  'own-labels': 'UnschedulablePodUpdatePodLabel',
  'own-tolerations': 'UnschedulablePodUpdatePodToleration',
  'own-gates': 'UnschedulablePodUpdatePodSchedulingGatesEliminated',
  'own-scaled-down': 'UnschedulablePodUpdatePodScaleDown',
  'own-claims': 'UnschedulablePodUpdatePodGeneratedResourceClaim',
  'namespace-labels': 'NamespaceUpdate',
  claim: 'PersistentVolumeClaimUpdate',
  volume: 'PersistentVolumeUpdate',
  'storage-class': 'StorageClassUpdate',
  'storage-capacity': 'CSIStorageCapacityUpdate',
  'csi-node': 'CSINodeUpdate',
  'csi-driver': 'CSIDriverUpdate',
  'attachment-deleted': 'VolumeAttachmentDelete',
  'resource-claim': 'ResourceClaimUpdate',
  'resource-slice': 'ResourceSliceUpdate',
  'device-class': 'DeviceClassUpdate',
}

export function createSchedulerMetrics(): SchedulerMetrics {
  const attempts = new Map<string, { count: number; readonly durations: Histogram }>()
  const incoming = new Map<string, number>()
  const latencies = new Map<string, Histogram>()
  const decisions = new Histogram(powers(0.001, 2, 15))
  const attemptCounts = new Histogram(powers(1, 2, 5))
  const victims = new Histogram(powers(1, 2, 7))
  let preemptions = 0
  let watched: { readonly state: ClusterState; readonly queue: SchedulingQueue } | undefined

  function* unschedulable(): Iterable<Sample> {
    for (const [key, count] of watched?.queue.rejections() ?? []) yield [key, count]
  }

  const families: readonly MetricFamily[] = [
    {
      name: 'scheduler_schedule_attempts_total',
      help: 'Attempts to schedule pods, by how they ended.',
      type: 'counter',
      read: () => [...attempts].map(([labels, { count }]): Sample => [labels, count]),
    },
    {
      name: 'scheduler_scheduling_attempt_duration_seconds',
      help: 'How long attempts took, binding included.',
      type: 'histogram',
      read: () => [...attempts].flatMap(([labels, { durations }]) => [...durations.samples(labels)]),
    },
    {
      name: 'scheduler_scheduling_algorithm_duration_seconds',
      help: 'How long decisions took.',
      type: 'histogram',
      read: () => alone(decisions.samples('')),
    },
    {
      name: 'scheduler_pending_pods',
      help: 'Pods that wait, by the queue.',
      type: 'gauge',
      read: () => {
        const sizes = watched?.queue.sizes
        return [
          ['queue="active"', sizes?.active ?? 0],
          ['queue="backoff"', sizes?.backOff ?? 0],
          ['queue="unschedulable"', sizes?.unschedulable ?? 0],
          ['queue="gated"', sizes?.gated ?? 0],
        ]
      },
    },
    {
      name: 'scheduler_queue_incoming_pods_total',
      help: 'Pods that came into a queue, by what brought them.',
      type: 'counter',
      read: () => incoming,
    },
    {
      name: 'scheduler_unschedulable_pods',
      help: 'Pods without a node, by each plugin that rejected them.',
      type: 'gauge',
      read: unschedulable,
    },
    {
      name: 'scheduler_pod_scheduling_attempts',
      help: 'Attempts that pods needed until they were bound.',
      type: 'histogram',
      read: () => alone(attemptCounts.samples('')),
    },
    {
      name: 'scheduler_pod_scheduling_sli_duration_seconds',
      help: 'Time from when pods came until they were bound, by the attempts they needed.',
      type: 'histogram',
      read: () => [...latencies].flatMap(([labels, durations]) => [...durations.samples(labels)]),
    },
    {
      name: 'scheduler_preemption_attempts_total',
      help: 'Preemptions that were tried.',
      type: 'counter',
      read: () => [['', preemptions]],
    },
    {
      name: 'scheduler_preemption_victims',
      help: 'Pods that preemptions push aside.',
      type: 'histogram',
      read: () => alone(victims.samples('')),
    },
    {
      name: 'scheduler_cache_size',
      help: 'What the scheduler knows of.',
      type: 'gauge',
      read: () => {
        const sizes = watched?.state.sizes
        return [
          ['type="nodes"', sizes?.nodes ?? 0],
          ['type="pods"', sizes?.pods ?? 0],
          ['type="assumed_pods"', sizes?.assumed ?? 0],
        ]
      },
    },
  ]

  return {
    families,
    queue: {
      entered(queue, cause) {
        const event = typeof cause === 'string' ? cause : EVENT_LABELS[cause.kind]
        const labels = `queue="${queue}",event="${event}"`
        incoming.set(labels, (incoming.get(labels) ?? 0) + 1)
      },
    },
    watch(state, queue) {
      watched = { state, queue }
    },
    decided: (seconds) => decisions.observe(seconds),
    attempted(profile, result, seconds) {
      const labels = `result="${result}",profile="${profile}"`
      let known = attempts.get(labels)
      if (!known) attempts.set(labels, (known = { count: 0, durations: new Histogram(powers(0.001, 2, 15)) }))
      known.count++
      known.durations.observe(seconds)
    },
    bound(count, seconds) {
      attemptCounts.observe(count)
      const labels = `attempts="${count > 15 ? '16+' : count}"`
      let durations = latencies.get(labels)
      if (!durations) latencies.set(labels, (durations = new Histogram(powers(0.01, 2, 20))))
      durations.observe(seconds)
    },
    preempted(count) {
      preemptions++
      if (count > 0) victims.observe(count)
    },
  }
}
