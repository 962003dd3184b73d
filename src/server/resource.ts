/**
 * What is particular to one kind on the server; everything general comes from the schema and the pipeline. A kind is one value
 * in one file under resources/, grouped by API group, and resources/index.ts lists them all. A kind of the schema without a file
 * is served with the general rules alone.
 */
import type { UserInfo } from '../api/exchange.ts'
import type { Kinds } from '../api/generated/kinds.ts'
import type { KubeObject } from '../api/object.ts'
import type { ApiError, FieldError } from '../api/status.ts'
import type { Runtime } from '../base/runtime.ts'

/** A printed column (metav1.TableColumnDefinition); `wide` ones have priority 1. */
export interface Column<T = KubeObject> {
  readonly name: string
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date'
  readonly format?: string
  readonly wide?: true
  /** Of a custom resource's column; `wide` ones of built-in kinds have 1. */
  readonly priority?: number
  readonly description: string
  cell(object: T, nowMs: number): string | number | boolean | null
}

/** What a write may need beside the object. */
export interface WriteContext {
  readonly runtime: Runtime
  readonly user: UserInfo
  readonly subresource: string | undefined
  readonly dryRun: boolean
  /** Reads of other objects, from the watch cache: immediate. */
  readonly read: Reader
}

export interface Reader {
  get<K extends keyof Kinds>(kind: K, namespace: string | undefined, name: string): Kinds[K] | undefined
  list<K extends keyof Kinds>(kind: K, namespace?: string): readonly Kinds[K][]
}

/**
 * A claim made while a write is under way (a cluster IP, a node port): kept when the write is committed, given back when it
 * fails or was a dry run.
 */
export interface Claim {
  keep(): void
  release(): void
}

/** An object that lives with another one. */
export interface Companion {
  readonly kind: keyof Kinds
  readonly object: KubeObject
}

export interface Resource<T extends KubeObject = KubeObject> {
  readonly group: string
  /** The version in which it is stored and in which every hook sees it. */
  readonly version: string
  readonly kind: string
  /** Every column in upstream's order, Name and Age among them (events begin with Last Seen, nodes end with Version). Default: Name and Age. */
  readonly columns?: readonly Column<T>[]
  /** TableRow.conditions: set for pods that have ended. */
  rowConditions?(
    object: T,
  ): readonly { readonly type: string; readonly status: string; readonly reason: string; readonly message: string }[]
  /** Values for `fieldSelector` beyond metadata.name and metadata.namespace, by path. */
  readonly fieldSelectors?: Readonly<Record<string, (object: T) => string>>
  /** False where the kind has no generation that counts spec changes (ConfigMap, Secret, Event...). Default: true when it has a spec. */
  readonly hasGeneration?: boolean

  /** Fills what upstream's defaulting functions fill, beyond the defaults of the schema. Runs on every write, before admission and again after. */
  setDefaults?(object: T): T
  /** What is wrong with a name of this kind, as texts (api/names.ts). Default: a DNS subdomain. */
  readonly nameFormat?: (name: string) => readonly string[]
  /** Runs after mutating admission, before validation: resets what a client may not set. The general rule already drops status on create. */
  prepareForCreate?(object: T, context: WriteContext): T
  prepareForUpdate?(next: T, old: T, context: WriteContext): T
  /** Rules beyond metadata and the shape that the schema gives. Runs on creates, and on updates before validateUpdate. */
  validate?(object: T): readonly FieldError[]
  /** Beyond validate, for creates alone. `apiVersion` is the request's: few rules depend on it, or on other objects. */
  validateCreate?(object: T, apiVersion: string, read: Reader): readonly FieldError[]
  /** `subresource` is undefined for the object itself; status goes to validateStatusUpdate where there is one. */
  validateUpdate?(next: T, old: T, subresource?: string, apiVersion?: string): readonly FieldError[]
  validateStatusUpdate?(next: T, old: T, read: Reader): readonly FieldError[]
  /** Texts for Warning headers; `old` is undefined for a create. */
  warnings?(object: T, old?: T): readonly string[]

  /** Takes what must be unique in the cluster and writes it into the object. Runs last, after validation. */
  claim?(next: T, old: T | undefined, context: WriteContext): { readonly object: T; readonly claim: Claim } | ApiError
  /** Why nothing new may be made now. */
  refuseCreate?(name: string): ApiError
  /** What a first delete makes of the object, past options and finalizers; undefined: deletion goes its usual way. */
  markForDeletion?(object: T, now: string): T | undefined
  /** Runs after an object is gone, to give back claims. */
  afterDelete?(object: T): void
  /** What is written and deleted in the same commit as the object. */
  companions?(object: T): readonly Companion[]

  /** Graceful deletion (pods): how long, or undefined for at once. */
  gracePeriodSeconds?(object: T, requested: number | undefined): number | undefined
  /** The finalizer that `orphan`/`foreground` default: propagation when the client names none. Default: Background. */
  readonly defaultPropagation?: 'Background' | 'Orphan'

  /** The scale subresource. Replicas are spec.replicas and status.replicas unless a custom resource says otherwise. */
  readonly scale?: {
    selector(object: T): string
    /** Undefined where a custom resource has no value: then there is nothing to scale. */
    replicas?(object: T): number | undefined
    /** How errors name where a custom resource keeps its replicas. */
    readonly specReplicasPath?: string
    statusReplicas?(object: T): number
    withReplicas?(object: T, replicas: number): T
  }
  /** Handlers of other subresources than status and scale, by name, are in server/subresources. */

  /** Other served versions: how they differ from the stored one. Versions not named differ by apiVersion alone. */
  readonly versions?: Readonly<Record<string, { fromStored(object: T): KubeObject; toStored(object: KubeObject): T }>>
}

type KindObject<K extends string> = K extends keyof Kinds ? Kinds[K] : KubeObject
type NameOf<G extends string, V extends string, K extends string> = G extends '' ? `${V}/${K}` : `${G}/${V}/${K}`

/** Checks a definition's types against its kind's generated type. */
export function defineResource<const G extends string, const V extends string, const K extends string>(
  resource: Resource<KindObject<NameOf<G, V, K>>> & { readonly group: G; readonly version: V; readonly kind: K },
): Resource {
  return resource as unknown as Resource
}
