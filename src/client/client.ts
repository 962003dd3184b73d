/**
 * The typed client that every component uses; only the transport knows whether the server is in this process or across HTTPS.
 * Kinds are named "v1/Pod", "apps/v1/Deployment"; those of the schema are typed by the generated table, any other name is a
 * plain object (custom resources, found by discovery).
 */
import type { Kinds } from '../api/generated/kinds.ts'
import type { WatchEventType } from '../api/exchange.ts'
import type { KubeObject, ObjectKey } from '../api/object.ts'
import type { ResourceInfo } from '../api/schema.ts'
import type { ListMeta, Status } from '../api/generated/meta/v1.ts'

export type KindName = keyof Kinds | (string & {})
export type ObjectOf<K extends KindName> = K extends keyof Kinds ? Kinds[K] : KubeObject

export interface ListOptions {
  /** All namespaces when absent. */
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  readonly limit?: number
  readonly continue?: string
  readonly resourceVersion?: string
  readonly resourceVersionMatch?: 'Exact' | 'NotOlderThan'
}

export interface WatchOptions extends ListOptions {
  readonly allowWatchBookmarks?: boolean
  readonly sendInitialEvents?: boolean
  readonly timeoutSeconds?: number
  readonly signal: AbortSignal
}

export interface WriteOptions {
  readonly dryRun?: boolean
  readonly fieldManager?: string
  readonly fieldValidation?: 'Ignore' | 'Warn' | 'Strict'
  /** "status", "scale", "binding", "token", "eviction"... */
  readonly subresource?: string
}

export interface PatchOptions extends WriteOptions {
  readonly force?: boolean
}

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan'
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string }
  readonly dryRun?: boolean
}

export type PatchType = 'json' | 'merge' | 'strategic' | 'apply'

export interface List<T> {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ListMeta
  readonly items: readonly T[]
}

export interface TypedWatchEvent<T> {
  readonly type: WatchEventType
  /** For ERROR a Status; for BOOKMARK only metadata.resourceVersion and annotations. */
  readonly object: T
}

/** What discovery tells: every resource that the server serves, in every version, and the group versions it could not tell of. */
export interface Discovery {
  readonly resources: readonly ResourceInfo[]
  /** One resource per group and plural, in the version that the server prefers. */
  readonly preferred: readonly ResourceInfo[]
  /** "apps/v1" and why it is not known: an aggregated server that does not answer. */
  readonly failures: ReadonlyMap<string, string>
}

/** Every call rejects with ApiError on failure. `namespace` in a key is required for namespaced kinds. */
export interface Client {
  get<K extends KindName>(kind: K, key: ObjectKey, options?: { readonly subresource?: string }): Promise<ObjectOf<K>>
  list<K extends KindName>(kind: K, options?: ListOptions): Promise<List<ObjectOf<K>>>
  watch<K extends KindName>(kind: K, options: WatchOptions): AsyncIterable<readonly TypedWatchEvent<ObjectOf<K>>[]>
  /** apiVersion and kind are filled in; the namespace is the object's own. */
  create<K extends KindName>(kind: K, object: ObjectOf<K>, options?: WriteOptions): Promise<ObjectOf<K>>
  update<K extends KindName>(kind: K, object: ObjectOf<K>, options?: WriteOptions): Promise<ObjectOf<K>>
  patch<K extends KindName>(kind: K, key: ObjectKey, type: PatchType, patch: unknown, options?: PatchOptions): Promise<ObjectOf<K>>
  delete<K extends KindName>(kind: K, key: ObjectKey, options?: DeleteOptions): Promise<ObjectOf<K> | Status>
  deleteCollection<K extends KindName>(kind: K, options?: ListOptions & DeleteOptions): Promise<void>
  /** POSTs to a subresource whose body and answer are of another kind: binding, eviction, token, scale. */
  createSubresource(kind: KindName, key: ObjectKey, subresource: string, body: KubeObject): Promise<KubeObject>
  /** The resource of a kind, from the schema or by discovery; rejects with UnknownKind when the server does not serve it. */
  resourceOf(kind: KindName): Promise<ResourceInfo>
  /** Asks the server anew what it serves. */
  discover(): Promise<Discovery>
  /** The JSON at a path that stands for no kind, such as those of the metrics APIs. `path` is encoded already. */
  getPath(path: string, query?: Readonly<Record<string, string>>): Promise<unknown>
}
