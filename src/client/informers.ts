/**
 * The informers that the components of one process share: each kind is listed and watched once, however many components read it.
 * An informer starts when it is first asked for and `run` is under way, and ends with `run` or when it is forgotten.
 */
import { aborted } from '../base/abort.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Client, KindName, ObjectOf } from './client.ts'
import { createInformer } from './informer.ts'
import type { Informer, InformerOptions } from './informer.ts'
import type { IndexFunction } from './object-cache.ts'

export interface Informers {
  /** The shared informer of all objects of a kind; indices are added to it. */
  of<K extends KindName>(kind: K, indices?: Readonly<Record<string, IndexFunction<ObjectOf<K>>>>): Informer<ObjectOf<K>>
  /** The informer of a kind that somebody has asked for. */
  find<K extends KindName>(kind: K): Informer<ObjectOf<K>> | undefined
  /** Stops watching a kind, because the server no longer serves it. */
  forget(kind: KindName): void
  /** Resolves when every informer asked for so far has its first list. */
  synced(): Promise<void>
  /** Runs all informers, also those asked for later, until the signal aborts. */
  run(signal: AbortSignal): Promise<void>
}

export function createInformers(
  runtime: Runtime,
  client: Client,
  options: Pick<InformerOptions<unknown>, 'watchTimeoutSeconds'> = {},
): Informers {
  type Running = { readonly informer: Informer<never>; stop: AbortController | undefined; done: Promise<void> | undefined }
  const informers = new Map<string, Running>()
  let lifetime: AbortSignal | undefined

  function start(running: Running): void {
    if (!lifetime || lifetime.aborted || running.stop) return
    running.stop = new AbortController()
    running.done = running.informer.run(AbortSignal.any([lifetime, running.stop.signal]))
  }

  return {
    of(kind, indices) {
      let running = informers.get(kind)
      if (!running) {
        const informer = createInformer(runtime, client, kind, { ...options })
        informers.set(kind, (running = { informer: informer as unknown as Informer<never>, stop: undefined, done: undefined }))
        start(running)
      }
      const informer = running.informer as unknown as Informer<ObjectOf<typeof kind>>
      for (const [name, values] of Object.entries(indices ?? {})) informer.addIndex(name, values)
      return informer
    },
    find: (kind) => informers.get(kind)?.informer,
    forget(kind) {
      informers.get(kind)?.stop?.abort()
      informers.delete(kind)
    },
    async synced() {
      await Promise.all([...informers.values()].map(async (running) => running.informer.synced))
    },
    async run(signal) {
      lifetime = signal
      for (const running of informers.values()) start(running)
      await aborted(signal)
      await Promise.all([...informers.values()].map(async (running) => running.done))
    },
  }
}
