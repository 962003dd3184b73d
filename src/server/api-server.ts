/**
 * The API server: puts its parts together and gives two roads to them. `transport(user)` is for components in the same process
 * (no sockets, nothing serialised), `handle(request, credentials)` for the HTTP adapter. Both go through the same authorisation
 * and the same pipeline.
 */
import type { ApiRequest, ApiResponse, Transport, UserInfo } from '../api/exchange.ts'
import type { NodeConnector } from '../api/node-service.ts'
import { apiVersionOf, type ResourceInfo } from '../api/schema.ts'
import { failure, isApiError, type ApiError } from '../api/status.ts'
import type { Runtime } from '../base/runtime.ts'
import { createTurns } from '../base/turns.ts'
import type { Store } from '../store/store.ts'
import { runAvailability } from './aggregation/availability.ts'
import { createRegistrations } from './aggregation/registrations.ts'
import type { AdmissionPlugin } from './admission.ts'
import { Audit, type AuditOptions, type Trail } from './audit/audit.ts'
import {
  createAuthenticator,
  withAuthenticated,
  type AuthenticatorOptions,
  type Credentials,
  type TokenAuthenticator,
} from './authentication/authenticator.ts'
import { createBootstrapTokens } from './authentication/bootstrap-tokens.ts'
import { impersonate } from './authentication/impersonation.ts'
import { createServiceAccountTokens, type TokenSigner } from './authentication/tokens.ts'
import { authorizeOrThrow, union, type Authorizer } from './authorization/authorizer.ts'
import { createEscalationCheck } from './authorization/escalation.ts'
import { createNodeAuthorizer } from './authorization/node.ts'
import { createRbacAuthorizer } from './authorization/rbac.ts'
import { ensureBootstrapRoles } from './authorization/ensure-bootstrap-roles.ts'
import { builtinRules } from './builtin-rules.ts'
import type { Call, Core } from './core.ts'
import { createFlowDumps } from './debug/flow-dumps.ts'
import { celRules } from './custom-resources/cel-rules.ts'
import { createConversionWebhook } from './custom-resources/conversion-webhook.ts'
import { createDefinitions } from './custom-resources/definitions.ts'
import { createFlowConfiguration } from './flow-control/configuration.ts'
import { FlowControl, type RequestLimiter } from './flow-control/flow-control.ts'
import { exposeFlowControl } from './flow-control/flow-metrics.ts'
import { MaxInFlight, type InFlightLimits } from './flow-control/max-in-flight.ts'
import { OutsideRequest } from './flow-control/outside-request.ts'
import { runHousekeeping, type HousekeepingOptions } from './housekeeping.ts'
import { Metrics } from './metrics.ts'
import type { ProxyRoads } from './outgoing.ts'
import { createReader, createWriter } from './reader.ts'
import { requestInfo, type RequestInfo } from './request-info.ts'
import type { Resource } from './resource.ts'
import { resourceMetricsGroup, resourceMetricsPaths } from './resource-metrics.ts'
import { createResourceRegistry, type ResourceRegistry } from './resource-registry.ts'
import { Computed } from './revision.ts'
import { route, type PathHandler } from './router.ts'
import { authorizationObserver, countAudit, exposeServer, observeAuthentication, observeRequest } from './server-metrics.ts'
import { serverPaths, type Health } from './server-paths.ts'
import { WatchCaches } from './watch-cache.ts'
import { createWebhookCall, type WebhookCall } from './webhook-call.ts'

