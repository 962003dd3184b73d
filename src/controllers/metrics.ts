/**
 * What the controllers count about their queues, under client-go's names (workqueue_*), so that the dashboards and alerts of a
 * cluster know them. A controller that fails is seen in workqueue_retries_total, one that hangs in workqueue_unfinished_work_seconds.
 */
import { Histogram, type MetricFamily, type Sample } from '../base/metrics.ts'
import type { Clock } from '../base/clock.ts'
import type { WorkQueue, WorkQueueObserver } from '../client/work-queue.ts'

export interface ControllerMetrics {
  readonly families: readonly MetricFamily[]
  /** What a controller's queue tells of itself. */
  observerOf(name: string): WorkQueueObserver
  /** The queue of a controller, from when it runs: its depth is read when asked for. */
  watch(name: string, queue: WorkQueue): void
}

/** In seconds: tenfold from ten nanoseconds on. */
const BUCKETS = Array.from({ length: 10 }, (_, i) => Number(`1e${i - 8}`))

interface Counts {
  adds: number
  retries: number
  readonly waits: Histogram
  readonly works: Histogram
  queue: WorkQueue | undefined
}

export function createControllerMetrics(clock: Clock): ControllerMetrics {
  const all = new Map<string, Counts>()

  function countsOf(name: string): Counts {
    let counts = all.get(name)
    if (!counts)
      all.set(name, (counts = { adds: 0, retries: 0, waits: new Histogram(BUCKETS), works: new Histogram(BUCKETS), queue: undefined }))
    return counts
  }

  const family = (
    name: string,
    help: string,
    type: MetricFamily['type'],
    read: (counts: Counts, labels: string) => Iterable<Sample>,
  ): MetricFamily => ({
    name: `workqueue_${name}`,
    help,
    type,
    *read() {
      for (const [queue, counts] of all) yield* read(counts, `name="${queue}"`)
    },
  })
  const workedS = ({ queue }: Counts): readonly number[] =>
    [...(queue?.inProgress.values() ?? [])].map((sinceMs) => (clock.monotonic() - sinceMs) / 1000)

  return {
    families: [
      family('depth', 'Keys that wait, by queue.', 'gauge', ({ queue }, labels) => [[labels, queue?.size ?? 0]]),
      family('adds_total', 'Keys that were added, by queue.', 'counter', ({ adds }, labels) => [[labels, adds]]),
      family('retries_total', 'Keys that came back after a failure, by queue.', 'counter', ({ retries }, labels) => [[labels, retries]]),
      family('queue_duration_seconds', 'How long keys waited, by queue.', 'histogram', ({ waits }, labels) => waits.samples(labels)),
      family('work_duration_seconds', 'How long keys were worked on, by queue.', 'histogram', ({ works }, labels) => works.samples(labels)),
      family('unfinished_work_seconds', 'How long what is under way has been so, in all, by queue.', 'gauge', (counts, labels) => [
        [labels, workedS(counts).reduce((sum, seconds) => sum + seconds, 0)],
      ]),
      family('longest_running_processor_seconds', 'How long the oldest work has been under way, by queue.', 'gauge', (counts, labels) => [
        [labels, Math.max(0, ...workedS(counts))],
      ]),
    ],
    observerOf(name) {
      const counts = countsOf(name)
      return {
        added: () => void counts.adds++,
        taken: (waitedMs) => counts.waits.observe(waitedMs / 1000),
        done: (workedMs) => counts.works.observe(workedMs / 1000),
        retried: () => void counts.retries++,
      }
    },
    watch(name, queue) {
      countsOf(name).queue = queue
    },
  }
}
