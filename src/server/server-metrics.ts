/** What the server tells of its parts in /metrics, and what it counts of each request: who asked, whether they may, how it went. */
import type { ApiRequest, ApiResponse, UserInfo } from '../api/exchange.ts'
import { isApiError } from '../api/status.ts'
import type { Clock } from '../base/clock.ts'
import type { Sample } from '../base/metrics.ts'
import type { AuditSink, Trail } from './audit/audit.ts'
import type { Verdict } from './authorization/authorizer.ts'
import type { Core } from './core.ts'
import type { Metrics } from './metrics.ts'
import type { RequestInfo } from './request-info.ts'
import type { Reader } from './resource.ts'
import type { ResourceRegistry } from './resource-registry.ts'
import { VERSION } from './server-paths.ts'
import type { ResourceCache } from './watch-cache.ts'

interface Parts {
  readonly registry: ResourceRegistry
  readonly reader: Reader
  /** Of the objects in a cache, about. */
  averageBytes(cache: ResourceCache): number
}

/** What is told of every stored resource. */
const OF_RESOURCES: readonly (readonly [name: string, type: 'gauge' | 'counter', help: string, read: (cache: ResourceCache) => number])[] =
  [
    ['apiserver_resource_objects', 'gauge', 'Stored objects by group and resource.', ({ size }) => size],
    ['apiserver_storage_events_received_total', 'counter', 'Changes that the store told of.', ({ eventCount }) => eventCount],
    ['apiserver_watch_cache_events_received_total', 'counter', 'Changes that the watch cache took in.', ({ eventCount }) => eventCount],
    ['apiserver_watch_cache_events_dispatched_total', 'counter', 'Changes that were offered to watches.', ({ eventCount }) => eventCount],
    ['apiserver_watch_cache_initializations_total', 'counter', 'How often the watch cache read everything.', ({ loadCount }) => loadCount],
    ['apiserver_watch_cache_resource_version', 'gauge', 'Up to where the watch cache has seen everything.', ({ revision }) => revision],
    ['watch_cache_capacity', 'gauge', 'How many past changes are kept for watches that resume.', ({ capacity }) => capacity],
  ]

export function exposeServer(metrics: Metrics, { registry, reader, averageBytes }: Parts): void {
  const ofResources = (read: (cache: ResourceCache) => number) => (): Sample[] =>
    [...registry.all()].map(({ group, resource, cache }): Sample => [`group="${group}",resource="${resource}"`, read(cache)])
  for (const [name, type, help, read] of OF_RESOURCES) metrics.expose(name, help, type, ofResources(read))
  metrics.gauge(
    'apiserver_resource_size_estimate_bytes',
    'Bytes that are stored, estimated from a few objects.',
    ofResources((cache) => Math.round(averageBytes(cache) * cache.size)),
  )
  metrics.gauge('apiserver_storage_objects', 'Stored objects by resource.', () =>
    [...registry.all()].map(({ group, resource, cache }): Sample => [
      `resource="${group ? `${resource}.${group}` : resource}"`,
      cache.size,
    ]),
  )
  metrics.gauge('kubernetes_build_info', 'What is running.', () => [[labelsOf(BUILD), 1]])
  metrics.gauge('version_info', 'What is running, and as which version.', () => [[labelsOf(INFO), 1]])
  metrics.gauge('aggregator_unavailable_apiservice', 'Group versions that are not available.', () =>
    reader.list('apiregistration.k8s.io/v1/APIService').map(({ metadata, status }): Sample => {
      const isAvailable = status?.conditions?.some((condition) => condition.type === 'Available' && condition.status === 'True')
      return [`name="${metadata?.name ?? ''}"`, isAvailable ? 0 : 1]
    }),
  )
}

const labelsOf = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(',')

const BUILD = {
  build_date: VERSION.buildDate,
  compiler: VERSION.compiler,
  git_commit: VERSION.gitCommit,
  git_tree_state: VERSION.gitTreeState,
  git_version: VERSION.gitVersion,
  go_version: VERSION.goVersion,
  major: VERSION.major,
  minor: VERSION.minor,
  platform: VERSION.platform,
}

const INFO = {
  binary: VERSION.gitVersion.slice(1),
  component: 'kube',
  emulation: `${VERSION.emulationMajor}.${VERSION.emulationMinor}`,
  min_compat: `${VERSION.minCompatibilityMajor}.${VERSION.minCompatibilityMinor}`,
}

/** Stands before the other sinks and takes everything. */
export function countAudit(metrics: Metrics): AuditSink {
  const events = metrics.counter('apiserver_audit_event_total', 'Audit events.')
  const levels = metrics.counter('apiserver_audit_level_total', 'Audit events by level.')
  events('', 0)
  return {
    record({ level }) {
      events('')
      levels(`level="${level}"`)
      return true
    },
  }
}

