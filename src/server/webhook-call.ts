/**
 * Calls to webhooks (admission, conversion): where a call goes, and what its answer or its failure means. Connections are
 * `Outgoing`'s; the certificate is checked against the configured authority and the name in the URL, whatever address is called.
 */
import type { WebhookClientConfig } from '../api/generated/admissionregistration/v1.ts'
import type { KubeObject } from '../api/object.ts'
import { failure, notFound } from '../api/status.ts'
import type { Random } from '../base/random.ts'
import { randomInt } from '../base/random.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Outgoing } from './outgoing.ts'
import type { Reader } from './resource.ts'

export interface WebhookTarget {
  /** "https://name.namespace.svc:443/path", as errors show it. */
  readonly url: string
  /** The endpoint that a service of the cluster resolved to; the certificate is still checked for the name in the URL. */
  readonly connectTo?: { readonly host: string; readonly port: number }
  /** PEM in base64; absent: the authorities that the machine trusts. */
  readonly caBundle?: string
}

/** Posts JSON and resolves with the JSON of a 2xx answer; rejects with an Error in the words of Go's HTTP client. */
export type WebhookCall = (target: WebhookTarget, body: KubeObject, timeoutMs: number) => Promise<unknown>

const DEFAULT_PORT = 443
/** The largest answer that is read, as upstream's client. */
const MAX_ANSWER_BYTES = 3 * 1024 * 1024
const MAX_REDIRECTS = 10
/** Of an answer that is no Status, what an error shows. */
const MAX_SHOWN = 2048

export function createWebhookCall({ clock }: Runtime, outgoing: Outgoing): WebhookCall {
  return async (target, body, timeoutMs) => {
    const stop = new AbortController()
    const cancel = clock.setTimeout(() => stop.abort(), timeoutMs)
    let answer: { readonly status: number; readonly text: string }
    try {
      answer = await post(outgoing, target, body, stop.signal)
    } catch (error) {
      const why = stop.signal.aborted ? 'context deadline exceeded' : error instanceof Error ? error.message : String(error)
      throw new Error(`Post ${JSON.stringify(target.url)}: ${why}`, { cause: error })
    } finally {
      cancel()
    }
    const { status, text } = answer
    if (status < 200 || status >= 300) throw new Error(explain(status, text))
    const parsed = parse(text)
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed
    throw new Error(`couldn't get version/kind; json parse error: json: cannot unmarshal ${goTypeOf(parsed)} into Go value of type ${META}`)
  }
}

/** What upstream reads first of any answer, as Go prints it. */
const META = String.raw`struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }`
const goTypeOf = (value: unknown): string => (Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value)

