/** A server over the memory store for tests, and a short way to call it over the direct transport. */
import type { ApiRequest, ApiResponse, UserInfo, WatchEvent } from '../api/exchange.ts'
import type { KubeObject } from '../api/object.ts'
import { isServedByDefault, resources as infos } from '../api/resources.ts'
import type { Clock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { createMemoryStore } from '../store/memory.ts'
import { createApiServer, type ApiServer, type ApiServerOptions } from './api-server.ts'

export interface FakeClock extends Clock {
  advance(ms: number): void
}

export function fakeClock(startMs = Date.parse('2026-01-01T00:00:00Z')): FakeClock {
  let nowMs = startMs
  const timers = new Set<{ readonly atMs: number; readonly callback: () => void }>()
  return {
    now: () => nowMs,
    monotonic: () => nowMs - startMs,
    setTimeout(callback, delayMs) {
      const timer = { atMs: nowMs + delayMs, callback }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    advance(ms) {
      nowMs += ms
      for (const timer of [...timers].toSorted((a, b) => a.atMs - b.atMs)) {
        if (timer.atMs > nowMs || !timers.delete(timer)) continue
        timer.callback()
      }
    },
  }
}

export interface Answer {
  readonly status: number
  readonly body: KubeObject
  readonly response: ApiResponse
}

export interface TestServer {
  readonly server: ApiServer
  readonly clock: FakeClock
  call(
    method: ApiRequest['method'],
    url: string,
    object?: unknown,
    options?: { readonly user?: UserInfo; readonly headers?: Record<string, string> },
  ): Promise<Answer>
  /** Begins a watch; `first` resolves with its first `count` events. */
  watch(url: string, count: number, options?: { readonly user?: UserInfo }): Promise<{ readonly first: Promise<readonly WatchEvent[]> }>
}

export const ADMIN: UserInfo = { name: 'admin', groups: ['system:masters'] }

export async function startServer(
  t: { after(callback: () => Promise<void>): void },
  options: Partial<ApiServerOptions> = {},
): Promise<TestServer> {
  const clock = fakeClock()
  const runtime = { clock, random: seededRandom(1), log: silentLog }
  const server = createApiServer(runtime, {
    store: createMemoryStore(),
    infos: infos.filter(isServedByDefault),
    resources: [],
    admission: [],
    nodeConnector: () => undefined,
    ...options,
  })
  const stop = new AbortController()
  const running = server.run(stop.signal)
  t.after(async () => {
    stop.abort()
    await running
  })
  await server.started
  const call: TestServer['call'] = async (method, url, object, { user = ADMIN, headers = {} } = {}) => {
    const { pathname, searchParams } = new URL(url, 'http://x')
    const response = await server.transport(user)({
      method,
      path: decodeURIComponent(pathname),
      query: searchParams,
      headers,
      signal: stop.signal,
      ...(object === undefined ? {} : { body: { object: object as KubeObject } }),
    })
    return { status: response.status, body: bodyOf(response), response }
  }
  return {
    server,
    clock,
    call,
    async watch(url, count, watchOptions) {
      const { response } = await call('GET', url, undefined, watchOptions)
      if (response.type !== 'watch') throw new Error(`not a watch: ${JSON.stringify(bodyOf(response))}`)
      const { events } = response
      return { first: take(events, count) }
    },
  }
}

async function take(events: AsyncIterable<readonly WatchEvent[]>, count: number): Promise<readonly WatchEvent[]> {
  const seen: WatchEvent[] = []
  for await (const batch of events) {
    seen.push(...batch)
    if (seen.length >= count) break
  }
  return seen
}

function bodyOf(response: ApiResponse): KubeObject {
  if (response.type === 'object') return response.stored.object
  if (response.type === 'list') {
    const { apiVersion, kind, metadata, items } = response
    return { apiVersion, kind, metadata, items: items.map((item) => item.object) }
  }
  if (response.type === 'raw' && response.body instanceof Uint8Array) return { text: new TextDecoder().decode(response.body) }
  return {}
}
