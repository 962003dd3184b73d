/**
 * Keeps flow control as its objects say: what changes is in force within the change itself; the bootstrap objects are there from the
 * start and put back within a minute; and each FlowSchema's status tells whether its priority level exists.
 */
import type { FlowSchema, FlowSchemaCondition, PriorityLevelConfiguration } from '../../api/generated/flowcontrol/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { sleep, timestamp } from '../../base/clock.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { uuid } from '../../base/random.ts'
import type { Change } from '../../store/store.ts'
import type { Core } from '../core.ts'
import { withMetadata, without } from '../metadata.ts'
import { serialise } from '../revision.ts'
import type { ResourceCache } from '../watch-cache.ts'
import { AUTO_UPDATE, mandatoryLevels, mandatorySchemas, suggestedLevels, suggestedSchemas } from './bootstrap.ts'
import type { Levels } from './levels.ts'

const GROUP = 'flowcontrol.apiserver.k8s.io'
const KIND = 'flowcontrol.apiserver.k8s.io/v1/FlowSchema'
/** After a change, the bootstrap objects are looked at again this much later. */
const RECONCILE_MS = 60_000

export interface FlowConfiguration {
  /** Writes what is missing of the bootstrap objects. Call when the caches are loaded. */
  ensure(): Promise<void>
  run(signal: AbortSignal): Promise<void>
}

/** Call before the caches are loaded. */
export function createFlowConfiguration(core: Core, levels: Levels): FlowConfiguration {
  return new Configuration(core, levels)
}

class Configuration implements FlowConfiguration {
  readonly #core: Core
  readonly #levels: Levels
  readonly #schemas: ResourceCache
  readonly #configurations: ResourceCache
  #found: ReadonlyMap<FlowSchema, boolean> = new Map()
  #wake: (() => void) | undefined
  #isChanged = false

