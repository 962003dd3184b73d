/** Flow control's metrics, under upstream's names (k8s.io/apiserver/pkg/util/flowcontrol/metrics). */
import type { Histogram, Sample } from '../../base/metrics.ts'
import type { Metrics } from '../metrics.ts'
import type { FlowCounters } from './flow-counters.ts'
import type { Flow, Level, Levels } from './levels.ts'

const READING: ReadonlySet<string> = new Set(['get', 'list', 'watch'])

const PREFIX = 'apiserver_flowcontrol_'

const perFlow: readonly (readonly [name: string, type: 'counter' | 'gauge', help: string, read: (counters: FlowCounters) => number])[] = [
  ['dispatched_requests_total', 'counter', 'Requests that were served.', ({ dispatched }) => dispatched],
  ['current_inqueue_requests', 'gauge', 'Requests that wait.', ({ inQueue }) => inQueue],
  ['current_inqueue_seats', 'gauge', 'Seats that are waited for.', ({ seatsInQueue }) => seatsInQueue],
  ['current_executing_requests', 'gauge', 'Requests that are being served.', ({ executing }) => executing],
  ['current_executing_seats', 'gauge', 'Seats that are taken.', ({ executingSeats }) => executingSeats],
  [
    'request_dispatch_no_accommodation_total',
    'counter',
    'How often the next request found too few seats.',
    ({ noAccommodation }) => noAccommodation,
  ],
]

const perLevel: readonly (readonly [name: string, help: string, read: (level: Level) => number])[] = [
  ['nominal_limit_seats', 'Seats by configuration.', ({ nominal }) => nominal],
  ['lower_limit_seats', 'Seats that are never lent.', ({ minimum }) => minimum],
  ['upper_limit_seats', 'Seats at most, borrowed ones included.', ({ maximum }) => maximum],
  ['current_limit_seats', 'Seats now.', ({ current }) => current],
  ['demand_seats_high_watermark', 'Most seats that could have been used in the last period.', ({ seen }) => seen.highWatermark],
  ['demand_seats_average', 'Seats that could have been used, over the last period.', ({ seen }) => seen.average],
  ['demand_seats_stdev', 'Their standard deviation.', ({ seen }) => seen.deviation],
  ['demand_seats_smoothed', 'The same, smoothed.', ({ smoothed }) => smoothed],
  ['target_seats', 'Seats that a level asks for.', ({ target }) => target],
  ['current_r', 'Virtual time of the queues, in seat seconds.', ({ queues }) => queues.currentR / 1000],
]

const labelsOf = ({ name, level }: Flow): string => `flow_schema="${name}",priority_level="${level.name}"`

export function exposeFlowControl(metrics: Metrics, levels: Levels): void {
  for (const [name, type, help, read] of perFlow)
    metrics.expose(PREFIX + name, help, type, () => levels.flows.map((flow): Sample => [labelsOf(flow), read(flow.counters)]))
  for (const [name, help, read] of perLevel)
    metrics.expose(PREFIX + name, help, 'gauge', () =>
      [...levels.all()].map((level): Sample => [`priority_level="${level.name}"`, read(level)]),
    )
  metrics.expose(PREFIX + 'seat_fair_frac', 'The part of its target that every level gets.', 'gauge', () => [['', levels.fairFraction]])
  metrics.expose(PREFIX + 'rejected_requests_total', 'Requests that were turned away.', 'counter', () =>
    levels.flows.flatMap((flow) =>
      Object.entries(flow.counters.rejected)
        .filter(([, count]) => count > 0)
        .map(([reason, count]): Sample => [`${labelsOf(flow)},reason="${reason}"`, count]),
    ),
  )
  const histograms: readonly [name: string, help: string, read: (counters: FlowCounters) => Histogram][] = [
    ['work_estimated_seats', 'How wide requests were thought to be.', ({ estimatedSeats }) => estimatedSeats],
    ['watch_count_samples', 'How many watches heard of a write.', ({ watchCounts }) => watchCounts],
  ]
  for (const [name, help, read] of histograms)
    metrics.expose(PREFIX + name, help, 'histogram', () => levels.flows.flatMap((flow) => read(flow.counters).samples(labelsOf(flow))))
  metrics.gauge('apiserver_current_inqueue_requests', 'Requests that wait.', () => {
    const waiting = [...levels.all()].flatMap(({ queues }) => queues.queues.flatMap((queue) => queue.waiting))
    const reading = waiting.filter(({ asked }) => READING.has(asked.info.verb)).length
    return [
      ['request_kind="mutating"', waiting.length - reading],
      ['request_kind="readOnly"', reading],
    ]
  })
  metrics.expose(PREFIX + 'request_wait_duration_seconds', 'How long requests waited.', 'histogram', () =>
    levels.flows.flatMap((flow) =>
      Object.entries(flow.counters.waited).flatMap(([execute, histogram]) => histogram.samples(`execute="${execute}",${labelsOf(flow)}`)),
    ),
  )
  metrics.expose(PREFIX + 'request_execution_seconds', 'How long requests were served.', 'histogram', () =>
    levels.flows.flatMap((flow) =>
      Object.entries(flow.counters.served).flatMap(([type, histogram]) => histogram.samples(`${labelsOf(flow)},type="${type}"`)),
    ),
  )
}
