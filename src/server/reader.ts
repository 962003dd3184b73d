/** How the server itself reads and writes: hooks and admission plugins look into the cache, and quota counts up its usage. */
import type { Kinds } from '../api/generated/kinds.ts'
import type { KubeObject } from '../api/object.ts'
import { failure } from '../api/status.ts'
import type { Store } from '../store/store.ts'
import type { InternalWriter } from './admission.ts'
import { withMetadata, without } from './metadata.ts'
import type { Reader } from './resource.ts'
import type { ResourceRegistry } from './resource-registry.ts'
import { Revision, serialise } from './revision.ts'
import type { WatchCaches } from './watch-cache.ts'

export function createReader(registry: ResourceRegistry): Reader {
  return {
    get<K extends keyof Kinds>(kind: K, namespace: string | undefined, name: string): Kinds[K] | undefined {
      const served = registry.ofKind(kind)
      const found = served?.stored.cache.get(served.stored.isNamespaced ? `${namespace}/${name}` : name)
      return found && served && (found.in(served.view).object as Kinds[K])
    },
    list<K extends keyof Kinds>(kind: K, namespace?: string): readonly Kinds[K][] {
      const served = registry.ofKind(kind)
      const found: Kinds[K][] = []
      served?.stored.cache.walk(
        namespace === undefined ? '' : `${namespace}/`,
        undefined,
        (item) => void found.push(item.in(served.view).object as Kinds[K]),
      )
      return found
    },
  }
}

/** How often an internal write is tried against newer states before it gives up. */
const ATTEMPTS = 20

export function createWriter(registry: ResourceRegistry, store: Store, caches: WatchCaches): InternalWriter {
  return {
    async update<K extends keyof Kinds>(kind: K, namespace: string | undefined, name: string, change: (current: Kinds[K]) => Kinds[K]) {
      const served = registry.ofKind(kind)
      if (!served) return undefined
      const { stored } = served
      const key = stored.isNamespaced ? `${namespace}/${name}` : name
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        const current = stored.cache.get(key)
        if (!current) return undefined
        const next = change(current.object as Kinds[K]) as KubeObject
        if (next === current.object) return next as Kinds[K]
        const value = withMetadata(next, without(next.metadata!, 'resourceVersion'))
        const bytes = serialise(value)
        const outcome = await store.commit([{ key: stored.prefix + key, value: bytes, decoded: value, expected: current.revision }])
        if ('revision' in outcome) {
          await caches.caughtUp(outcome.revision)
          return new Revision(key, outcome.revision, bytes, value).object as Kinds[K]
        }
        await caches.caughtUp(store.revision)
      }
      throw failure('Conflict', `${kind} ${key} is written by too many at once`)
    },
  }
}
