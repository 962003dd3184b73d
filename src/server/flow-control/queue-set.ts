/**
 * The queues of one priority level (KEP-1040): fair queueing over flows that shuffle sharding spreads over them. A request takes
 * seats while it is served; when too few are free it waits, and the queue whose oldest request would be finished first in virtual
 * time goes next. Virtual time (R) is seats × milliseconds that each busy queue could have had so far.
 */
import type { UserInfo } from '../../api/exchange.ts'
import type { Clock } from '../../base/clock.ts'
import type { RequestInfo } from '../request-info.ts'
import type { FlowCounters, RejectReason } from './flow-counters.ts'
import type { SeatDemand } from './seat-demand.ts'
import { deal } from './shuffle-sharding.ts'
import type { Turn } from './turn.ts'
import type { Work } from './work-estimate.ts'

export interface Queuing {
  readonly queues: number
  readonly handSize: number
  readonly queueLengthLimit: number
}

/** What a request is thought to take until it has ended. */
const SERVICE_MS = 3
/** One flow's hand of queues, dealt anew when their number changes. */
export interface Shard {
  /** Of its schema, and what sets it apart from the schema's other flows. */
  readonly schema: string
  readonly distinguisher: string
  readonly hash: bigint
  hand: readonly number[]
  queuing: Queuing | undefined
}

/** Who asks for what: shown to those who look into the queues. */
export interface Asked {
  readonly user: UserInfo
  readonly info: RequestInfo
}

export interface Queue {
  readonly waiting: Seat[]
  executing: number
  seatsInUse: number
  seatsWaiting: number
  /** Seats × milliseconds of what waits. */
  workWaiting: number
  nextDispatchR: number
}

const emptyQueue = (): Queue => ({ waiting: [], executing: 0, seatsInUse: 0, seatsWaiting: 0, workWaiting: 0, nextDispatchR: 0 })

export interface SeatRequest {
  readonly work: Work
  readonly shard: Shard
  readonly counters: FlowCounters
  readonly asked: Asked
}

/** The place of one request: in a queue first, perhaps, then served. `release` is called once, when it is answered. */
export class Seat {
  readonly work: Work
  readonly counters: FlowCounters
  readonly shard: Shard
  readonly asked: Asked
  readonly set: QueueSet
  readonly width: number
  readonly totalWork: number
  readonly arrivalMs: number
  readonly arrivalR: number
  readonly queue: Queue | undefined
  isWatch = false
  startMs = 0
  /** The turn in which it was taken from its queue; -1 when it never waited. */
  resumedIn = -1
  decide: ((isServed: boolean) => void) | undefined

  constructor(set: QueueSet, queue: Queue | undefined, request: SeatRequest, nowMs: number, nowR: number) {
    const { work, counters, shard, asked } = request
    this.set = set
    this.queue = queue
    this.work = work
    this.counters = counters
    this.shard = shard
    this.asked = asked
    this.width = Math.max(work.initialSeats, work.finalSeats)
    this.totalWork = work.initialSeats * SERVICE_MS + work.finalSeats * work.additionalMs
    this.arrivalMs = nowMs
    this.arrivalR = nowR
  }

  release(): void {
    this.set.finish(this)
  }
}

export interface Waiting {
  readonly signal: AbortSignal
  readonly maxWaitMs: number
}

export class QueueSet {
  readonly #clock: Clock
  readonly #turn: Turn
  readonly #demand: SeatDemand
  #queuing: Queuing | undefined
  #isExempt = false
  #limit = 1
  #queues: Queue[] = []
  #currentR = 0
  #lastMs: number
  #activeQueues = 0
  #seatsWaiting = 0
  #requestsWaiting = 0
  #seatsInUse = 0
  #executing = 0
  readonly #served = new Set<Seat>()
  #enqueues = 0
  #robin = -1

  constructor(clock: Clock, turn: Turn, demand: SeatDemand) {
    this.#clock = clock
    this.#turn = turn
    this.#demand = demand
    this.#lastMs = clock.monotonic()
  }

  get isIdle(): boolean {
    return this.#executing === 0 && this.#requestsWaiting === 0
  }

  get queues(): readonly Queue[] {
    return this.#queues
  }

  /** Those that have their seats and are not answered yet. */
  get served(): Iterable<Seat> {
    return this.#served
  }

  get currentR(): number {
    return this.#currentR
  }

