/**
 * The audit log: what was asked of the server, by whom, and what became of it (audit.k8s.io/v1 Event). A request has a trail from when
 * it is known who asks; at each stage an event of all that is known goes to the backends. Without a policy there is no trail at all.
 */
import type { ApiRequest, ApiResponse, UserInfo } from '../../api/exchange.ts'
import type { UserInfo as AuthenticatedUser } from '../../api/generated/authentication/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { failure, type ApiError } from '../../api/status.ts'
import { microTimestamp } from '../../base/clock.ts'
import { uuid } from '../../base/random.ts'
import type { Runtime } from '../../base/runtime.ts'
import { without, withMetadata } from '../metadata.ts'
import type { RequestInfo } from '../request-info.ts'
import { isAtLeast, type AuditDecision, type AuditPolicy, type AuditStage } from './policy.ts'

export interface AuditEvent extends KubeObject {
  readonly kind: 'Event'
  readonly apiVersion: 'audit.k8s.io/v1'
  readonly level: string
  readonly auditID: string
  readonly stage: AuditStage
}

export interface AuditSink {
  /** Takes an event; a promise where that must be waited for. False: it was not kept, and the request is to fail. */
  record(event: AuditEvent): boolean | Promise<boolean>
}

export interface AuditOptions {
  readonly policy: AuditPolicy
  readonly sinks: readonly AuditSink[]
}

const MAX_USER_AGENT = 1024
/** A request may carry so many annotations; plugins are few, and each has a handful. */
const MAX_ANNOTATIONS = 256
/** Subresources whose answers last as long as the client wants (with watches). */
const LONG_RUNNING: ReadonlySet<string> = new Set(['attach', 'exec', 'proxy', 'log', 'portforward'])

export class Audit {
  readonly #runtime: Runtime
  readonly #options: AuditOptions

  constructor(runtime: Runtime, options: AuditOptions) {
    this.#runtime = runtime
    this.#options = options
  }

  /** Undefined when the policy does not tell of the request. */
  begin(request: ApiRequest, info: RequestInfo, user: UserInfo | undefined): Trail | undefined {
    const decision = this.#options.policy(info, user)
    return decision.level === 'None' ? undefined : new Trail(this.#runtime, this.#options.sinks, decision, request, info, user)
  }

  /** Of a request that proves nobody, one event tells: what was tried, and never with what. */
  async unauthenticated(request: ApiRequest, info: RequestInfo): Promise<void> {
    const trail = this.begin(request, info, undefined)
    if (!trail) return
    const { authorization = '' } = request.headers
    const tried = [...(/^basic /i.test(authorization) ? ['basic'] : []), ...(/^bearer /i.test(authorization) ? ['bearer'] : [])]
    trail.refused(
      tried.length > 0 ? `Authentication failed, attempted: ${tried.join(', ')}` : 'Authentication failed, no credentials provided',
    )
    await trail.lateStage('ResponseStarted')
  }
}

const LOST: ApiError = failure('InternalError', 'Internal error occurred: failed to store audit event', {
  details: { causes: [{ message: 'failed to store audit event' }] },
})

export class Trail {
  readonly #runtime: Runtime
  readonly #sinks: readonly AuditSink[]
  readonly #decision: AuditDecision
  readonly #base: Readonly<Record<string, unknown>>
  readonly #receivedAt: string
  readonly isLongRunning: boolean
  #objectRef: Readonly<Record<string, string>> | undefined
  #impersonated: AuthenticatedUser | undefined
  #requestObject: unknown
  #responseObject: unknown
  #status: object | undefined
  readonly #annotations = new Map<string, string>()

  constructor(
    runtime: Runtime,
    sinks: readonly AuditSink[],
    decision: AuditDecision,
    request: ApiRequest,
    info: RequestInfo,
    user: UserInfo | undefined,
  ) {
    this.#runtime = runtime
    this.#sinks = sinks
    this.#decision = decision
    this.#receivedAt = microTimestamp(runtime.clock)
    this.isLongRunning = info.verb === 'watch' || (info.isResource && LONG_RUNNING.has(info.subresource))
    this.#base = {
      auditID: request.auditId ?? uuid(runtime.random),
      requestURI: uriOf(request),
      verb: info.verb,
      user: user ? shownUser(user) : {},
      sourceIPs: sourcesOf(request),
      userAgent: shortened(request.headers['user-agent']),
    }
    if (info.isResource) {
      const { resource, namespace, name, group: apiGroup, version: apiVersion, subresource } = info
      this.#objectRef = withoutEmpty({ resource, namespace, name, apiGroup, apiVersion, subresource })
    }
  }

  impersonates(user: UserInfo): void {
    this.#impersonated = shownUser(user)
  }

