/**
 * Keeps the Available condition of APIServices true to the servers behind them (kube-aggregator's available controller): looked at
 * when a registration, its service or its endpoints change, and in between now and then. Those that this server serves itself are
 * always available.
 */
import type { APIService, APIServiceCondition } from '../../api/generated/apiregistration/v1.ts'
import { assert } from '../../base/assert.ts'
import { timestamp } from '../../base/clock.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import type { Core } from '../core.ts'
import { readIndex, readSwagger } from './published-openapi.ts'
import { backendOf, userHeaders, type Backend } from './registrations.ts'
import { parseResourceList, type ResourceList } from './resource-list.ts'

/** Between two looks at a server that nothing was heard of. */
const RECHECK_MS = 30_000
/** Between two looks at a server that does not answer yet. */
const RETRY_MS = 1_000
const CHECK_TIMEOUT_MS = 5_000
/** Of a discovery document. */
const MAX_ANSWER = 1024 * 1024
/** Of a whole OpenAPI document. */
const MAX_DOCUMENT = 16 * 1024 * 1024
const LOCAL = { status: 'True', reason: 'Local', message: 'Local APIServices are always available' }
const AGGREGATOR = { name: 'system:kube-aggregator', groups: ['system:masters'] }

type Finding = Pick<APIServiceCondition, 'status' | 'reason' | 'message'>
type KnownCore = Pick<Core, 'registry' | 'reader' | 'writer' | 'runtime' | 'roads' | 'aggregated'>

/** Runs until the signal aborts. */
export async function runAvailability(core: KnownCore, signal: AbortSignal): Promise<void> {
  const { clock } = core.runtime
  const lastChecked = new Map<string, { readonly state: string; readonly atMs: number; readonly finding: Finding }>()
  while (!signal.aborted) {
    const since = core.registry.find('apiregistration.k8s.io', 'v1', 'apiservices')?.stored.cache.lastChange ?? 0
    const services = core.reader.list('apiregistration.k8s.io/v1/APIService')
    for (const service of services) {
      const name = service.metadata?.name ?? ''
      const state = stateOf(core, service)
      const last = lastChecked.get(name)
      const isDue =
        !last || last.state !== state || clock.monotonic() - last.atMs >= (last.finding.status === 'True' ? RECHECK_MS : RETRY_MS)
      // What others write over a finding is put right at once.
      if (!isDue && isTold(service, last.finding)) continue
      const finding = !isDue ? last.finding : service.spec?.service ? await check(core, service, signal) : LOCAL
      if (signal.aborted) return
      if (isDue) lastChecked.set(name, { state, atMs: clock.monotonic(), finding })
      await record(core, name, finding)
    }
    for (const name of lastChecked.keys()) if (!services.some(({ metadata }) => metadata?.name === name)) lastChecked.delete(name)
    await changed(
      core,
      since,
      services.some(({ spec }) => spec?.service),
      signal,
    )
  }
}

/** What the answer of a check depends on, besides the server itself. */
function stateOf({ reader }: KnownCore, { metadata, spec }: APIService): string {
  const { namespace = '', name = '' } = spec?.service ?? {}
  const service = reader.get('v1/Service', namespace, name)
  const slices = reader
    .list('discovery.k8s.io/v1/EndpointSlice', namespace)
    .filter((slice) => slice.metadata?.labels?.['kubernetes.io/service-name'] === name)
  return [metadata?.uid, metadata?.generation, ...[service, ...slices].map((object) => object?.metadata?.resourceVersion)].join(' ')
}

/**
 * Resolves when it is time to look again: when an APIService changes, and soon when one leads to another server. `since` is the
 * state of the cache that was looked at.
 */
async function changed({ runtime, registry }: KnownCore, since: number, isBusy: boolean, signal: AbortSignal): Promise<void> {
  const served = registry.find('apiregistration.k8s.io', 'v1', 'apiservices')
  assert(served, 'APIServices are served')
  const { cache } = served.stored
  if (cache.lastChange !== since || signal.aborted) return
  const watcher = cache.watch({ prefix: '' }, undefined, served.view, {})
  const end = () => watcher.end()
  const cancel = isBusy ? runtime.clock.setTimeout(end, RETRY_MS) : undefined
  signal.addEventListener('abort', end, { once: true })
  await watcher[Symbol.asyncIterator]().next()
  watcher.end()
  cancel?.()
  signal.removeEventListener('abort', end)
}

