/**
 * Runs controllers: shared informers, a work queue and a recorder of events for each, retries with back-off. At rest nothing
 * runs: no poll, no periodic rescan; a controller that needs to look again later says so in its outcome.
 */
import { isApiError } from '../api/status.ts'
import { assert } from '../base/assert.ts'
import { sleep } from '../base/clock.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Client, KindName, ObjectOf } from '../client/client.ts'
import { createEventRecorder } from '../client/events.ts'
import { createInformers } from '../client/informers.ts'
import type { Informers } from '../client/informers.ts'
import type { ObjectCache } from '../client/object-cache.ts'
import { createWorkQueue } from '../client/work-queue.ts'
import type { WorkQueue } from '../client/work-queue.ts'
import type { Caches, Change, Controller } from './controller.ts'
import type { ControllerMetrics } from './metrics.ts'
import { createOwnWrites } from './own-writes.ts'

export interface RunControllersOptions {
  /** Informers to share with other components; whoever made them runs them. Default: own ones. */
  readonly informers?: Informers
  readonly metrics?: ControllerMetrics
}

const DEFAULT_WORKERS = 5
/** Races lost in a row before they are told. */
const PATIENCE = 5
/** How long the last events may take to be written. */
const FLUSH_DEADLINE_MS = 2000

/** Runs all controllers until the signal aborts and what was under way has ended. */
export async function runControllers(
  runtime: Runtime,
  client: Client,
  controllers: readonly Controller[],
  signal: AbortSignal,
  options: RunControllersOptions = {},
): Promise<void> {
  const informers = options.informers ?? createInformers(runtime, client)
  const running = controllers.map((controller) => runController(runtime, client, informers, controller, signal, options))
  await Promise.all(options.informers ? running : [informers.run(signal), ...running])
}

async function runController(
  runtime: Runtime,
  client: Client,
  informers: Informers,
  controller: Controller,
  signal: AbortSignal,
  { metrics }: RunControllersOptions,
): Promise<void> {
  const log = runtime.log.with({ controller: controller.name })
  const own = { ...runtime, log }
  const queue = createWorkQueue(own, metrics ? { observer: metrics.observerOf(controller.name) } : {})
  metrics?.watch(controller.name, queue)
  const events = createEventRecorder(own, client, {
    component: controller.eventSource ?? controller.component ?? `${controller.name}-controller`,
  })
  const caches = cachesOf(informers, controller)
  const removeHandlers = connect(informers, controller, caches, queue)

  async function work(key: string): Promise<void> {
    const writes = createOwnWrites(own, client, informers)
    try {
      const outcome = await controller.reconcile(key, { runtime: own, client: writes.client, caches, events, signal })
      queue.forget(key)
      if (outcome?.afterMs !== undefined) queue.addAfter(key, outcome.afterMs)
    } catch (error) {
      if (signal.aborted) return
      // Someone else wrote or deleted first: ordinary, unless it goes on. A streak of failures of a key is told once.
      const failures = queue.failuresOf(key) + 1
      const isTold = failures === (isApiError(error, 'Conflict', 'NotFound') ? PATIENCE : 1)
      log[isTold ? 'warn' : 'debug']('reconciliation failed', { key, error, failures })
      queue.addRateLimited(key)
    }
    if (!(await writes.settled(signal)) && !signal.aborted) log.warn('own writes not seen in time', { key })
  }

  try {
    await Promise.race([Promise.all(controller.reads.map((kind) => informers.of(kind).synced)), aborted(signal)])
    if (signal.aborted) return
    await controller.start?.({
      runtime: own,
      client,
      caches,
      informers,
      signal,
      enqueue: (key, afterMs = 0) => queue.addAfter(key, afterMs),
    })
    await queue.run(signal, controller.workers ?? DEFAULT_WORKERS, work)
  } finally {
    for (const remove of removeHandlers) remove()
    // What is left to tell must not keep a process that stops from stopping.
    const isTold = new AbortController()
    await Promise.race([events.flush(), sleep(runtime.clock, FLUSH_DEADLINE_MS, isTold.signal).catch(() => undefined)])
    isTold.abort()
    events.close()
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  signal.aborted ? Promise.resolve() : new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))

function cachesOf(informers: Informers, controller: Controller): Caches {
  return {
    of<K extends KindName>(kind: K): ObjectCache<ObjectOf<K>> {
      const informer = informers.find(kind)
      assert(informer && controller.reads.includes(kind), `${controller.name} does not declare that it reads ${kind}`)
      return informer.cache
    },
  }
}

function connect(informers: Informers, controller: Controller, caches: Caches, queue: WorkQueue): (() => void)[] {
  for (const { kind } of controller.watches)
    assert(controller.reads.includes(kind), `${controller.name} watches ${kind}, which it does not declare to read`)
  const informersOf = new Map(
    controller.watches.map((watch) => [
      watch,
      informers.of<KindName>(watch.kind, watch.indices as Parameters<typeof informers.of<KindName>>[1]),
    ]),
  )
  for (const kind of controller.reads) informers.of(kind)
  return controller.watches.map((watch) => {
    const tell = (change: Change<unknown>): void => {
      for (const key of watch.keys(change as Change<never>, caches)) queue.add(key)
    }
    return informersOf.get(watch)!.addHandlers({
      added: (object) => tell({ type: 'added', object }),
      updated: (object, old) => tell({ type: 'updated', object, old }),
      deleted: (object) => tell({ type: 'deleted', object }),
    })
  })
}
