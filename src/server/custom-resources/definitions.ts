/**
 * Follows the CustomResourceDefinitions: gives them their names, serves what they define, and when one is deleted, first deletes its
 * objects. What is served changes within the very change of the watch cache, so that whoever had a definition answered meets it.
 */
import type { CustomResourceDefinition } from '../../api/generated/apiextensions/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { sleep, timestamp } from '../../base/clock.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import type { Core } from '../core.ts'
import { deleteUnasked } from '../delete.ts'
import type { StoredKind } from '../resource-registry.ts'
import type { ResourceCache } from '../watch-cache.ts'
import { isConditionTrue, withCondition, type WantedCondition } from './conditions.ts'
import type { ConversionWebhook } from './conversion.ts'
import { CLEANUP_FINALIZER } from './definition-kind.ts'
import { planStatus } from './names.ts'
import { servingOf } from './serving.ts'
import type { ValidationRules } from './validation-rules.ts'

const KIND = 'apiextensions.k8s.io/v1/CustomResourceDefinition'
const RETRY_MS = 1000

export interface Definitions {
  /** Sees to names, conditions and deletions until the signal aborts. */
  run(signal: AbortSignal): Promise<void>
}

/** Call before the caches are loaded. */
export function createDefinitions(core: Core, rules: ValidationRules | undefined, webhook: ConversionWebhook | undefined): Definitions {
  return new Follower(core, rules, webhook)
}

class Follower implements Definitions {
  readonly #core: Core
  readonly #rules: ValidationRules | undefined
  readonly #webhook: ConversionWebhook | undefined
  readonly #cache: ResourceCache
  /** What is served, by name, as it was defined then. */
  readonly #served = new Map<string, CustomResourceDefinition>()
  readonly #pending = new Set<string>()
  readonly #observed = new Set<ResourceCache>()
  #wake: (() => void) | undefined