async function check(core: KnownCore, service: APIService, signal: AbortSignal): Promise<Finding> {
  const { namespace = '', name = '', port = 443 } = service.spec?.service ?? {}
  const no = (reason: string, message: string): Finding => ({ status: 'False', reason, message })
  const found = core.reader.get('v1/Service', namespace, name)
  if (!found) return no('ServiceNotFound', `service/${name} in ${JSON.stringify(namespace)} is not present`)
  const servicePort = found.spec?.ports?.find((candidate) => candidate.port === port)
  if (found.spec?.type !== 'ExternalName' && !servicePort)
    return no('ServicePortError', `service/${name} in ${JSON.stringify(namespace)} is not listening on port ${port}`)
  let backend
  try {
    backend = backendOf(core, service)
  } catch {
    // No endpoint is a finding, not a failure.
    const where = `endpointslices for service/${name} in ${JSON.stringify(namespace)}`
    return no('MissingEndpoints', `${where} have no addresses with port name ${JSON.stringify(servicePort?.name ?? '')}`)
  }
  const path = `/apis/${service.spec?.group}/${service.spec?.version}`
  const answer = await discover(core, backend, path, signal)
  const url = `https://${backend.host}:${backend.port}${path}`
  if ('trouble' in answer) return no('FailedDiscoveryCheck', `failing or missing response from ${url}: ${answer.trouble}`)
  core.aggregated.learn(service, answer.list)
  await learnOpenApi(core, service, backend, signal)
  return { status: 'True', reason: 'Passed', message: 'all checks passed' }
}

/** What the server serves, or why it does not tell. */
async function discover(
  core: KnownCore,
  backend: Backend,
  path: string,
  signal: AbortSignal,
): Promise<{ readonly trouble: string } | { readonly list: ResourceList | undefined }> {
  const answer = await ask(core, backend, path, MAX_ANSWER, signal)
  if ('trouble' in answer) return answer
  if (answer.status >= 200 && answer.status < 300) return { list: parseResourceList(answer.text) }
  return { trouble: `bad status from https://${backend.host}:${backend.port}${path}: ${answer.status}` }
}

/** The documents that the server publishes; the large one only when the index has changed. What it does not have is left out. */
async function learnOpenApi(core: KnownCore, service: APIService, backend: Backend, signal: AbortSignal): Promise<void> {
  const answer = await ask(core, backend, '/openapi/v3', MAX_ANSWER, signal)
  if ('trouble' in answer || answer.status !== 200) return
  const index = readIndex(service, answer.text)
  const known = core.aggregated.openApi().find((other) => other.service.metadata?.name === service.metadata?.name)
  if (deepEqual(known?.published.index, index)) return
  const whole = await ask(core, backend, '/openapi/v2', MAX_DOCUMENT, signal)
  const swagger = readSwagger(service, 'text' in whole && whole.status === 200 ? whole.text : undefined)
  core.aggregated.learnOpenApi(service, { index, swagger })
}

async function ask(
  { roads, runtime }: KnownCore,
  backend: Backend,
  path: string,
  limit: number,
  signal: AbortSignal,
): Promise<{ readonly trouble: string } | { readonly status: number; readonly text: string }> {
  if (!roads) return { trouble: 'this server makes no connections' }
  const stop = new AbortController()
  const cancel = runtime.clock.setTimeout(() => stop.abort(), CHECK_TIMEOUT_MS)
  try {
    const answer = await roads.outgoing.send({
      ...backend,
      method: 'GET',
      path,
      headers: [['accept', 'application/json'], ...userHeaders(AGGREGATOR)],
      signal: AbortSignal.any([signal, stop.signal]),
    })
    return { status: answer.status, text: await textOf(answer.body, limit) }
  } catch (error) {
    const why = stop.signal.aborted ? 'context deadline exceeded' : error instanceof Error ? error.message : String(error)
    return { trouble: `Get "https://${backend.host}:${backend.port}${path}": ${why}` }
  } finally {
    cancel()
  }
}

async function textOf(body: AsyncIterable<Uint8Array>, limit: number): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > limit) throw new Error(`the answer is longer than ${limit} characters`)
  }
  return text + decoder.decode()
}

const availableOf = ({ status }: APIService): APIServiceCondition | undefined =>
  status?.conditions?.find(({ type }) => type === 'Available')

function isTold(service: APIService, { status, reason, message }: Finding): boolean {
  const told = availableOf(service)
  return told?.status === status && told.reason === reason && told.message === message
}

/** Writes what changed; the time of a condition tells since when it has been so. */
async function record({ writer, runtime }: KnownCore, name: string, finding: Finding): Promise<void> {
  await writer.update('apiregistration.k8s.io/v1/APIService', undefined, name, (current) => {
    if (isTold(current, finding)) return current
    const conditions = current.status?.conditions ?? []
    const old = availableOf(current)
    const lastTransitionTime = old?.status === finding.status ? old.lastTransitionTime : timestamp(runtime.clock)
    const available: APIServiceCondition = { type: 'Available', ...finding, ...(lastTransitionTime ? { lastTransitionTime } : {}) }
    return { ...current, status: { ...current.status, conditions: [...conditions.filter((other) => other !== old), available] } }
  })
}