export interface ApiServerOptions {
  readonly store: Store
  /** Every built-in resource and version that is served. */
  readonly infos: readonly ResourceInfo[]
  /** What is particular to kinds; kinds without one follow the general rules. */
  readonly resources: readonly Resource[]
  /** Those that ask for more than the contract of admission gives get it here. */
  readonly admission: readonly AdmissionPlugin[] | ((registry: ResourceRegistry, authorizer: Authorizer) => readonly AdmissionPlugin[])
  readonly nodeConnector: NodeConnector
  /** How the proxy subresources leave this process. Absent: they answer 503. */
  readonly roads?: ProxyRoads
  /** Calls conversion webhooks. Default: over the roads. */
  readonly webhookCall?: WebhookCall
  /** Absent: no service account tokens. */
  readonly tokenSigner?: TokenSigner
  /** Other kinds of bearer tokens than those of service accounts and bootstrap tokens; asked before those. */
  readonly tokenAuthenticators?: readonly TokenAuthenticator[]
  /** And after those. */
  readonly laterTokenAuthenticators?: readonly TokenAuthenticator[]
  /** Absent: no front proxy is believed, and the anonymous are let in everywhere. */
  readonly authentication?: Pick<AuthenticatorOptions, 'frontProxy' | 'anonymous'>
  /** Default: nodes by what runs on them, all others by RBAC over the roles and bindings that are stored. */
  readonly authorizer?: Authorizer | ((own: { readonly node: Authorizer; readonly rbac: Authorizer }) => Authorizer)
  /** Discovery, OpenAPI and other paths that are no resources. */
  readonly paths?: readonly PathHandler[] | ((registry: ResourceRegistry) => readonly PathHandler[])
  readonly housekeeping?: HousekeepingOptions
  /** Absent: nothing is audited. */
  readonly audit?: AuditOptions
  /** How many requests from outside are served at once. Default: upstream's, by priority and fairness. */
  readonly inFlight?: InFlightLimits & { readonly isFair: boolean }
}

export interface ApiServer {
  /** A road for a component of this process, as this user. */
  transport(user: UserInfo): Transport
  /**
   * Answers a request from outside, and has `respond` send the answer: until that is done the request counts as being served.
   * Failures are answers with a Status; rejects only when `respond` does.
   */
  handle(request: ApiRequest, credentials: Credentials, respond?: (answer: ApiResponse) => Promise<void> | void): Promise<ApiResponse>
  /** True from when the caches are filled and the bootstrap roles there, until the server stops. */
  ready(): boolean
  /** Resolves when ready; rejects when the start fails. */
  readonly started: Promise<void>
  /** Serves until the signal aborts. Watches end then; what is under way is answered. */
  run(signal: AbortSignal): Promise<void>
  readonly core: Core
  readonly registry: ResourceRegistry
  readonly metrics: Metrics
}

/** How many requests from outside may wait or be served at once, watches aside; flow control says no earlier, in all but exempt ones. */
const MAX_IN_FLIGHT = 10_000

