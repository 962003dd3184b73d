/**
 * Reading one's own writes. A controller reads caches that lag behind the server; a decision from a cache without its own last
 * write would be made twice (two pods too many). So its client notes every write, and its key is not looked at again until the
 * caches hold them all. Upstream's controllers each keep 'expectations' for that.
 */
import type { KubeObject, ObjectKey } from '../api/object.ts'
import { isApiError } from '../api/status.ts'
import { sleep } from '../base/clock.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Client, DeleteOptions, KindName, ObjectOf, PatchOptions, PatchType, WriteOptions } from '../client/client.ts'
import { revisionOf } from '../client/informer.ts'
import type { Informer } from '../client/informer.ts'
import type { Informers } from '../client/informers.ts'

export interface OwnWrites {
  /** Writes through this client are noted. */
  readonly client: Client
  /** Resolves when the caches hold every write noted so far; false when they did not within the deadline. */
  settled(signal: AbortSignal): Promise<boolean>
}

/** A cache that does not catch up within this time is broken; going on is then better than standing still. */
const SETTLE_DEADLINE_MS = 30_000

interface Unseen {
  readonly informer: Informer<unknown>
  readonly isSeen: () => boolean
}

type Cached = { readonly metadata?: KubeObject['metadata'] }

export function createOwnWrites(runtime: Runtime, client: Client, informers: Informers): OwnWrites {
  const revisions = new Map<string, number>()
  const deleted: { readonly kind: string; readonly key: string; readonly uid: string | undefined }[] = []

  function noteRevision<T>(kind: string, object: T, options: WriteOptions | undefined): T {
    const revision = options?.dryRun ? 0 : revisionOf(object as KubeObject)
    if (revision > (revisions.get(kind) ?? 0)) revisions.set(kind, revision)
    return object
  }

  function noteDeletion(kind: string, key: ObjectKey): void {
    const text = key.namespace ? `${key.namespace}/${key.name}` : key.name
    const cached = informers.find(kind)?.cache.get(text) as Cached | undefined
    if (cached) deleted.push({ kind, key: text, uid: cached.metadata?.uid })
  }

  const isDeletionSeen = (informer: Informer<unknown>, key: string, uid: string | undefined): boolean => {
    const cached = informer.cache.get(key) as Cached | undefined
    return !cached || cached.metadata?.uid !== uid || cached.metadata?.deletionTimestamp !== undefined
  }

  /** What is not seen yet; empty nearly always, since a watch in the same process is quicker than an answer. */
  function unseen(): readonly Unseen[] {
    const found: Unseen[] = []
    const look = (kind: string, isSeen: (informer: Informer<unknown>) => boolean): void => {
      const informer = informers.find(kind) as Informer<unknown> | undefined
      if (informer && !isSeen(informer)) found.push({ informer, isSeen: () => isSeen(informer) })
    }
    for (const [kind, revision] of revisions) look(kind, (informer) => informer.revision >= revision)
    for (const { kind, key, uid } of deleted) look(kind, (informer) => isDeletionSeen(informer, key, uid))
    revisions.clear()
    deleted.length = 0
    return found
  }

  return {
    client: {
      ...client,
      create: async <K extends KindName>(kind: K, object: ObjectOf<K>, options?: WriteOptions) =>
        noteRevision(kind, await client.create(kind, object, options), options),
      update: async <K extends KindName>(kind: K, object: ObjectOf<K>, options?: WriteOptions) =>
        noteRevision(kind, await client.update(kind, object, options), options),
      patch: async <K extends KindName>(kind: K, key: ObjectKey, type: PatchType, patch: unknown, options?: PatchOptions) =>
        noteRevision(kind, await client.patch(kind, key, type, patch, options), options),
      async delete<K extends KindName>(kind: K, key: ObjectKey, options?: DeleteOptions) {
        try {
          const answer = await client.delete(kind, key, options)
          if (!options?.dryRun) noteDeletion(kind, key)
          return answer
        } catch (error) {
          if (isApiError(error, 'NotFound')) noteDeletion(kind, key)
          throw error
        }
      },
    },
    async settled(signal) {
      const late = unseen()
      if (late.length === 0) return true
      const over = new AbortController()
      const until = AbortSignal.any([signal, over.signal])
      const pending = late.map(({ informer, isSeen }) => informer.waitUntil(isSeen, until))
      const deadline = sleep(runtime.clock, SETTLE_DEADLINE_MS, over.signal).then(
        () => false,
        () => true,
      )
      const caughtUp = Promise.all(pending).then(
        () => true,
        () => false,
      )
      const isSettled = await Promise.race([caughtUp, deadline])
      over.abort()
      return isSettled
    },
  }
}
