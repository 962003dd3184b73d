/** How many seats a request takes, and for how long after its answer (k8s.io/apiserver/pkg/util/flowcontrol/request). */
import type { RequestInfo } from '../request-info.ts'
import { isTrue } from '../request-info.ts'

export interface Work {
  /** While it is served. */
  readonly initialSeats: number
  /** After it was answered, while those who watch are told. */
  readonly finalSeats: number
  readonly additionalMs: number
}

/** What is known of a resource's objects. */
export interface Stock {
  readonly objectCount: number
  readonly averageBytes: number
  readonly watcherCount: number
}

export const ONE_SEAT: Work = { initialSeats: 1, finalSeats: 0, additionalMs: 0 }

const MAX_LIST_SEATS = 100
const MAX_MUTATING_SEATS = 10
const BYTES_PER_SEAT = 100_000
/** A list from the cache is written in blocks: more than this is never held at once. */
const MAX_CACHED_LIST_BYTES = 1_000_000
const WATCHES_PER_SEAT = 10
const EVENT_MS = 5
const MUTATING: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete'])

/** `levelMaxSeats`: what a level gives one request at most, 0 where it does not say. */
export function estimateWork(
  info: RequestInfo,
  query: URLSearchParams,
  stockOf: (group: string, resource: string) => Stock | undefined,
  levelMaxSeats: number,
): Work {
  const { verb } = info
  if (!info.isResource || verb === 'get') return ONE_SEAT
  if (MUTATING.has(verb)) return mutatingWork(info, stockOf, levelMaxSeats)
  if (verb !== 'list' && verb !== 'watch') return ONE_SEAT
  if (verb === 'watch' && !beginsWithList(query)) return ONE_SEAT
  const stock = stockOf(info.group, info.resource)
  if (!stock) return ONE_SEAT
  const most = bounded(levelMaxSeats, MAX_LIST_SEATS)
  const limit = Number(query.get('limit') ?? 0)
  const wanted = limit > 0 ? Math.min(limit, stock.objectCount) : stock.objectCount
  const objects = info.name === '' ? wanted : 1
  const bytes = Math.min(objects * stock.averageBytes, MAX_CACHED_LIST_BYTES)
  return seats(Math.min(most, Math.max(1, Math.ceil(bytes / BYTES_PER_SEAT))))
}

/** A watch of what there is now, by the parameter or by having no revision to begin from. */
function beginsWithList(query: URLSearchParams): boolean {
  const version = query.get('resourceVersion') ?? ''
  return version === '' || version === '0' || isTrue(query.get('sendInitialEvents'))
}

function mutatingWork(
  { group, resource, subresource }: RequestInfo,
  stockOf: (group: string, resource: string) => Stock | undefined,
  levelMaxSeats: number,
): Work {
  // Tokens are stored nowhere: nobody hears of them.
  if (resource === 'serviceaccounts' && subresource === 'token') return ONE_SEAT
  const watchers = stockOf(group, resource)?.watcherCount ?? 0
  if (watchers < WATCHES_PER_SEAT) return ONE_SEAT
  const wanted = Math.ceil(watchers / WATCHES_PER_SEAT)
  const finalSeats = Math.min(wanted, bounded(levelMaxSeats, MAX_MUTATING_SEATS))
  return { initialSeats: 1, finalSeats, additionalMs: (wanted * EVENT_MS) / finalSeats }
}

const bounded = (levelMaxSeats: number, most: number): number => (levelMaxSeats === 0 ? most : Math.min(levelMaxSeats, most))

const byWidth: readonly Work[] = Array.from({ length: MAX_LIST_SEATS + 1 }, (_, initialSeats) => ({ ...ONE_SEAT, initialSeats }))
const seats = (count: number): Work => byWidth[count]!