  /** The first value of a key stays, as upstream keeps it. */
  annotate(key: string, value: string, level?: 'Request'): void {
    if (level !== undefined && !isAtLeast(this.#decision.level, level)) return
    if (!this.#annotations.has(key) && this.#annotations.size < MAX_ANNOTATIONS) this.#annotations.set(key, value)
  }

  /** The object that was sent, in the version of the request. */
  request(object: KubeObject): void {
    const { namespace, name, uid, resourceVersion } = object.metadata ?? {}
    if (this.#objectRef) this.#objectRef = { ...withoutEmpty({ namespace, name, uid, resourceVersion }), ...this.#objectRef }
    if (isAtLeast(this.#decision.level, 'Request')) this.#requestObject = this.#shown(object)
  }

  /** A patch or options, as they were sent. */
  requestPatch(sent: unknown): void {
    if (isAtLeast(this.#decision.level, 'Request')) this.#requestObject = sent
  }

  /** Why, and by which binding. */
  authorized({ isAllowed, reason }: { readonly isAllowed: boolean; readonly reason: string }): void {
    this.annotate('authorization.k8s.io/decision', isAllowed ? 'allow' : 'forbid')
    this.annotate('authorization.k8s.io/reason', reason)
  }

  refused(message: string): void {
    this.#status = { metadata: {}, message, code: 401 }
  }

  /** The last stages of a request of this process: a watch ends when its caller has gone. */
  async endInside(signal: AbortSignal): Promise<void> {
    if (!this.isLongRunning) return this.lateStage('ResponseComplete')
    await this.lateStage('ResponseStarted')
    if (signal.aborted) return this.lateStage('ResponseComplete')
    signal.addEventListener('abort', () => void this.lateStage('ResponseComplete'), { once: true })
  }

  answered(answer: ApiResponse): void {
    const code = answer.type === 'upgrade' || answer.type === 'tunnel' ? 101 : answer.status
    const isStatus = answer.type === 'object' && answer.stored.object.kind === 'Status'
    const { kind: _kind, apiVersion: _version, ...status } = isStatus ? answer.stored.object : { metadata: {} }
    this.#status = { metadata: {}, ...status, code }
    if (!isAtLeast(this.#decision.level, 'RequestResponse')) return
    if (answer.type === 'object') this.#responseObject = this.#shown(answer.stored.object)
    else if (answer.type === 'list') {
      const items = answer.items.map(({ object }) => this.#shown(object))
      this.#responseObject = { kind: answer.kind, apiVersion: answer.apiVersion, metadata: answer.metadata, items }
    }
  }

  #shown(object: KubeObject): KubeObject {
    if (!this.#decision.omitManagedFields) return object
    const { rows } = object as { readonly rows?: readonly { readonly object?: KubeObject | null }[] }
    if (object.kind === 'Table' && rows)
      return { ...object, rows: rows.map((row) => (row.object ? { ...row, object: withoutOwners(row.object) } : row)) }
    return withoutOwners(object)
  }

  /** Tells the backends; rejects when one that must keep every event could not. */
  stage(stage: AuditStage): void | Promise<void> {
    if (this.#decision.omitStages.has(stage)) return undefined
    const event = this.#event(stage)
    const waiting: Promise<boolean>[] = []
    for (const sink of this.#sinks) {
      const kept = sink.record(event)
      if (kept instanceof Promise) waiting.push(kept)
      else if (!kept) throw LOST
    }
    if (waiting.length === 0) return undefined
    return Promise.all(waiting).then((kept) => {
      if (kept.includes(false)) throw LOST
    })
  }

  /** For stages whose answer is already on its way. */
  async lateStage(stage: AuditStage): Promise<void> {
    try {
      await this.stage(stage)
    } catch (error) {
      if (error !== LOST) throw error
      this.#runtime.log.error('an audit event could not be stored', { auditID: this.#base.auditID, stage })
    }
  }

  #event(stage: AuditStage): AuditEvent {
    const { auditID, requestURI, verb, user, sourceIPs, userAgent } = this.#base
    return {
      kind: 'Event',
      apiVersion: 'audit.k8s.io/v1',
      level: this.#decision.level,
      auditID: auditID as string,
      stage,
      requestURI,
      verb,
      user,
      ...(this.#impersonated ? { impersonatedUser: this.#impersonated } : {}),
      ...((sourceIPs as readonly string[]).length > 0 ? { sourceIPs } : {}),
      ...(userAgent ? { userAgent } : {}),
      ...(this.#objectRef ? { objectRef: this.#objectRef } : {}),
      ...(this.#status ? { responseStatus: this.#status } : {}),
      ...(this.#requestObject === undefined ? {} : { requestObject: this.#requestObject }),
      ...(this.#responseObject === undefined ? {} : { responseObject: this.#responseObject }),
      requestReceivedTimestamp: this.#receivedAt,
      stageTimestamp: microTimestamp(this.#runtime.clock),
      ...(this.#annotations.size > 0 ? { annotations: Object.fromEntries(this.#annotations) } : {}),
    }
  }
}

const withoutOwners = (object: KubeObject): KubeObject =>
  object.metadata?.managedFields ? withMetadata(object, without(object.metadata, 'managedFields')) : object

const withoutEmpty = (fields: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(fields).filter((field): field is [string, string] => Boolean(field[1])))

const shownUser = ({ name, uid, groups, extra }: UserInfo): AuthenticatedUser => ({
  username: name,
  ...(uid ? { uid } : {}),
  groups,
  ...(extra && Object.keys(extra).length > 0 ? { extra } : {}),
})

function uriOf({ target, path, query }: ApiRequest): string {
  if (target !== undefined) return target
  return query.size === 0 ? path : `${path}?${query.toString()}`
}

/** Those that proxies on the way name, then the peer. */
function sourcesOf({ headers, remoteAddress }: ApiRequest): readonly string[] {
  const named = [...(headers['x-forwarded-for']?.split(',') ?? []), headers['x-real-ip'] ?? '', remoteAddress ?? '']
  return [...new Set(named.map((text) => text.trim()).filter((text) => /^[0-9a-fA-F.:]+$/.test(text)))]
}

const shortened = (agent = ''): string => (agent.length > MAX_USER_AGENT ? `${agent.slice(0, MAX_USER_AGENT)}...TRUNCATED` : agent)
