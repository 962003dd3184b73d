/**
 * The priority levels as they are configured now, and what each may do at once: its nominal share of the server, of which it lends
 * what it does not use to others, and borrows from them (KEP-1040). Levels that are gone serve what they have, then go.
 */
import type { UserInfo } from '../../api/exchange.ts'
import type { FlowSchema, PriorityLevelConfiguration } from '../../api/generated/flowcontrol/v1.ts'
import type { Clock } from '../../base/clock.ts'
import { allocate } from './allocation.ts'
import { mandatoryLevels, mandatorySchemas } from './bootstrap.ts'
import { DroppedRequests } from './dropped-requests.ts'
import { FlowCounters } from './flow-counters.ts'
import { byPrecedence, isMatch, matcherOf, type Matcher } from './matching.ts'
import { QueueSet, type Queuing, type Shard } from './queue-set.ts'
import { SeatDemand, type Demand } from './seat-demand.ts'
import type { RequestInfo } from '../request-info.ts'
import { flowHash } from './shuffle-sharding.ts'
import { Turn } from './turn.ts'

/** How often limits follow demand. */
const ADJUSTMENT_MS = 10_000
/** Demand is smoothed over about five minutes. */
const SMOOTHING = 0.977
/** One request gets at most this part of its level. */
const MAX_SEATS_PART = 0.15
/** Flows that are remembered with their queues. */
const MAX_FLOWS = 10_000
/** Users whose schemas are remembered. */
const MAX_USERS = 1000

const NO_DEMAND: Demand = { highWatermark: 0, average: 0, deviation: 0 }

export class Level {
  readonly name: string
  readonly demand: SeatDemand
  readonly queues: QueueSet
  readonly dropped = new DroppedRequests()
  configuration: PriorityLevelConfiguration
  isQuiescing = false
  isNew = true
  nominal = 0
  minimum = 0
  maximum = 0
  current = 0
  target = 0
  maxSeats = 0
  seen: Demand = NO_DEMAND
  smoothed = 0

  constructor(configuration: PriorityLevelConfiguration, clock: Clock, turn: Turn) {
    this.name = configuration.metadata?.name ?? ''
    this.configuration = configuration
    this.demand = new SeatDemand(clock.monotonic())
    this.queues = new QueueSet(clock, turn, this.demand)
  }

  get isExempt(): boolean {
    return this.configuration.spec?.type === 'Exempt'
  }

  get shares(): { readonly nominal: number; readonly lendablePercent: number; readonly borrowingPercent: number | undefined } {
    const { limited, exempt } = this.configuration.spec ?? {}
    return {
      nominal: (limited ?? exempt)?.nominalConcurrencyShares ?? 0,
      lendablePercent: (limited ?? exempt)?.lendablePercent ?? 0,
      borrowingPercent: limited?.borrowingLimitPercent,
    }
  }

  get queuing(): Queuing | undefined {
    const { queues = 64, handSize = 8, queueLengthLimit = 50 } = this.configuration.spec?.limited?.limitResponse?.queuing ?? {}
    return this.configuration.spec?.limited?.limitResponse?.type === 'Queue' ? { queues, handSize, queueLengthLimit } : undefined
  }

  configure(): void {
    this.queues.configure({ queuing: this.queuing, isExempt: this.isExempt, limit: this.current })
  }
}

/** A FlowSchema that leads to a level. */
export class Flow {
  readonly name: string
  readonly matches: Matcher
  readonly level: Level
  readonly counters: FlowCounters
  /** What an answer tells of its classification: uids, so that names are not told. */
  readonly headers: Readonly<Record<string, string>>
  readonly #distinguisher: string | undefined
  readonly #shards = new Map<string, Shard>()

  constructor(schema: FlowSchema, level: Level, counters: FlowCounters) {
    this.name = schema.metadata?.name ?? ''
    this.matches = matcherOf(schema)
    this.level = level
    this.counters = counters
    this.#distinguisher = schema.spec?.distinguisherMethod?.type
    this.headers = {
      'X-Kubernetes-PF-FlowSchema-UID': schema.metadata?.uid ?? '',
      'X-Kubernetes-PF-PriorityLevel-UID': level.configuration.metadata?.uid ?? '',
    }
  }

