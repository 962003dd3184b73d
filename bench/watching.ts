/**
 * Watchers that count. A server ends the watches of clients that are behind; like every client they then go on from the last event
 * that came, so that each event is counted once, whoever made the server.
 */
import { eachOf, expect, makeNamespace, NAMESPACE, openMany, tellBegun } from './asking.ts'
import { openConnection } from './connection.ts'
import type { Endpoint } from '../upstream/endpoint.ts'
import { openMultiplexed, type Multiplexed } from './multiplexed.ts'

/** How long events may take to reach their watchers after the last write. */
const DELIVERY_TIMEOUT_MS = 120_000

/** Objects written before the watches begin. */
const WARM_UP = 2000

/** Bytes in a buffer that grows and is used again. */
class Gathered {
  size = 0
  #buffer = Buffer.allocUnsafe(4096)

  add(bytes: Buffer, start: number, end: number): void {
    const size = this.size + end - start
    if (size > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(2 * size)
      this.#buffer.copy(larger, 0, 0, this.size)
      this.#buffer = larger
    }
    bytes.copy(this.#buffer, this.size, start, end)
    this.size = size
  }

  toString(): string {
    return this.#buffer.toString('utf8', 0, this.size)
  }
}

/** Counts the lines of a watch, one an event, and keeps the bytes of the last whole one. */
export class Lines {
  count = 0
  /** The last whole line, and what has come of the next; in buffers that are used again for every line. */
  #last = new Gathered()
  #begun = new Gathered()

  /** The bytes may change afterwards. */
  add(bytes: Buffer): void {
    const end = bytes.lastIndexOf(10)
    if (end < 0) return this.#begun.add(bytes, 0, bytes.length)
    for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) this.count++
    const before = end === 0 ? -1 : bytes.lastIndexOf(10, end - 1)
    if (before >= 0) this.#begun.size = 0
    this.#begun.add(bytes, before + 1, end)
    ;[this.#last, this.#begun] = [this.#begun, this.#last]
    this.#begun.size = 0
    this.#begun.add(bytes, end + 1, bytes.length)
  }

  last(): string | undefined {
    return this.#last.size === 0 ? undefined : this.#last.toString()
  }
}

/** The resourceVersion to go on from after a watch that ended with this line. */
function versionAfter(line: string): string {
  const { type, object } = JSON.parse(line) as { type: string; object: { metadata?: { resourceVersion?: string }; message?: string } }
  const version = object.metadata?.resourceVersion
  if (type === 'ERROR' || version === undefined) throw new Error(`a watch ended with ${type}: ${object.message}`)
  return version
}

interface Following {
  readonly path: string
  readonly resourceVersion: string
  onEvents(count: number): void
  onResume(): void
  onError(error: unknown): void
}

type Open = () => Promise<Multiplexed>

/** Watches until the connection that is open last is closed. */
class Follower {
  #connection: Multiplexed | undefined
  readonly #open: Open
  readonly #following: Following
  #isClosed = false

  constructor(open: Open, following: Following) {
    this.#open = open
    this.#following = following
  }

  async start(resourceVersion = this.#following.resourceVersion): Promise<void> {
    const { path, onEvents } = this.#following
    const connection = await this.#open()
    this.#connection = connection
    if (this.#isClosed) return connection.close()
    const lines = new Lines()
    const status = await connection.stream(
      `${path}?watch=true&resourceVersion=${resourceVersion}`,
      (bytes) => {
        const before = lines.count
        lines.add(bytes)
        onEvents(lines.count - before)
      },
      () => this.#resume(lines.last(), resourceVersion),
    )
    if (status !== 200) throw new Error(`watch answered ${status}`)
  }

  #resume(line: string | undefined, begunAt: string): void {
    if (this.#isClosed) return
    const { onResume, onError } = this.#following
    onResume()
    this.#connection?.close()
    try {
      this.start(line === undefined ? begunAt : versionAfter(line)).catch(onError)
    } catch (error) {
      onError(error)
    }
  }

  close(): void {
    this.#isClosed = true
    this.#connection?.close()
  }
}

export interface WatchOptions {
  readonly watchers: number
  readonly writers: number
  readonly objects: number
  /** So many of HTTP/2, which all watches share; else each watch has one of its own. */
  readonly connections?: number
  readonly path: string
  /** The body of the object with that number. */
  readonly body: (index: number) => string
}

export interface WatchResult {
  readonly perSecond: number
  readonly deliveries: number
  readonly seconds: number
  /** How often the server ended a watch. */
  readonly resumed: number
  /** What one cost the processor here, with the creates. */
  readonly clientCpuMicros: number
}

/** Writers make `objects` objects as fast as they can while every watcher watches: events that reached watchers a second. */
export async function measureWatches(endpoint: Endpoint, options: WatchOptions): Promise<WatchResult> {
  const { watchers, writers, objects, path, body } = options
  const connections = await openMany(endpoint, writers)
  await makeNamespace(connections[0]!, NAMESPACE)
  // Neither server is measured cold.
  await eachOf(connections, WARM_UP, (connection, index) => expect(connection, [201], 'POST', path, body(objects + index)))
  const list = JSON.parse(await expect(connections[0]!, [200], 'GET', `${path}?limit=1`)) as { metadata: { resourceVersion: string } }
  const wanted = watchers * objects
  const all = Promise.withResolvers<void>()
  // Looked at below, when the writers are done.
  all.promise.catch(() => undefined)
  let deliveries = 0
  let resumed = 0
  const shared = await Promise.all(Array.from({ length: options.connections ?? 0 }, () => openMultiplexed(endpoint)))
  const openAt = (index: number): Open => {
    const one = shared[index % shared.length]
    return one ? async () => ({ stream: one.stream, close: () => undefined }) : () => openConnection(endpoint)
  }
  const followers = Array.from(
    { length: watchers },
    (_, index) =>
      new Follower(openAt(index), {
        path,
        resourceVersion: list.metadata.resourceVersion,
        onEvents(count) {
          deliveries += count
          if (deliveries >= wanted) all.resolve()
        },
        onResume: () => resumed++,
        onError: all.reject,
      }),
  )
  for (const follower of followers) await follower.start()
  tellBegun()
  const start = performance.now()
  const before = process.cpuUsage()
  await eachOf(connections, objects, (connection, index) => expect(connection, [201], 'POST', path, body(index)))
  const late = setTimeout(
    () => all.reject(new Error(`${deliveries} of ${wanted} events had come after ${DELIVERY_TIMEOUT_MS / 1000} s`)),
    DELIVERY_TIMEOUT_MS,
  )
  await all.promise.finally(() => clearTimeout(late))
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(before)
  for (const one of [...connections, ...followers, ...shared]) one.close()
  return { perSecond: deliveries / seconds, deliveries, seconds, resumed, clientCpuMicros: (user + system) / deliveries }
}