  constructor(core: Core, rules: ValidationRules | undefined, webhook: ConversionWebhook | undefined) {
    this.#core = core
    this.#rules = rules
    this.#webhook = webhook
    this.#cache = core.caches.of('apiextensions.k8s.io', 'customresourcedefinitions')
    this.#cache.observe((change) => {
      if (!change) this.#followAll()
      else this.#follow(change.key, change.current?.object)
    })
  }

  #followAll(): void {
    const names = new Set<string>()
    this.#cache.walk('', undefined, ({ object }, name) => {
      names.add(name)
      this.#follow(name, object)
    })
    for (const name of this.#served.keys()) if (!names.has(name)) this.#follow(name, undefined)
  }

  /** Never throws: it runs within the feed of all caches. */
  #follow(name: string, object: KubeObject | undefined): void {
    try {
      this.#serve(name, object as CustomResourceDefinition | undefined)
    } catch (error) {
      this.#core.runtime.log.error('a CustomResourceDefinition cannot be served', { name, error: String(error) })
    }
    this.#queue(name)
  }

  #serve(name: string, definition: CustomResourceDefinition | undefined): void {
    const { registry } = this.#core
    const before = this.#served.get(name)
    if (!definition || !isConditionTrue(definition, 'Established')) {
      if (!before) return
      this.#served.delete(name)
      registry.remove(before.spec.group, before.spec.names.plural)
      this.#instances(before).endWatches()
      return
    }
    const isSame = before !== undefined && isServedAlike(before, definition)
    if (isSame && isConditionTrue(before, 'Terminating') === isConditionTrue(definition, 'Terminating')) return
    // What the server has of its own comes first.
    if (this.#builtIn(definition)) return
    const { resource, versions } = servingOf(definition, this.#rules, this.#webhook)
    registry.add(resource, versions)
    this.#served.set(name, definition)
    // Those who watch begin anew, with objects as they are now shown.
    if (before && !isSame) this.#instances(definition).endWatches()
  }

  #instances({ spec }: CustomResourceDefinition): ResourceCache {
    return this.#core.caches.of(spec.group, spec.names.plural)
  }

  #storedKind({ spec }: CustomResourceDefinition): StoredKind | undefined {
    return this.#core.registry.stored(spec.group, spec.names.plural)
  }

  #builtIn(definition: CustomResourceDefinition): boolean {
    return this.#storedKind(definition)?.isCustom === false
  }

  #queue(name: string): void {
    this.#pending.add(name)
    this.#wake?.()
  }

  async run(signal: AbortSignal): Promise<void> {
    const stop = () => this.#wake?.()
    signal.addEventListener('abort', stop, { once: true })
    while (!signal.aborted) {
      const [name] = this.#pending
      if (name === undefined) {
        await new Promise<void>((resolve) => (this.#wake = resolve))
        continue
      }
      this.#pending.delete(name)
      try {
        await this.#settle(name)
      } catch (error) {
        if (signal.aborted) return
        this.#core.runtime.log.warn('a CustomResourceDefinition is looked at again', { name, error: String(error) })
        this.#queue(name)
        await sleep(this.#core.runtime.clock, RETRY_MS, signal).catch((reason: unknown) => {
          if (!signal.aborted) throw reason
        })
      }
    }
  }

  async #settle(name: string): Promise<void> {
    const definition = this.#cache.get(name)?.object as CustomResourceDefinition | undefined
    if (!definition) return this.#queueGroup(name)
    const { finalizers, deletionTimestamp } = definition.metadata ?? {}
    if (deletionTimestamp !== undefined && finalizers?.includes(CLEANUP_FINALIZER)) return this.#finalize(name, definition)
    await this.#name(name)
  }

  /** The other definitions of the group may get names that are free now. */
  #queueGroup(name: string): void {
    const group = name.slice(name.indexOf('.') + 1)
    for (const other of this.#ofGroup(group, name)) if (!isConditionTrue(other, 'NamesAccepted')) this.#queue(other.metadata!.name!)
  }

  #ofGroup(group: string, except: string): readonly CustomResourceDefinition[] {
    const found: CustomResourceDefinition[] = []
    this.#cache.walk('', undefined, ({ object }, name) => {
      if (name !== except && object.spec?.group === group) found.push(object as unknown as CustomResourceDefinition)
    })
    return found
  }

  async #name(name: string): Promise<void> {
    const now = timestamp(this.#core.runtime.clock)
    let isReleasing = false
    await this.#core.writer.update(KIND, undefined, name, (current) => {
      const status = planStatus(current, this.#ofGroup(current.spec.group, name), now)
      if (status === current.status) return current
      isReleasing = !deepEqual(status?.acceptedNames, current.status?.acceptedNames)
      return { ...current, status: status! }
    })
    if (isReleasing) this.#queueGroup(name)
  }

  async #finalize(name: string, definition: CustomResourceDefinition): Promise<void> {
    const kind = this.#storedKind(definition)
    if (this.#builtIn(definition)) return this.#release(name, OVERLAPPING)
    if (!isConditionTrue(definition, 'Established') || !kind) return this.#release(name, NEVER_ESTABLISHED)
    await this.#condition(name, IN_PROGRESS)
    const keys: string[] = []
    kind.cache.walk('', undefined, (_item, key) => void keys.push(key))
    for (const key of keys) await deleteUnasked(this.#core, kind, key)
    if (kind.cache.size === 0) return this.#release(name, COMPLETED)
    // What is left waits for its own finalizers; the last one to go brings us back here.
    this.#observeEnd(kind.cache, name)
  }

  #observeEnd(cache: ResourceCache, name: string): void {
    if (this.#observed.has(cache)) return
    this.#observed.add(cache)
    cache.observe(() => {
      if (cache.size === 0) this.#queue(name)
    })
  }

  async #condition(name: string, condition: WantedCondition): Promise<void> {
    const now = timestamp(this.#core.runtime.clock)
    await this.#core.writer.update(KIND, undefined, name, (current) => {
      const conditions = withCondition(current.status?.conditions, condition, now)
      return conditions === current.status?.conditions ? current : { ...current, status: { ...current.status!, conditions } }
    })
  }

  /** Takes the finalizer off; without others the definition goes. */
  async #release(name: string, condition: WantedCondition): Promise<void> {
    await this.#condition(name, condition)
    const released = await this.#core.writer.update(KIND, undefined, name, (current) => {
      const finalizers = (current.metadata?.finalizers ?? []).filter((finalizer) => finalizer !== CLEANUP_FINALIZER)
      return { ...current, metadata: { ...current.metadata, finalizers } }
    })
    if (!released || released.metadata?.finalizers?.length) return
    const { store, caches } = this.#core
    const found = this.#cache.get(name)
    if (!found) return
    const outcome = await store.commit([
      { key: `/registry/apiextensions.k8s.io/customresourcedefinitions/${name}`, value: undefined, expected: found.revision },
    ])
    if ('revision' in outcome) await caches.caughtUp(outcome.revision)
  }
}

/** Nothing that the objects or their paths depend on differs. */
const isServedAlike = (a: CustomResourceDefinition, b: CustomResourceDefinition): boolean =>
  a.metadata?.uid === b.metadata?.uid && deepEqual(a.spec, b.spec) && deepEqual(a.status?.acceptedNames, b.status?.acceptedNames)

const terminating = (status: 'True' | 'False', reason: string, message: string): WantedCondition => ({
  type: 'Terminating',
  status,
  reason,
  message,
})

const IN_PROGRESS = terminating('True', 'InstanceDeletionInProgress', 'CustomResource deletion is in progress')
const COMPLETED = terminating('False', 'InstanceDeletionCompleted', 'removed all instances')
const NEVER_ESTABLISHED = terminating('False', 'NeverEstablished', 'resource was never established')
const OVERLAPPING = terminating('False', 'OverlappingBuiltInResource', 'instances overlap with built-in resources in storage')
