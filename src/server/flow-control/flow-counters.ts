/** What is counted of one FlowSchema's requests on its priority level; read when metrics are asked for. */
import { Histogram } from '../../base/metrics.ts'

const DURATIONS_S = [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30]

export type RejectReason = 'queue-full' | 'concurrency-limit' | 'time-out' | 'cancelled'

const SEATS = [1, 2, 4, 8, 16, 32, 64, 100]
const WATCHES = [0, 1, 10, 100, 1000, 10_000]

export class FlowCounters {
  dispatched = 0
  executing = 0
  executingSeats = 0
  inQueue = 0
  seatsInQueue = 0
  noAccommodation = 0
  readonly rejected: Record<RejectReason, number> = { 'queue-full': 0, 'concurrency-limit': 0, 'time-out': 0, cancelled: 0 }
  readonly estimatedSeats = new Histogram(SEATS)
  /** Of writes: how many watches hear of them. */
  readonly watchCounts = new Histogram(WATCHES)
  /** Seconds in the queue, of those that were served and those that were not. */
  readonly waited = { true: new Histogram(DURATIONS_S), false: new Histogram(DURATIONS_S) }
  readonly served = { regular: new Histogram(DURATIONS_S), watch: new Histogram(DURATIONS_S) }
}