  constructor(core: Core, levels: Levels) {
    this.#core = core
    this.#levels = levels
    this.#schemas = core.caches.of(GROUP, 'flowschemas')
    this.#configurations = core.caches.of(GROUP, 'prioritylevelconfigurations')
    for (const cache of [this.#schemas, this.#configurations]) cache.observe(() => this.#digest())
  }

  #digest(): void {
    this.#found = this.#levels.configure(objectsOf<FlowSchema>(this.#schemas), objectsOf<PriorityLevelConfiguration>(this.#configurations))
    this.#isChanged = true
    this.#wake?.()
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#core.runtime
    signal.addEventListener('abort', () => this.#wake?.(), { once: true })
    let ensureAtMs: number | undefined
    while (!signal.aborted) {
      if (!this.#isChanged) {
        const changed = new Promise<void>((resolve) => (this.#wake = resolve))
        const due = new AbortController()
        const timer = ensureAtMs === undefined ? undefined : sleep(clock, ensureAtMs - clock.monotonic(), due.signal).catch(() => {})
        await (timer ? Promise.race([changed, timer]) : changed)
        due.abort()
      }
      if (signal.aborted) return
      try {
        if (this.#isChanged) {
          this.#isChanged = false
          ensureAtMs ??= clock.monotonic() + RECONCILE_MS
          await this.#tellDangling()
        } else if (ensureAtMs !== undefined && clock.monotonic() >= ensureAtMs) {
          ensureAtMs = undefined
          await this.ensure()
        }
      } catch (error) {
        log.warn('flow control could not write its objects', { error: error instanceof Error ? error.message : String(error) })
        ensureAtMs ??= clock.monotonic() + RECONCILE_MS
      }
    }
  }

  async #tellDangling(): Promise<void> {
    for (const [schema, isFound] of this.#found) {
      if (!isFound === isDangling(schema)) continue
      await this.#core.writer.update(KIND, undefined, schema.metadata?.name ?? '', (current) => {
        const others = (current.status?.conditions ?? []).filter(({ type }) => type !== 'Dangling')
        const condition = dangling(current, isFound, timestamp(this.#core.runtime.clock))
        return { ...current, status: { ...current.status, conditions: [condition, ...others] } }
      })
    }
  }

  async ensure(): Promise<void> {
    const { store, caches, runtime } = this.#core
    const changes = [
      ...this.#changesOf(this.#configurations, suggestedLevels, mandatoryLevels),
      ...this.#changesOf(this.#schemas, suggestedSchemas, mandatorySchemas),
    ]
    if (changes.length === 0) return
    const outcome = await store.commit(changes)
    if ('conflict' in outcome) runtime.log.info('flow control objects were written by someone else', { key: outcome.conflict })
    else await caches.caughtUp(outcome.revision)
  }

  *#changesOf(cache: ResourceCache, suggested: readonly KubeObject[], mandatory: readonly KubeObject[]): Iterable<Change> {
    const wanted = new Set<string>()
    for (const [objects, isMandatory] of [
      [suggested, false],
      [mandatory, true],
    ] as const) {
      for (const object of objects) {
        const name = object.metadata!.name!
        wanted.add(name)
        const existing = cache.get(name)
        const value = existing ? revised(existing.object, object, isMandatory) : this.#fresh(object)
        if (value) yield change(cache, name, value, existing?.revision ?? 0)
      }
    }
    // Of an earlier version, and nobody's since.
    const unwanted: Change[] = []
    cache.walk('', undefined, ({ object, revision }, name) => {
      if (!wanted.has(name) && object.metadata?.annotations?.[AUTO_UPDATE] === 'true')
        unwanted.push(change(cache, name, undefined, revision))
    })
    yield* unwanted
  }

  #fresh(wanted: KubeObject): KubeObject {
    const { clock, random } = this.#core.runtime
    const now = timestamp(clock)
    const made = withMetadata(wanted, { ...wanted.metadata, uid: uuid(random), generation: 1, creationTimestamp: now })
    return { ...made, status: wanted.kind === 'FlowSchema' ? { conditions: [dangling(wanted, true, now)] } : {} }
  }
}

const objectsOf = <T extends KubeObject>(cache: ResourceCache): readonly T[] => {
  const found: T[] = []
  cache.walk('', undefined, ({ object }) => void found.push(object as T))
  return found
}

const change = (cache: ResourceCache, name: string, value: KubeObject | undefined, expected: number): Change => ({
  key: `/registry/${cache.group}/${cache.resource}/${name}`,
  ...(value ? { value: serialise(value), decoded: value } : { value: undefined }),
  expected,
})

/** The object as it should be; undefined when it is. The annotation says whether a suggested one may still be put right. */
function revised(current: KubeObject, wanted: KubeObject, isMandatory: boolean): KubeObject | undefined {
  const told = current.metadata?.annotations?.[AUTO_UPDATE]
  const isOurs = isMandatory || (told === 'true' || told === 'false' ? told === 'true' : current.metadata?.generation === 1)
  const isSpecRight = !isOurs || deepEqual(current.spec, wanted.spec)
  if (isSpecRight && told === String(isOurs)) return undefined
  const annotations = { ...current.metadata?.annotations, [AUTO_UPDATE]: String(isOurs) }
  const generation = (current.metadata?.generation ?? 1) + (isSpecRight ? 0 : 1)
  const metadata = { ...without(current.metadata!, 'resourceVersion'), annotations, generation }
  return { ...current, metadata, ...(isSpecRight ? {} : { spec: wanted.spec }) }
}

function isDangling({ status, spec }: FlowSchema): boolean | undefined {
  const told = status?.conditions?.find(({ type }) => type === 'Dangling')
  if (!told?.message?.includes(JSON.stringify(spec?.priorityLevelConfiguration?.name ?? ''))) return undefined
  if (told.status === 'True' && told.reason === 'NotFound') return true
  return told.status === 'False' && told.reason === 'Found' ? false : undefined
}

function dangling({ spec }: FlowSchema, isFound: boolean, lastTransitionTime: string): FlowSchemaCondition {
  const name = JSON.stringify(spec?.priorityLevelConfiguration?.name ?? '')
  const about = `This FlowSchema references the PriorityLevelConfiguration object named ${name}`
  return {
    type: 'Dangling',
    status: isFound ? 'False' : 'True',
    lastTransitionTime,
    reason: isFound ? 'Found' : 'NotFound',
    message: `${about} ${isFound ? 'and it exists' : 'but there is no such object'}`,
  }
}