/** Upstream reads YAML, too: what is neither an object nor a list is a string to it. */
function parse(text: string): unknown {
  if (text === '') throw new Error('0-length response with status code: 200 and content type: application/json')
  try {
    return JSON.parse(text)
  } catch (error) {
    if (!/^\s*[[{]/.test(text)) return text
    throw new Error(`couldn't parse the webhook's answer: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

async function post(
  outgoing: Outgoing,
  { url, connectTo, caBundle }: WebhookTarget,
  body: KubeObject,
  signal: AbortSignal,
  redirects = 0,
): Promise<{ readonly status: number; readonly text: string }> {
  const { protocol, hostname, port, host, pathname, search, origin } = new URL(url)
  const serverName = hostname.replaceAll(/^\[|\]$/g, '')
  const {
    status,
    headers,
    body: bytes,
  } = await outgoing.send({
    host: connectTo?.host ?? serverName,
    port: connectTo?.port ?? (Number(port) || DEFAULT_PORT),
    ...(protocol === 'http:' ? {} : { tls: { serverName, ...(caBundle ? { ca: atob(caBundle) } : {}) } }),
    method: 'POST',
    path: pathname + search,
    headers: [
      ['host', host],
      ['accept', 'application/json, */*'],
      ['content-type', 'application/json'],
      ['user-agent', 'kube-apiserver-admission'],
    ],
    body: new TextEncoder().encode(JSON.stringify(body)),
    signal,
  })
  const location = status === 307 || status === 308 ? headers.find(([name]) => name.toLowerCase() === 'location')?.[1] : undefined
  const next = location === undefined ? undefined : new URL(location, url)
  // Where paths are tidied a server sends us from //path to /path; to another place nobody is followed.
  if (next?.origin === origin) {
    if (redirects === MAX_REDIRECTS) throw new Error(`stopped after ${MAX_REDIRECTS} redirects`)
    await bytes[Symbol.asyncIterator]().return?.()
    return post(
      outgoing,
      { url: next.href, ...(connectTo ? { connectTo } : {}), ...(caBundle ? { caBundle } : {}) },
      body,
      signal,
      redirects + 1,
    )
  }
  const decoder = new TextDecoder()
  let text = ''
  let size = 0
  for await (const chunk of bytes) {
    size += chunk.length
    if (size > MAX_ANSWER_BYTES) throw new Error(`response body is larger than ${MAX_ANSWER_BYTES} bytes`)
    text += decoder.decode(chunk, { stream: true })
  }
  return { status, text: text + decoder.decode() }
}

/** As client-go explains an answer that is no success (NewGenericServerResponse); a Status in it speaks for itself. */
function explain(status: number, text: string): string {
  const own = statusMessage(text)
  if (own) return own
  if (status === 404) return 'the server could not find the requested resource'
  if (status === 503) return 'the server is currently unable to handle the request'
  if (status === 500)
    return `an error on the server (${JSON.stringify(text.trim().slice(0, MAX_SHOWN))}) has prevented the request from succeeding`
  return `the server responded with the status code ${status} but did not return more information`
}

function statusMessage(text: string): string | undefined {
  if (!text.startsWith('{')) return undefined
  try {
    const parsed = JSON.parse(text) as { readonly kind?: unknown; readonly message?: unknown }
    return parsed.kind === 'Status' && typeof parsed.message === 'string' && parsed.message ? parsed.message : undefined
  } catch {
    // Not JSON after all: explained by its code.
    return undefined
  }
}

/** Where a configuration leads now; throws when its service has no endpoint. Admission webhooks are told how long they have. */
export function webhookTarget(config: WebhookClientConfig, timeoutMs: number | undefined, read: Reader, random: Random): WebhookTarget {
  const query = timeoutMs === undefined ? '' : `?timeout=${Math.ceil(timeoutMs / 1000)}s`
  const trust = config.caBundle ? { caBundle: config.caBundle } : {}
  if (!config.service) return { url: `${config.url}${query}`, ...trust }
  const { name, namespace, path = '', port = DEFAULT_PORT } = config.service
  const url = `https://${name}.${namespace}.svc:${port}${path}${query}`
  if (!read.get('v1/Service', namespace, name)) throw new Error(`Post ${JSON.stringify(url)}: service ${JSON.stringify(name)} not found`)
  return { url, connectTo: endpointOf(read, random, namespace, name, port), ...trust }
}

/** A ready endpoint of a service's port, as upstream's aggregator resolves it, without the detour by the service's address. */
export function endpointOf(
  read: Reader,
  random: Random,
  namespace: string,
  name: string,
  port: number,
): { readonly host: string; readonly port: number } {
  const service = read.get('v1/Service', namespace, name)
  if (!service) throw notFound('', 'services', name)
  if (service.spec?.type === 'ExternalName') return { host: service.spec.externalName ?? '', port }
  const servicePort = service.spec?.ports?.find((candidate) => candidate.port === port)
  if (!servicePort) throw failure('ServiceUnavailable', `no service port ${port} found for service ${JSON.stringify(name)}`)
  const found: { readonly host: string; readonly port: number }[] = []
  for (const slice of read.list('discovery.k8s.io/v1/EndpointSlice', namespace)) {
    if (slice.metadata?.labels?.['kubernetes.io/service-name'] !== name) continue
    const slicePort = slice.ports?.find((candidate) => (candidate.name ?? '') === (servicePort.name ?? ''))?.port
    if (slicePort === undefined) continue
    for (const { addresses, conditions } of slice.endpoints ?? [])
      if (conditions?.ready !== false && addresses[0]) found.push({ host: addresses[0], port: slicePort })
  }
  if (found.length === 0) throw failure('ServiceUnavailable', `no endpoints available for service ${JSON.stringify(name)}`)
  return found[randomInt(random, found.length)]!
}
