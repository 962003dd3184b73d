/** What the agent counts, for /metrics: counters by name and labels, as Prometheus has them. */
export type MetricLabels = Readonly<Record<string, string>>

export interface Counters {
  /** Labels in the order of their names. */
  increment(name: CounterName, labels: MetricLabels): void
  /** Lets go of what was counted for a pod that is gone. */
  forgetPod(uid: string): void
  values(name: CounterName): Iterable<{ readonly labels: MetricLabels; readonly value: number }>
}

export const COUNTERS = {
  kubelet_evictions: 'Cumulative number of pod evictions by eviction signal',
  kubelet_started_containers_total: 'Cumulative number of containers started',
  kubelet_started_containers_errors_total: 'Cumulative number of errors when starting containers',
  kubelet_started_pods_total: 'Cumulative number of pods started',
  kubelet_started_pods_errors_total: 'Cumulative number of errors when starting pods',
  prober_probe_total: 'Cumulative number of a liveness, readiness or startup probe for a container by result.',
} as const
export type CounterName = keyof typeof COUNTERS

/** Of one counter: more combinations of labels are not counted. */
const MAX_SERIES = 20_000

export function createCounters(): Counters {
  const series = new Map<CounterName, Map<string, { readonly labels: MetricLabels; value: number }>>()
  return {
    increment(name, labels) {
      let known = series.get(name)
      if (!known) series.set(name, (known = new Map()))
      const key = Object.values(labels).join('\n')
      const found = known.get(key)
      if (found) found.value++
      else if (known.size < MAX_SERIES) known.set(key, { labels, value: 1 })
    },
    forgetPod(uid) {
      for (const known of series.values()) for (const [key, { labels }] of known) if (labels['pod_uid'] === uid) known.delete(key)
    },
    values: (name) => series.get(name)?.values() ?? [],
  }
}
