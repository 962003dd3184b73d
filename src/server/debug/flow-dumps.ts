/**
 * /debug/api_priority_and_fairness: who waits and who is served, as upstream's dumps show it (k8s.io/apiserver's apf_controller_debug.go):
 * a row a priority level, a queue or a request.
 */
import type { Seat } from '../flow-control/queue-set.ts'
import type { Level, Levels } from '../flow-control/levels.ts'
import { apiVersionOf } from '../../api/schema.ts'
import type { PathHandler } from '../router.ts'
import { textAnswer } from '../server-paths.ts'

const PREFIX = '/debug/api_priority_and_fairness/'

const LEVEL_COLUMNS = [
  'PriorityLevelName',
  'ActiveQueues',
  'IsIdle',
  'IsQuiescing',
  'WaitingRequests',
  'ExecutingRequests',
  'DispatchedRequests',
  'RejectedRequests',
  'TimedoutRequests',
  'CancelledRequests',
]
const QUEUE_COLUMNS = [
  'PriorityLevelName',
  'Index',
  'PendingRequests',
  'ExecutingRequests',
  'SeatsInUse',
  'NextDispatchR',
  'InitialSeatsSum',
  'MaxSeatsSum',
  'TotalWorkSum',
]
/** The misspelling is upstream's. */
const REQUEST_COLUMNS = [
  'PriorityLevelName',
  'FlowSchemaName',
  'QueueIndex',
  'RequestIndexInQueue',
  'FlowDistingsher',
  'ArriveTime',
  'InitialSeats',
  'FinalSeats',
  'AdditionalLatency',
  'StartTime',
]
const DETAIL_COLUMNS = ['UserName', 'Verb', 'APIPath', 'Namespace', 'Name', 'APIVersion', 'Resource', 'SubResource']

type Row = readonly (string | number | boolean)[]

export const createFlowDumps =
  (levels: Levels): PathHandler =>
  (core, { info, request }) => {
    if (info.isResource || !info.path.startsWith(PREFIX)) return undefined
    const all = [...levels.all()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
    switch (info.path.slice(PREFIX.length)) {
      case 'dump_priority_levels':
        return textAnswer(table([LEVEL_COLUMNS, ...all.map((level) => levelRow(level, levels))]))
      case 'dump_queues':
        return textAnswer(table([QUEUE_COLUMNS, ...all.flatMap(queueRows)]))
      case 'dump_requests': {
        const { clock } = core.runtime
        const epochMs = clock.now() - clock.monotonic()
        const isDetailed = (request.query.get('includeRequestDetails') ?? '') !== ''
        const columns = isDetailed ? [...REQUEST_COLUMNS, ...DETAIL_COLUMNS] : REQUEST_COLUMNS
        return textAnswer(table([columns, ...all.flatMap((level) => requestRows(level, epochMs, isDetailed))]))
      }
      default:
        return undefined
    }
  }

/** Columns under each other, as Go's tabwriter sets them: commas stay with their words, the last column is as wide as it is. */
function table(rows: readonly Row[]): string {
  const texts = rows.map((row) => row.map((cell, index) => (index < row.length - 1 ? `${String(cell)},` : String(cell))))
  const widths = texts[0]!.map((_, index) => Math.max(MIN_WIDTH, ...texts.map((row) => row[index]!.length + 1)))
  return texts
    .map((row) => `${row.map((cell, index) => (index < row.length - 1 ? cell.padEnd(widths[index]!) : cell)).join('')}\n`)
    .join('')
}

const MIN_WIDTH = 8

function levelRow({ name, queues, isQuiescing }: Level, { flows }: Levels): Row {
  const counters = flows.flatMap((flow) => (flow.level.name === name ? flow.counters : []))
  const sum = (read: (one: (typeof counters)[number]) => number): number => counters.reduce((total, one) => total + read(one), 0)
  return [
    name,
    queues.queues.filter(({ waiting }) => waiting.length > 0).length,
    queues.isIdle,
    isQuiescing,
    sum(({ inQueue }) => inQueue),
    sum(({ executing }) => executing),
    sum(({ dispatched }) => dispatched),
    sum(({ rejected }) => rejected['queue-full'] + rejected['concurrency-limit']),
    sum(({ rejected }) => rejected['time-out']),
    sum(({ rejected }) => rejected.cancelled),
  ]
}

const seatSeconds = (seatMs: number): string => `${(seatMs / 1000).toFixed(8)}ss`

const queueRows = ({ name, queues }: Level): readonly Row[] =>
  queues.queues.map(({ waiting, executing, seatsInUse, seatsWaiting, workWaiting, nextDispatchR }, index) => [
    name,
    index,
    waiting.length,
    executing,
    seatsInUse,
    seatSeconds(nextDispatchR),
    waiting.reduce((sum, { work }) => sum + work.initialSeats, 0),
    seatsWaiting,
    seatSeconds(workWaiting),
  ])

/** Of each queue those that wait, in their order, then those that are served; those without a queue last. */
function requestRows({ name, queues }: Level, epochMs: number, isDetailed: boolean): readonly Row[] {
  const timeOf = (ms: number): string => (ms === 0 ? '0001-01-01T00:00:00Z' : new Date(epochMs + ms).toISOString())
  const row = (seat: Seat, queue: number, place: number): Row => {
    const { work, shard, arrivalMs, startMs } = seat
    const { user, info } = seat.asked
    const later = work.additionalMs === 0 ? '0s' : `${work.additionalMs}ms`
    const times = [timeOf(arrivalMs), work.initialSeats, work.finalSeats, later, timeOf(startMs)]
    const plain = [name, shard.schema, queue, place, shard.distinguisher, ...times]
    if (!isDetailed) return plain
    const version = info.isResource ? apiVersionOf(info) : ''
    return [...plain, user.name, info.verb, info.path, info.namespace, info.name, version, info.resource, info.subresource]
  }
  const served = [...queues.served]
  return [
    ...queues.queues.flatMap((queue, index) => [
      ...queue.waiting.map((seat, place) => row(seat, index, place)),
      ...served.filter((seat) => seat.queue === queue).map((seat) => row(seat, index, -1)),
    ]),
    ...served.filter(({ queue }) => queue === undefined).map((seat) => row(seat, -1, -1)),
  ]
}