  /** Without queuing, what finds no seat is turned away. Queues beyond the new number empty first. */
  configure({
    queuing,
    isExempt,
    limit,
  }: {
    readonly queuing: Queuing | undefined
    readonly isExempt: boolean
    readonly limit: number
  }): void {
    this.#syncTime(this.#clock.monotonic())
    this.#queuing = queuing
    this.#isExempt = isExempt
    this.#limit = limit
    while (queuing && this.#queues.length < queuing.queues) this.#queues.push(emptyQueue())
    this.dispatch()
  }

  /** A seat at once, later (undefined: it waited in vain), or why there is none. */
  start(nowMs: number, request: SeatRequest, waiting: () => Waiting): Seat | Promise<Seat | undefined> | RejectReason {
    this.#syncTime(nowMs)
    const { counters, shard } = request
    const queuing = this.#queuing
    if (!queuing) {
      const seat = new Seat(this, undefined, request, nowMs, this.#currentR)
      if (!this.#hasRoom(seat.width)) return this.#reject(counters, 'concurrency-limit')
      this.#execute(seat, nowMs)
      return seat
    }
    const queue = this.#choose(shard, queuing)
    const isOpen = this.#turn.isOpen(nowMs)
    if (queue.waiting.length >= queuing.queueLengthLimit && (!isOpen || this.#seatsInUse >= this.#limit))
      return this.#reject(counters, 'queue-full')
    if (queue.executing === 0 && queue.waiting.length === 0) queue.nextDispatchR = this.#currentR
    const seat = new Seat(this, queue, request, nowMs, this.#currentR)
    // The usual case: nobody waits, and there is room.
    if (this.#requestsWaiting === 0 && isOpen && this.#hasRoom(seat.width)) {
      this.#activate(queue)
      this.#execute(seat, nowMs)
      return seat
    }
    return this.#wait(seat, queue, waiting())
  }

  #reject(counters: FlowCounters, reason: RejectReason): RejectReason {
    counters.rejected[reason]++
    return reason
  }

  #choose(shard: Shard, queuing: Queuing): Queue {
    if (shard.queuing !== queuing) {
      shard.hand = deal(shard.hash, queuing.queues, queuing.handSize)
      shard.queuing = queuing
    }
    const { hand } = shard
    const offset = this.#enqueues++ % hand.length
    let best: Queue | undefined
    for (let i = 0; i < hand.length; i++) {
      const queue = this.#queues[hand[(offset + i) % hand.length]!]!
      if (!best || queue.workWaiting < best.workWaiting) best = queue
      if (best.workWaiting === 0) break
    }
    return best!
  }

  #wait(seat: Seat, queue: Queue, { signal, maxWaitMs }: Waiting): Promise<Seat | undefined> {
    this.#activate(queue)
    queue.waiting.push(seat)
    queue.seatsWaiting += seat.width
    queue.workWaiting += seat.totalWork
    this.#requestsWaiting++
    this.#turn.waiting++
    this.#seatsWaiting += seat.width
    seat.counters.inQueue++
    seat.counters.seatsInQueue += seat.width
    this.#boundNext(queue)
    this.#noteDemand(this.#lastMs)
    const decided = new Promise<Seat | undefined>((resolve) => {
      const abort = () => this.#cancel(seat, queue, 'cancelled')
      const cancel = this.#clock.setTimeout(() => this.#cancel(seat, queue, 'time-out'), maxWaitMs)
      seat.decide = (isServed) => {
        cancel()
        signal.removeEventListener('abort', abort)
        resolve(isServed ? seat : undefined)
      }
      signal.addEventListener('abort', abort, { once: true })
      if (signal.aborted) abort()
    })
    this.#turn.begin(this.#lastMs)
    this.dispatch()
    return decided
  }

  #cancel(seat: Seat, queue: Queue, reason: RejectReason): void {
    const at = queue.waiting.indexOf(seat)
    if (at < 0) return
    const nowMs = this.#clock.monotonic()
    this.#syncTime(nowMs)
    queue.waiting.splice(at, 1)
    this.#leaveQueue(seat, queue)
    this.#boundNext(queue)
    this.#deactivate(queue)
    this.#noteDemand(nowMs)
    seat.counters.rejected[reason]++
    seat.counters.waited.false.observe((nowMs - seat.arrivalMs) / 1000)
    seat.decide?.(false)
  }

  #leaveQueue(seat: Seat, queue: Queue): void {
    queue.seatsWaiting -= seat.width
    queue.workWaiting -= seat.totalWork
    this.#requestsWaiting--
    this.#turn.waiting--
    this.#seatsWaiting -= seat.width
    seat.counters.inQueue--
    seat.counters.seatsInQueue -= seat.width
  }

  #execute(seat: Seat, nowMs: number): void {
    const { queue, width, counters } = seat
    seat.startMs = nowMs
    this.#served.add(seat)
    this.#executing++
    this.#seatsInUse += width
    counters.dispatched++
    counters.executing++
    counters.executingSeats += width
    if (queue) {
      queue.executing++
      queue.seatsInUse += width
      queue.nextDispatchR += seat.totalWork
      this.#turn.begin(nowMs)
    }
    this.#noteDemand(nowMs)
  }

