/**
 * The objects of one kind as last seen, by key and by indices. Holds the very objects that the transport handed over: with the
 * direct transport those of the server's watch cache. Reads never copy an object.
 */
import type { ObjectMeta } from '../api/generated/meta/v1.ts'
import { keyOf } from '../api/object.ts'
import { assert } from '../base/assert.ts'

export interface Cached {
  readonly metadata?: ObjectMeta
}

/** The values that an object is found under in one index. */
export type IndexFunction<T> = (object: T) => readonly string[] | string | undefined

export interface ObjectCache<T> {
  readonly size: number
  /** By "namespace/name", or "name" for cluster-scoped kinds. */
  get(key: string): T | undefined
  values(): IterableIterator<T>
  list(): readonly T[]
  byNamespace(namespace: string): readonly T[]
  byIndex(index: string, value: string): readonly T[]
}

/** The side of the cache that its informer writes. */
export interface WritableObjectCache<T> extends ObjectCache<T> {
  /** Returns what was there before. */
  set(key: string, object: T): T | undefined
  delete(key: string): T | undefined
  keys(): IterableIterator<string>
  /** Adds an index over what is there and what comes. Adding the same function under the same name again does nothing. */
  addIndex(name: string, values: IndexFunction<T>): void
}

/** By metadata.namespace: always there. */
export const NAMESPACE_INDEX = 'namespace'

/** Ready-made indices: pass the same function everywhere, so that the shared cache keeps one. */
export const byControllerUid: IndexFunction<Cached> = (object) => object.metadata?.ownerReferences?.find((owner) => owner.controller)?.uid
export const byOwnerUid: IndexFunction<Cached> = (object) => object.metadata?.ownerReferences?.map((owner) => owner.uid)
export const byNodeName: IndexFunction<{ readonly spec?: { readonly nodeName?: string } | undefined }> = (object) => object.spec?.nodeName

interface Index<T> {
  readonly values: IndexFunction<T>
  readonly buckets: Map<string, Map<string, T>>
}

const asList = (values: readonly string[] | string | undefined): readonly string[] =>
  values === undefined ? [] : typeof values === 'string' ? [values] : values

export function createObjectCache<T extends Cached>(): WritableObjectCache<T> {
  const objects = new Map<string, T>()
  const indices = new Map<string, Index<T>>([[NAMESPACE_INDEX, { values: (object) => object.metadata?.namespace, buckets: new Map() }]])

  function insert(index: Index<T>, key: string, object: T): void {
    for (const value of asList(index.values(object))) {
      let bucket = index.buckets.get(value)
      if (!bucket) index.buckets.set(value, (bucket = new Map()))
      bucket.set(key, object)
    }
  }

  function remove(index: Index<T>, key: string, object: T): void {
    for (const value of asList(index.values(object))) {
      const bucket = index.buckets.get(value)
      if (bucket?.delete(key) && bucket.size === 0) index.buckets.delete(value)
    }
  }

  const lookUp = (name: string, value: string): readonly T[] => {
    const index = indices.get(name)
    assert(index, `no index "${name}" was declared`)
    const bucket = index.buckets.get(value)
    return bucket ? [...bucket.values()] : []
  }

  return {
    get size() {
      return objects.size
    },
    get: (key) => objects.get(key),
    values: () => objects.values(),
    keys: () => objects.keys(),
    list: () => [...objects.values()],
    byNamespace: (namespace) => lookUp(NAMESPACE_INDEX, namespace),
    byIndex: lookUp,
    set(key, object) {
      const previous = objects.get(key)
      objects.set(key, object)
      for (const index of indices.values()) {
        if (previous !== undefined) remove(index, key, previous)
        insert(index, key, object)
      }
      return previous
    },
    delete(key) {
      const previous = objects.get(key)
      if (previous === undefined) return undefined
      objects.delete(key)
      for (const index of indices.values()) remove(index, key, previous)
      return previous
    },
    addIndex(name, values) {
      const known = indices.get(name)
      if (known) {
        assert(known.values === values, `two different indices are named "${name}"`)
        return
      }
      const index: Index<T> = { values, buckets: new Map() }
      for (const object of objects.values()) insert(index, keyOf(object), object)
      indices.set(name, index)
    },
  }
}
