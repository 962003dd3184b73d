/**
 * ConfigMaps, Secrets and claims that the node's pods refer to: each watched by itself for as long as a pod refers to it, since a
 * node may read only those (upstream's watch-based manager). A change reaches every pod that refers to the object at once.
 */
import { sleep } from '../base/clock.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Client, ObjectOf } from '../client/client.ts'
import { createInformer, type Informer } from '../client/informer.ts'

export type FollowedKind = 'v1/ConfigMap' | 'v1/Secret'

export interface Reference {
  readonly kind: FollowedKind
  readonly name: string
}

/** The objects of one pod. */
export interface FollowedObjects {
  /** Undefined when it does not exist; rejects when that cannot be learnt in time. */
  get<K extends FollowedKind>(kind: K, name: string): Promise<ObjectOf<K> | undefined>
  /** What is known at once, for objects that were awaited before. */
  known<K extends FollowedKind>(kind: K, name: string): ObjectOf<K> | undefined
  release(): void
}

export interface ObjectFollower {
  follow(namespace: string, references: readonly Reference[], onChange: () => void): FollowedObjects
}

const SYNC_TIMEOUT_MS = 10_000

interface Followed {
  readonly informer: Informer<never>
  readonly stop: AbortController
  readonly listeners: Set<() => void>
}

const idOf = (kind: string, namespace: string, name: string) => `${kind} ${namespace}/${name}`

export function createObjectFollower(runtime: Runtime, client: Client, signal: AbortSignal): ObjectFollower {
  const followed = new Map<string, Followed>()

  function acquire(kind: FollowedKind, namespace: string, name: string, listener: () => void): Followed {
    const id = idOf(kind, namespace, name)
    let entry = followed.get(id)
    if (!entry) {
      const informer = createInformer(runtime, client, kind, { namespace, fieldSelector: `metadata.name=${name}` })
      const listeners = new Set<() => void>()
      const stop = new AbortController()
      entry = { informer: informer as unknown as Informer<never>, stop, listeners }
      followed.set(id, entry)
      const tell = () => {
        // Before the first list is complete nobody has used the object yet.
        if (informer.hasSynced) for (const call of listeners) call()
      }
      informer.addHandlers({ added: tell, updated: tell, deleted: tell })
      void informer.run(AbortSignal.any([signal, stop.signal]))
    }
    entry.listeners.add(listener)
    return entry
  }

  return {
    follow(namespace, references, onChange) {
      // One listener object a pod: a Set holds a function once, so pods must not share one.
      const listener = () => onChange()
      const ids = new Map<string, Followed>()
      for (const { kind, name } of references) ids.set(idOf(kind, namespace, name), acquire(kind, namespace, name, listener))
      const find = (kind: string, name: string) => ids.get(idOf(kind, namespace, name))
      return {
        async get<K extends FollowedKind>(kind: K, name: string) {
          const informer = find(kind, name)?.informer as unknown as Informer<ObjectOf<K>> | undefined
          if (!informer) return undefined
          if (!informer.hasSynced) {
            const done = new AbortController()
            const timeout = sleep(runtime.clock, SYNC_TIMEOUT_MS, AbortSignal.any([signal, done.signal])).then(
              () => 'late' as const,
              () => 'stopped' as const,
            )
            const first = await Promise.race([informer.synced, timeout])
            done.abort()
            if (first === 'late')
              throw new Error(`failed to sync ${kind.slice(3).toLowerCase()} cache: timed out waiting for the condition`)
          }
          return informer.cache.get(`${namespace}/${name}`)
        },
        known<K extends FollowedKind>(kind: K, name: string) {
          return (find(kind, name)?.informer as unknown as Informer<ObjectOf<K>> | undefined)?.cache.get(`${namespace}/${name}`)
        },
        release() {
          for (const [id, entry] of ids) {
            entry.listeners.delete(listener)
            if (entry.listeners.size > 0) continue
            entry.stop.abort()
            followed.delete(id)
          }
          ids.clear()
        },
      }
    },
  }
}