/** Counts who could prove a name, and how long that took. */
export function observeAuthentication(
  metrics: Metrics,
  clock: Clock,
  prove: () => UserInfo | Promise<UserInfo>,
): UserInfo | Promise<UserInfo> {
  const startMs = clock.monotonic()
  const told = (labels: string): void => {
    metrics.authenticationAttempts(labels)
    metrics.authentications(labels).observe((clock.monotonic() - startMs) / 1000)
  }
  const proved = (user: UserInfo): UserInfo => {
    metrics.authenticatedUsers(KNOWN_USERS[user.name] ?? (user.name.includes('@') ? MAIL_USER : OTHER_USER))
    told(SUCCESS)
    return user
  }
  const failed = (error: unknown): never => {
    told(isApiError(error) ? FAILURE : ERROR)
    throw error
  }
  try {
    const user = prove()
    return user instanceof Promise ? user.then(proved, failed) : proved(user)
  } catch (error) {
    return failed(error)
  }
}

const SUCCESS = 'result="success"'
const FAILURE = 'result="failure"'
const ERROR = 'result="error"'
const KNOWN_USERS: Readonly<Record<string, string | undefined>> = Object.fromEntries(
  ['admin', 'client', 'kube_proxy', 'kubelet', 'system:serviceaccount:kube-system:default'].map((name) => [name, `username="${name}"`]),
)
const MAIL_USER = 'username="email_id"'
const OTHER_USER = 'username="other"'

/** Counts verdicts, and tells the audit log of them. Begins to measure now. */
export function authorizationObserver({ metrics, runtime: { clock } }: Core, trail: Trail | undefined): (verdict: Verdict) => void {
  const startMs = clock.monotonic()
  return (verdict) => {
    const { isAllowed, isDenied, error } = verdict
    const labels = isAllowed ? MAY : error !== undefined ? ERROR : isDenied ? DENIED : NO_OPINION
    metrics.authorizationAttempts(labels)
    metrics.authorizations(labels).observe((clock.monotonic() - startMs) / 1000)
    trail?.authorized(verdict)
  }
}

const MAY = 'result="allowed"'
const DENIED = 'result="denied"'
const NO_OPINION = 'result="no-opinion"'

interface Answered {
  readonly request: ApiRequest
  readonly info: RequestInfo | undefined
  readonly response: ApiResponse
  readonly durationS: number
  readonly isOutside: boolean
}

/** In upstream's words: methods, but for lists, watches, applies and connections. */
const VERBS: Readonly<Record<string, string>> = {
  get: 'GET',
  list: 'LIST',
  watch: 'WATCH',
  create: 'POST',
  update: 'PUT',
  delete: 'DELETE',
  deletecollection: 'DELETE',
}
const CONNECTIONS: ReadonlySet<string> = new Set(['log', 'exec', 'portforward', 'attach', 'proxy'])
const APPLY_TYPES = ['application/apply-patch+yaml', 'application/apply-patch+cbor']

function verbOf(request: ApiRequest, info: RequestInfo | undefined): string {
  if (!info?.isResource) return request.method === 'HEAD' ? 'GET' : request.method
  if (CONNECTIONS.has(info.subresource)) return 'CONNECT'
  if (info.verb === 'patch') return APPLY_TYPES.includes(request.headers['content-type'] ?? '') ? 'APPLY' : 'PATCH'
  return VERBS[info.verb] ?? 'other'
}

export function observeRequest(metrics: Metrics, registry: ResourceRegistry, answered: Answered): void {
  const { request, info, response, durationS, isOutside } = answered
  const { status: code } = response
  if (!isOutside) metrics.askedInside(request.method, code, durationS)
  const verb = verbOf(request, info)
  const scope = !info?.isResource ? '' : info.name || info.verb === 'create' ? 'resource' : info.namespace ? 'namespace' : 'cluster'
  // A watch counts as answered when it begins: its duration is the client's choice.
  const seconds = verb === 'WATCH' ? 0 : durationS
  const { group = '', version = '', resource = '', subresource = '' } = info ?? {}
  // Names that clients make up would make series without end.
  const isKnown = registry.find(group, version, resource) !== undefined || (code !== 404 && code !== 403 && code !== 401)
  const dryRun = info?.isResource && request.query.size > 0 ? request.query.get('dryRun') : null
  metrics.observe(
    {
      verb,
      group: isKnown ? group : '',
      version: isKnown ? version : '',
      resource: isKnown ? resource : '',
      subresource: isKnown ? subresource : '',
      scope,
      dryRun: dryRun === null ? '' : dryRun === 'All' ? 'All' : 'invalid',
    },
    code,
    seconds,
    {
      body: request.body && 'bytes' in request.body ? request.body.bytes.length : undefined,
      response: isOutside && (verb === 'GET' || verb === 'LIST') ? responseBytes(response) : undefined,
    },
  )
}

/** In JSON, where that is known without making it. */
function responseBytes(response: ApiResponse): number | undefined {
  if (response.type === 'object') return response.stored.sizeBytes
  if (response.type === 'raw') return response.body instanceof Uint8Array ? response.body.length : undefined
  if (response.type !== 'list') return undefined
  let sum = 0
  for (const { sizeBytes } of response.items) sum += sizeBytes ?? 0
  return sum
}
