/**
 * Calls to webhooks (admission, conversion): what the core asks for, and where a call goes. The HTTP adapter makes the call
 * (http/webhook-call.ts).
 */
import type { WebhookClientConfig } from '../api/generated/admissionregistration/v1.ts'
import type { KubeObject } from '../api/object.ts'
import { failure, notFound } from '../api/status.ts'
import type { Random } from '../base/random.ts'
import { randomInt } from '../base/random.ts'
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

/** Where a configuration leads now; throws when its service has no endpoint. */
export function webhookTarget(config: WebhookClientConfig, timeoutMs: number, read: Reader, random: Random): WebhookTarget {
  const query = `?timeout=${Math.ceil(timeoutMs / 1000)}s`
  const trust = config.caBundle ? { caBundle: config.caBundle } : {}
  if (!config.service) return { url: `${config.url}${query}`, ...trust }
  const { name, namespace, path = '', port = DEFAULT_PORT } = config.service
  return {
    url: `https://${name}.${namespace}.svc:${port}${path}${query}`,
    connectTo: endpointOf(read, random, namespace, name, port),
    ...trust,
  }
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