export function createApiServer(runtime: Runtime, options: ApiServerOptions): ApiServer {
  const { store } = options
  const caches = new WatchCaches(runtime, store)
  caches.indexBy('', 'pods', 'spec.nodeName', (pod) => (pod.spec?.nodeName as string | undefined) ?? '')
  const registry = createResourceRegistry(caches)
  addBuiltins(registry, options)
  const reader = createReader(registry)
  const metrics = new Metrics()
  const signer = options.tokenSigner
  const audiences = signer?.audiences ?? []
  const tokens = [
    ...(options.tokenAuthenticators ?? []),
    ...(signer ? [createServiceAccountTokens(runtime.clock, signer, reader)] : []),
    createBootstrapTokens(runtime.clock, reader, audiences),
    ...(options.laterTokenAuthenticators ?? []),
  ]
  const rbac = createRbacAuthorizer(caches)
  const own = { node: createNodeAuthorizer(caches, reader), rbac }
  const { authorizer: chosen = union([own.node, rbac]) } = options
  const authorizer = typeof chosen === 'function' ? chosen(own) : chosen
  const plugins = typeof options.admission === 'function' ? options.admission(registry, authorizer) : options.admission
  const core: Core = {
    runtime,
    store,
    caches,
    registry,
    admission: [...plugins, createEscalationCheck(authorizer, rbac)],
    authenticator: createAuthenticator({ tokens, audiences, ...options.authentication }),
    authorizer,
    reader,
    writer: createWriter(registry, store, caches),
    nodes: options.nodeConnector,
    roads: options.roads,
    tokens: signer,
    metrics,
    aggregated: createRegistrations({ registry }, [resourceMetricsGroup]),
  }
  const { webhookCall = options.roads && createWebhookCall(runtime, options.roads.outgoing) } = options
  const definitions = createDefinitions(core, celRules, webhookCall && createConversionWebhook(runtime, webhookCall, reader))
  const { inFlight: limits } = options
  const isFair = limits?.isFair ?? true
  const flowControl = new FlowControl(runtime, registry, limits && isFair ? limits.reading + limits.writing : undefined)
  const limiter: RequestLimiter = limits && !isFair ? new MaxInFlight(limits) : flowControl
  const flowConfiguration = createFlowConfiguration(core, flowControl.levels)
  const hasFlowObjects = isFair && registry.stored('flowcontrol.apiserver.k8s.io', 'flowschemas') !== undefined
  exposeFlowControl(metrics, flowControl.levels)
  exposeServer(metrics, { registry, reader, averageBytes: (cache) => flowControl.averageBytes(cache) })
  const health: Health = { isReady: false, isStopping: false }
  const { paths: given = [] } = options
  const paths = [
    serverPaths(health),
    createFlowDumps(flowControl.levels),
    resourceMetricsPaths,
    ...(typeof given === 'function' ? given(registry) : given),
  ]
  const audit = options.audit && new Audit(runtime, { ...options.audit, sinks: [countAudit(metrics), ...options.audit.sinks] })
  let inFlight = 0
  const turns = createTurns(runtime.clock)
  const begun = Promise.withResolvers<void>()
  begun.promise.catch(() => {})

  const authenticate = (credentials: Credentials, request: ApiRequest): UserInfo | Promise<UserInfo> =>
    observeAuthentication(metrics, runtime.clock, () => core.authenticator.authenticate(credentials, request))

  const answer = async (request: ApiRequest, who: () => UserInfo | Promise<UserInfo>, outside?: OutsideRequest): Promise<ApiResponse> => {
    const startMs = runtime.clock.monotonic()
    const isMutating = request.method !== 'GET' && request.method !== 'HEAD'
    metrics.begin(isMutating)
    let info: RequestInfo | undefined
    let response: ApiResponse
    let trail: Trail | undefined
    try {
      const proved = who()
      const asked = proved instanceof Promise ? await proved : proved
      info = requestInfo(request)
      trail = audit?.begin(request, info, asked)
      if (trail) await trail.stage('RequestReceived')
      response = await answerAs(core, request, info, asked, paths, outside, trail)
    } catch (error) {
      if (isApiError(error, 'Unauthorized') && !info) await audit?.unauthenticated(request, requestInfo(request))
      response = failed(runtime, request, error)
    }
    if (trail) {
      trail.answered(response)
      if (outside) outside.trail = trail
      else await trail.endInside(request.signal)
    }
    metrics.end(isMutating)
    const durationS = (runtime.clock.monotonic() - startMs) / 1000
    observeRequest(metrics, registry, { request, info, response, durationS, isOutside: outside !== undefined })
    return response
  }

  return {
    core,
    registry,
    metrics,
    started: begun.promise,
    ready: () => health.isReady && !health.isStopping,
    transport(user) {
      const caller = withAuthenticated(user)
      return (request) => {
        const turn = turns.due()
        return turn ? turn.then(() => answer(request, () => caller)) : answer(request, () => caller)
      }
    },
    async handle(request, credentials, respond) {
      if (inFlight >= MAX_IN_FLIGHT) {
        const refused = failed(runtime, request, tooManyRequests())
        await respond?.(refused)
        return refused
      }
      inFlight++
      const outside = new OutsideRequest(limiter)
      const answered = await answer(request, () => authenticate(credentials, request), outside)
      inFlight--
      outside.answered(answered)
      const { trail } = outside
      try {
        if (trail?.isLongRunning) await trail.lateStage('ResponseStarted')
        await respond?.(classified(answered, outside.headers))
      } finally {
        outside.end()
        await trail?.lateStage('ResponseComplete')
      }
      return answered
    },
    async run(signal) {
      try {
        await caches.load()
        const feed = caches.run(signal)
        await Promise.race([ensureBootstrapRoles(core), feed])
        if (hasFlowObjects) await Promise.race([flowConfiguration.ensure(), feed])
        health.isReady = true
        begun.resolve()
        const stop = () => {
          health.isStopping = true
          caches.endWatches()
        }
        signal.addEventListener('abort', stop, { once: true })
        await Promise.race([
          feed,
          definitions.run(signal),
          ...(isFair ? [flowConfiguration.run(signal)] : []),
          runAvailability(core, signal),
          runHousekeeping(core, options.housekeeping ?? {}, signal),
        ])
        await feed
      } catch (error) {
        begun.reject(error)
        throw error
      } finally {
        health.isReady = false
        caches.endWatches()
      }
    },
  }
}