  /** Tells the flows of a schema apart: by who asks, or where. */
  shard(user: string, namespace: string): Shard {
    const key = this.#distinguisher === 'ByUser' ? user : this.#distinguisher === 'ByNamespace' ? namespace : ''
    let shard = this.#shards.get(key)
    if (!shard) {
      if (this.#shards.size >= MAX_FLOWS) this.#shards.clear()
      this.#shards.set(
        key,
        (shard = { schema: this.name, distinguisher: key, hash: flowHash(this.name, key), hand: [], queuing: undefined }),
      )
    }
    return shard
  }
}

export class Levels {
  readonly #clock: Clock
  readonly #concurrency: number
  readonly #turn: Turn
  #levels = new Map<string, Level>()
  #flows: readonly Flow[] = []
  readonly #users = new Map<string, KnownUser>()
  readonly #counters = new Map<string, FlowCounters>()
  #nominalSum = 0
  #adjustedMs: number
  #next = 0
  fairFraction = 0

  /** `concurrency`: the seats of the whole server. */
  constructor(clock: Clock, concurrency: number) {
    this.#clock = clock
    this.#concurrency = concurrency
    this.#turn = new Turn(clock, () => this.#resume())
    this.#adjustedMs = clock.monotonic()
    this.configure([], [])
  }

  get flows(): readonly Flow[] {
    return this.#flows
  }

  all(): Iterable<Level> {
    return this.#levels.values()
  }

