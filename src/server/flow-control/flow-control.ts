/**
 * API priority and fairness (KEP-1040): each request from outside belongs to a FlowSchema, takes seats of its priority level, and
 * waits or is turned away when these are taken. Components of this process are not asked: they are the server's own.
 */
import type { ApiRequest, ApiResponse, UserInfo } from '../../api/exchange.ts'
import type { Runtime } from '../../base/runtime.ts'
import type { RequestInfo } from '../request-info.ts'
import type { ResourceRegistry } from '../resource-registry.ts'
import type { ResourceCache } from '../watch-cache.ts'
import type { FlowCounters } from './flow-counters.ts'
import { Levels, type Flow } from './levels.ts'
import type { Seat } from './queue-set.ts'
import { estimateWork, ONE_SEAT, type Stock } from './work-estimate.ts'

/** Seats of the whole server (upstream: 400 reading and 200 writing requests). */
const CONCURRENCY = 600
/** How long a request may wait in its queue: a quarter of the time that it has (upstream's default is a minute). */
const MAX_WAIT_MS = 15_000
/** Streams are not limited: they last as long as their clients want. */
const LONG_RUNNING: ReadonlySet<string> = new Set(['attach', 'exec', 'proxy', 'log', 'portforward'])
/** As long as their askers want. */
const PROFILES = '/debug/pprof/'
/** Sizes of a resource's objects are looked at this often, and so many of them. */
const SAMPLE_PERIOD_MS = 10_000
const SAMPLED = 16

/** The place of a request: `release` is called once, when it is answered. */
export type Place = Pick<Seat, 'isWatch' | 'release'>

export type Admitted =
  | { readonly isServed: true; readonly seat: Place; readonly flow?: Flow }
  | { readonly isServed: false; readonly answer: ApiResponse }

export interface RequestLimiter {
  /** A seat, at once or after a while; undefined: the request is not limited. */
  admit(request: ApiRequest, info: RequestInfo, user: UserInfo): Admitted | Promise<Admitted> | undefined
  /** Counts a watch; call what it returns when the watch has ended. */
  watching(info: RequestInfo): () => void
}

export const isStream = ({ isResource, subresource, path }: RequestInfo): boolean =>
  isResource ? subresource !== '' && LONG_RUNNING.has(subresource) : path.startsWith(PROFILES)

export function turnedAway(retryAfterS: number, headers: Readonly<Record<string, string>> = {}): Admitted {
  return {
    isServed: false,
    answer: {
      type: 'raw',
      status: 429,
      contentType: 'text/plain; charset=utf-8',
      body: new TextEncoder().encode('Too many requests, please try again later.\n'),
      headers: { ...headers, 'Retry-After': String(retryAfterS), 'X-Content-Type-Options': 'nosniff' },
    },
  }
}

export class FlowControl implements RequestLimiter {
  readonly levels: Levels
  readonly #runtime: Runtime
  readonly #registry: ResourceRegistry
  /** Watches from outside by "group/resource namespace name"; those of one node's pods are not counted (as upstream). */
  readonly #watches = new Map<string, number>()
  readonly #samples = new WeakMap<ResourceCache, { readonly atMs: number; readonly averageBytes: number }>()

  /** `concurrency`: seats of the whole server. */
  constructor(runtime: Runtime, registry: ResourceRegistry, concurrency = CONCURRENCY) {
    this.#runtime = runtime
    this.#registry = registry
    this.levels = new Levels(runtime.clock, concurrency)
  }

  admit(request: ApiRequest, info: RequestInfo, user: UserInfo): Admitted | Promise<Admitted> | undefined {
    if (isStream(info)) return undefined
    const nowMs = this.#runtime.clock.monotonic()
    this.levels.adjust(nowMs)
    const flow = this.levels.flowOf(info, user)
    const { level, counters } = flow
    const work =
      info.verb === 'get'
        ? ONE_SEAT
        : estimateWork(info, request.query, (group, resource) => this.#stockOf(group, resource, info, counters), level.maxSeats)
    counters.estimatedSeats.observe(Math.max(work.initialSeats, work.finalSeats))
    const outcome = level.queues.start(
      nowMs,
      { work, shard: flow.shard(user.name, info.namespace), counters, asked: { user, info } },
      () => ({
        signal: request.signal,
        maxWaitMs: MAX_WAIT_MS,
      }),
    )
    if (typeof outcome === 'string') return this.#refuse(flow)
    if (outcome instanceof Promise) return outcome.then((seat) => (seat ? { isServed: true, seat, flow } : this.#refuse(flow)))
    return { isServed: true, seat: outcome, flow }
  }

  #refuse({ level, headers }: Flow): Admitted {
    level.dropped.record(this.#runtime.clock.now())
    return turnedAway(level.dropped.retryAfterS, headers)
  }

  watching({ group, resource, namespace, name, fieldSelector = '' }: RequestInfo): () => void {
    if (resource === 'pods' && /(^|,)spec\.nodeName==?[^,]/.test(fieldSelector)) return () => {}
    const key = `${group}/${resource} ${namespace} ${name}`
    this.#watches.set(key, (this.#watches.get(key) ?? 0) + 1)
    return () => {
      const left = (this.#watches.get(key) ?? 0) - 1
      if (left > 0) this.#watches.set(key, left)
      else this.#watches.delete(key)
    }
  }

  #stockOf(group: string, resource: string, { namespace, name, verb }: RequestInfo, counters: FlowCounters): Stock | undefined {
    const cache = this.#registry.stored(group, resource)?.cache
    if (!cache) return undefined
    if (verb === 'list' || verb === 'watch') return { objectCount: cache.size, averageBytes: this.averageBytes(cache), watcherCount: 0 }
    const count = (place: string) => this.#watches.get(`${group}/${resource} ${place}`) ?? 0
    const own = namespace === '' ? 0 : count(`${namespace} `)
    const watcherCount = count(' ') + own + (name === '' ? 0 : count(`${namespace} ${name}`))
    counters.watchCounts.observe(watcherCount)
    return { objectCount: 0, averageBytes: 0, watcherCount }
  }

  /** Of a few of its objects. */
  averageBytes(cache: ResourceCache): number {
    const nowMs = this.#runtime.clock.monotonic()
    const known = this.#samples.get(cache)
    if (known && nowMs - known.atMs < SAMPLE_PERIOD_MS) return known.averageBytes
    let count = 0
    let bytes = 0
    cache.walk('', undefined, (item) => {
      bytes += item.bytes.length
      return ++count < SAMPLED
    })
    const averageBytes = count === 0 ? 0 : bytes / count
    this.#samples.set(cache, { atMs: nowMs, averageBytes })
    return averageBytes
  }
}