async function answerAs(
  core: Core,
  request: ApiRequest,
  info: RequestInfo,
  asked: UserInfo,
  paths: readonly PathHandler[],
  outside: OutsideRequest | undefined,
  trail: Trail | undefined,
): Promise<ApiResponse> {
  const acting = impersonate(core.authorizer, request, { ...info, user: asked })
  const user = acting instanceof Promise ? await acting : acting
  const admitted = outside?.admit(request, info, user)
  const refusal = admitted instanceof Promise ? await admitted : admitted
  if (refusal) return refusal
  const call: Call = { request, info, user, warnings: [], trail }
  if (trail && user !== asked) trail.impersonates(user)
  await authorizeOrThrow(core.authorizer, { ...info, user }, authorizationObserver(core, trail))
  let response: ApiResponse
  try {
    response = await route(core, call, paths)
  } catch (error) {
    // What was warned of is told with the refusal.
    if (call.warnings.length === 0) throw error
    response = failed(core.runtime, request, error)
  }
  return call.warnings.length === 0 ? response : { ...response, warnings: [...(response.warnings ?? []), ...new Set(call.warnings)] }
}

/** Tells how flow control classified the request. */
const classified = (answer: ApiResponse, headers: Readonly<Record<string, string>> | undefined): ApiResponse =>
  headers ? { ...answer, headers: answer.headers ? { ...answer.headers, ...headers } : headers } : answer

/** An error as an answer; one that is nobody's request's fault is logged, and the server lives on. */
function failed(runtime: Runtime, request: ApiRequest, error: unknown): ApiResponse {
  const status = isApiError(error) ? error : internalError(error)
  if (status.code >= 500 && !isApiError(error)) {
    runtime.log.error('a request failed unexpectedly', {
      method: request.method,
      path: request.path,
      error: error instanceof Error ? error.stack : String(error),
    })
  }
  const seconds = status.status.details?.retryAfterSeconds
  return {
    type: 'object',
    status: status.code,
    stored: new Computed(status.status),
    ...(seconds ? { headers: { 'Retry-After': String(seconds) } } : {}),
  }
}

const tooManyRequests = (): ApiError =>
  failure('TooManyRequests', 'Too many requests, please try again later.', { details: { retryAfterSeconds: 1 } })

export function internalError(error: unknown): ApiError {
  const message = error instanceof Error ? error.message : String(error)
  return failure('InternalError', `Internal error occurred: ${message}`, { details: { causes: [{ message }] } })
}

/** Each resource once, with all its versions; stored under its definition's version or else the first listed of its group. */
function addBuiltins(registry: ResourceRegistry, { infos, resources }: ApiServerOptions): void {
  const definitions = new Map(resources.map((resource) => [`${resource.group}/${resource.kind}`, resource]))
  const elsewhere = new Set(resources.flatMap(({ kind, versions }) => Object.keys(versions ?? {}).map((version) => `${version}/${kind}`)))
  const isOfOtherGroup = (info: ResourceInfo) => info.group !== '' && elsewhere.has(`${apiVersionOf(info)}/${info.kind}`)
  const own = Map.groupBy(
    infos.filter((info) => !isOfOtherGroup(info)),
    (info) => `${info.group}/${info.resource}`,
  )
  for (const versions of own.values()) {
    const { group, kind, version } = versions[0]!
    const definition = definitions.get(`${group}/${kind}`) ?? { group, version, kind }
    const others = infos.filter(
      (info) => info.kind === kind && definition.versions?.[apiVersionOf(info)] !== undefined && info.group !== group,
    )
    registry.add(
      definition,
      [...versions, ...others].map((info) => ({ info, rules: builtinRules(info) })),
    )
  }
}