  /** Serves those that wait, as long as there is room. */
  dispatch(): void {
    while (this.dispatchOne(this.#clock.monotonic()));
  }

  /** False when nobody waits or there is no room. */
  dispatchOne(nowMs: number): boolean {
    if (this.#requestsWaiting === 0 || !this.#turn.mayResume(nowMs)) return false
    const queue = this.#nextQueue()
    const seat = queue?.waiting[0]
    if (!queue || !seat) return false
    if (!this.#hasRoom(seat.width)) {
      seat.counters.noAccommodation++
      return false
    }
    queue.waiting.shift()
    this.#leaveQueue(seat, queue)
    seat.counters.waited.true.observe((nowMs - seat.arrivalMs) / 1000)
    seat.resumedIn = this.#turn.number
    this.#turn.resumed()
    this.#execute(seat, nowMs)
    this.#boundNext(queue)
    seat.decide?.(true)
    return true
  }

  /** The queue whose oldest request would be finished first; after it the search goes on, so that equals take turns. */
  #nextQueue(): Queue | undefined {
    const count = this.#queues.length
    let best: Queue | undefined
    let bestAt = this.#robin
    let finishR = Infinity
    for (let i = 1; i <= count; i++) {
      const at = (this.#robin + i) % count
      const queue = this.#queues[at]!
      const oldest = queue.waiting[0]
      if (!oldest || queue.nextDispatchR + oldest.totalWork >= finishR) continue
      finishR = queue.nextDispatchR + oldest.totalWork
      best = queue
      bestAt = at
    }
    this.#robin = bestAt
    return best
  }

  /** A request wider than all there is goes alone. */
  #hasRoom(width: number): boolean {
    if (this.#isExempt) return true
    if (width > this.#limit) return this.#executing === 0
    return this.#seatsInUse + width <= this.#limit
  }

  finish(seat: Seat): void {
    const nowMs = this.#clock.monotonic()
    this.#syncTime(nowMs)
    const { queue, work, counters, startMs } = seat
    const servedMs = nowMs - startMs
    this.#served.delete(seat)
    this.#executing--
    counters.executing--
    counters.served[seat.isWatch ? 'watch' : 'regular'].observe(servedMs / 1000)
    if (seat.resumedIn >= 0) this.#turn.done(seat.resumedIn)
    if (queue) {
      queue.executing--
      // It was charged an estimate; now it is known.
      queue.nextDispatchR -= work.initialSeats * (SERVICE_MS - servedMs)
      this.#boundNext(queue)
    }
    if (work.additionalMs > 0) this.#clock.setTimeout(() => this.#vacateLater(seat), work.additionalMs)
    else this.#vacate(seat, nowMs)
    this.#turn.resume()
  }

  #vacateLater(seat: Seat): void {
    const nowMs = this.#clock.monotonic()
    this.#syncTime(nowMs)
    this.#vacate(seat, nowMs)
    this.#turn.resume()
  }

  #vacate({ width, counters, queue }: Seat, nowMs: number): void {
    this.#seatsInUse -= width
    counters.executingSeats -= width
    if (queue) {
      queue.seatsInUse -= width
      this.#deactivate(queue)
    }
    this.#noteDemand(nowMs)
  }

  #noteDemand(nowMs: number): void {
    this.#demand.set(nowMs, this.#seatsInUse + this.#seatsWaiting)
  }

  /** A queue that idled does not save up what it did not use. */
  #boundNext(queue: Queue): void {
    const oldest = queue.waiting[0]
    if (oldest && queue.nextDispatchR < oldest.arrivalR) queue.nextDispatchR = oldest.arrivalR
  }

  /** Call before the queue gets its first request, and `#deactivate` after it may have lost its last. */
  #activate(queue: Queue): void {
    if (queue.seatsInUse === 0 && queue.waiting.length === 0) this.#activeQueues++
  }

  #deactivate(queue: Queue): void {
    if (queue.seatsInUse > 0 || queue.waiting.length > 0) return
    this.#activeQueues--
    // Of a configuration that had more queues: gone with its last request.
    if (this.#queuing && this.#queues.length > this.#queuing.queues) this.#dropSpareQueues(this.#queuing.queues)
  }

  #dropSpareQueues(wanted: number): void {
    while (this.#queues.length > wanted) {
      const { waiting, seatsInUse } = this.#queues.at(-1)!
      if (waiting.length > 0 || seatsInUse > 0) return
      this.#queues.pop()
    }
    if (this.#robin >= this.#queues.length) this.#robin = -1
  }

  #syncTime(nowMs: number): void {
    const span = nowMs - this.#lastMs
    this.#lastMs = nowMs
    if (span <= 0 || this.#activeQueues === 0) return
    this.#currentR += (Math.min(this.#seatsInUse + this.#seatsWaiting, this.#limit) / this.#activeQueues) * span
  }
}