  /** The first schema that matches; the last one does, but for users of no group at all. */
  flowOf(info: RequestInfo, user: UserInfo): Flow {
    for (const { flow, rules } of this.#schemasOf(user)) if (isMatch(rules, info)) return flow
    return this.#flows.at(-1)!
  }

  #schemasOf(user: UserInfo): KnownUser['schemas'] {
    const known = this.#users.get(user.name)
    if (known && isSameList(known.groups, user.groups)) return known.schemas
    if (this.#users.size >= MAX_USERS) this.#users.clear()
    const schemas = this.#flows.map((flow) => ({ flow, rules: flow.matches(user) })).filter(({ rules }) => rules.length > 0)
    this.#users.set(user.name, { groups: user.groups, schemas })
    return schemas
  }

  /** Takes in all configuration anew; what is broken does not exist. Returns the schemas by whether their level exists. */
  configure(schemas: readonly FlowSchema[], configurations: readonly PriorityLevelConfiguration[]): ReadonlyMap<FlowSchema, boolean> {
    const next = new Map<string, Level>()
    for (const configuration of [...configurations.filter(isSound), ...mandatoryLevels]) {
      const name = configuration.metadata?.name ?? ''
      if (next.has(name)) continue
      const level = this.#levels.get(name) ?? new Level(configuration, this.#clock, this.#turn)
      level.configuration = configuration
      level.isQuiescing = false
      next.set(name, level)
    }
    const isFound = new Map(schemas.map((schema) => [schema, next.has(schema.spec?.priorityLevelConfiguration?.name ?? '')]))
    for (const [name, level] of this.#levels) {
      if (next.has(name) || level.queues.isIdle) continue
      level.isQuiescing = true
      next.set(name, level)
    }
    this.#levels = next
    this.#users.clear()
    this.#flows = this.#flowsOf(schemas.filter((schema) => isFound.get(schema)))
    this.#divide()
    return isFound
  }

  #flowsOf(schemas: readonly FlowSchema[]): readonly Flow[] {
    const names = new Set(schemas.map(({ metadata }) => metadata?.name))
    const all = [...schemas, ...mandatorySchemas.filter(({ metadata }) => !names.has(metadata?.name))].toSorted(byPrecedence)
    const kept = new Set<string>()
    const flows = all.map((schema) => {
      const level = this.#levels.get(schema.spec?.priorityLevelConfiguration?.name ?? '')!
      const key = `${level.name}/${schema.metadata?.name ?? ''}`
      kept.add(key)
      let counters = this.#counters.get(key)
      if (!counters) this.#counters.set(key, (counters = new FlowCounters()))
      return new Flow(schema, level, counters)
    })
    for (const key of this.#counters.keys()) if (!kept.has(key)) this.#counters.delete(key)
    return flows
  }

  #divide(): void {
    const levels = [...this.#levels.values()]
    const shareSum = levels.reduce((sum, { shares }) => sum + shares.nominal, 0)
    this.#nominalSum = 0
    for (const level of levels) {
      const { nominal, lendablePercent, borrowingPercent } = level.shares
      level.nominal = shareSum === 0 ? 0 : Math.ceil((this.#concurrency * nominal) / shareSum)
      const lendable = Math.round((level.nominal * lendablePercent) / 100)
      level.minimum = level.nominal - lendable
      level.maximum =
        level.nominal + (borrowingPercent === undefined ? this.#concurrency : Math.round((level.nominal * borrowingPercent) / 100))
      this.#nominalSum += level.nominal
      const { queuing } = level
      level.maxSeats = queuing
        ? Math.max(1, Math.min(Math.ceil(level.nominal * MAX_SEATS_PART), Math.floor(level.nominal / queuing.handSize)))
        : 0
      if (level.isNew) level.current = level.nominal - Math.trunc(lendable / 2)
      level.isNew = false
    }
    this.#adjust(this.#clock.monotonic())
  }

  /** Limits follow demand when the time has come. Cheap otherwise: called with every request. */
  adjust(nowMs: number): void {
    if (nowMs - this.#adjustedMs >= ADJUSTMENT_MS) this.#adjust(nowMs)
  }

  #adjust(nowMs: number): void {
    this.#adjustedMs = nowMs
    const levels = [...this.#levels.values()].filter((level) => {
      if (!level.isQuiescing || !level.queues.isIdle) return true
      this.#levels.delete(level.name)
      return false
    })
    for (const level of levels) note(level, level.demand.take(nowMs))
    const limited = levels.filter(({ isExempt }) => !isExempt)
    let left = this.#nominalSum
    for (const level of levels) {
      if (!level.isExempt) continue
      level.current = Math.max(level.minimum, level.seen.highWatermark)
      left -= level.current
    }
    const least = limited.map(({ minimum, nominal, seen }) => Math.max(minimum, Math.min(nominal, seen.highWatermark)))
    const minimumSum = limited.reduce((sum, { minimum }) => sum + minimum, 0)
    const leastSum = least.reduce((sum, value) => sum + value, 0)
    for (const [i, level] of limited.entries()) level.target = Math.max(least[i]!, level.smoothed)
    this.fairFraction = 0
    if (left <= minimumSum) for (const level of limited) level.current = level.minimum
    else if (left <= leastSum) {
      const part = (left - minimumSum) / (leastSum - minimumSum)
      for (const [i, level] of limited.entries()) level.current = level.minimum + Math.round((least[i]! - level.minimum) * part)
    } else {
      const claimants = limited.map(({ target, maximum }, i) => ({ target, lowerBound: least[i]!, upperBound: maximum }))
      const allocation = allocate(this.#nominalSum, claimants)
      this.fairFraction = allocation?.fairFraction ?? 0
      if (allocation) for (const [i, level] of limited.entries()) level.current = Math.round(allocation.shares[i]!)
    }
    for (const level of levels) level.configure()
  }

  /** Each level takes one that waits in its turn, until there is no room or nobody. */
  #resume(): void {
    const levels = [...this.#levels.values()]
    let idle = 0
    while (idle < levels.length) {
      this.#next = (this.#next + 1) % levels.length
      idle = levels[this.#next]!.queues.dispatchOne(this.#clock.monotonic()) ? 0 : idle + 1
    }
  }
}

interface KnownUser {
  readonly groups: readonly string[]
  readonly schemas: readonly { readonly flow: Flow; readonly rules: ReturnType<Matcher> }[]
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

function note(level: Level, demand: Demand | undefined): void {
  if (!demand) return
  level.seen = demand
  const envelope = demand.average + demand.deviation
  level.smoothed = Math.max(envelope, SMOOTHING * level.smoothed + (1 - SMOOTHING) * envelope)
}

/** Only the level "exempt" is exempt, and unions are whole. */
function isSound({ metadata, spec }: PriorityLevelConfiguration): boolean {
  const isExempt = spec?.type === 'Exempt'
  if (isExempt !== (metadata?.name === 'exempt') || isExempt !== (spec?.exempt !== undefined) || isExempt === (spec?.limited !== undefined))
    return false
  const response = spec?.limited?.limitResponse
  if (isExempt || response?.type === 'Reject') return response?.queuing === undefined
  const { queues = 64, handSize = 8 } = response?.queuing ?? {}
  return response?.queuing !== undefined && handSize <= queues
}
