/**
 * The contract of admission: what may look at, change or refuse a write after it is decoded and allowed, and before it is
 * stored. The pipeline calls every plugin's `admit` in order (each sees what the one before made), applies defaults again,
 * validates the object, and then calls every `validate`. Plugins that call out (webhooks) return promises; the others stay
 * synchronous, so that a write without webhooks never waits.
 *
 * Refusing is throwing an ApiError; a Forbidden one made by `admissionDenied` reads as upstream's.
 */
import type { UserInfo } from '../api/exchange.ts'
import type { KubeObject } from '../api/object.ts'
import type { ResourceInfo } from '../api/schema.ts'
import { failure, qualifiedResource, type ApiError } from '../api/status.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Kinds } from '../api/generated/kinds.ts'
import type { AdmissionMetrics } from './admission-metrics.ts'
import type { Reader } from './resource.ts'

export type AdmissionOperation = 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT'

export interface AdmissionContext {
  readonly runtime: Runtime
  /** Counts what plugins ask of others. */
  readonly metrics?: AdmissionMetrics
  /** Reads from the watch cache: immediate. */
  readonly read: Reader
  readonly write: InternalWriter
  /** Adds a text for a `Warning` header of the answer. */
  warn(text: string): void
  /** Adds an annotation to the audit event of the request, where one is kept, and of the level at least. The first value of a key stays. */
  annotate?(key: string, value: string, level?: 'Request'): void
}

/** Writes of the server itself (quota usage): past authorisation, admission and validation; retried when another write came between. */
export interface InternalWriter {
  /**
   * Replaces the object by what `change` makes of it; `change` may throw to refuse and may return its argument to write nothing.
   * Resolves with what is stored, or undefined when there is no such object.
   */
  update<K extends keyof Kinds>(
    kind: K,
    namespace: string | undefined,
    name: string,
    change: (current: Kinds[K]) => Kinds[K],
  ): Promise<Kinds[K] | undefined>
}

export interface AdmissionAttributes {
  readonly operation: AdmissionOperation
  /** The resource as it was asked for. `object` and `oldObject` are in the version that is stored (see Resource.version). */
  readonly resource: ResourceInfo
  readonly subresource: string | undefined
  /** Undefined for cluster-scoped resources. For a Namespace itself: its own name, as upstream has it. */
  readonly namespace: string | undefined
  /** Empty in `admit` of a create: the name is only in the object, and a generateName becomes a name after `admit`. */
  readonly name: string
  /** What would be stored; for CONNECT and subresources with their own kind, the body; undefined on DELETE. */
  readonly object: KubeObject | undefined
  /** What is stored now; undefined on CREATE and CONNECT. */
  readonly oldObject: KubeObject | undefined
  /** The decoded CreateOptions, UpdateOptions, PatchOptions or DeleteOptions. */
  readonly options: KubeObject
  readonly user: UserInfo
  readonly dryRun: boolean
  readonly context: AdmissionContext
  /** Given to `admit` of writes. */
  readonly rounds?: AdmissionRounds
}

/** Mutating admission has a second round when what it calls out to changed the object: all plugins look at it once more. */
export interface AdmissionRounds {
  readonly isSecond: boolean
  wantSecond(): void
  /** What a plugin keeps from the first round for the second, by its name. */
  readonly state: Map<string, unknown>
}

export interface AdmissionPlugin {
  /** Upstream's name: "NamespaceLifecycle", "ServiceAccount", "ResourceQuota". */
  readonly name: string
  /** Cheap: called for every write. */
  handles(attributes: AdmissionAttributes): boolean
  /** Returns the object to go on with (its argument's `object` when nothing changes). */
  admit?(attributes: AdmissionAttributes): KubeObject | undefined | Promise<KubeObject | undefined>
  validate?(attributes: AdmissionAttributes): void | Promise<void>
  /**
   * For what `validate` took in advance (quota): called when the write failed or was refused after this plugin's `validate` had
   * passed it.
   */
  undo?(attributes: AdmissionAttributes): void | Promise<void>
}

/** Upstream's admission.NewForbidden: `pods "a" is forbidden: why`. */
export function admissionDenied(attributes: Pick<AdmissionAttributes, 'resource' | 'name' | 'object'>, why: string): ApiError {
  const { group, resource } = attributes.resource
  const name = attributes.name || attributes.object?.metadata?.name || attributes.object?.metadata?.generateName || 'Unknown'
  return failure('Forbidden', `${qualifiedResource(group, resource)} "${name}" is forbidden: ${why}`, {
    details: { name, ...(group ? { group } : {}), kind: resource },
  })
}
