/**
 * Calls webhooks over HTTPS: HTTP/1.1 with connections kept, certificates checked against the configured authority and the name in
 * the URL, whatever address the call goes to. Failures read as those of Go's client, which people search for.
 */
import { Agent, request as httpsRequest } from 'node:https'
import { rootCertificates } from 'node:tls'
import type { KubeObject } from '../../api/object.ts'
import type { WebhookTarget } from '../webhook-call.ts'

/** The largest answer that is read, as upstream's client (3 MB). */
const MAX_ANSWER_BYTES = 3 * 1024 * 1024
const MAX_SOCKETS = 100
/** Authorities and endpoints come and go: the connections of the oldest are given up beyond this. */
const MAX_AGENTS = 64

const agents = new Map<string, Agent>()

function agentFor({ caBundle, connectTo, url }: WebhookTarget): Agent {
  const key = JSON.stringify([caBundle, connectTo, new URL(url).host])
  const known = agents.get(key)
  if (known) {
    // The most recently used stands last.
    agents.delete(key)
    agents.set(key, known)
    return known
  }
  const ca = caBundle ? Buffer.from(caBundle, 'base64') : [...rootCertificates]
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS, ca, minVersion: 'TLSv1.2' })
  agents.set(key, agent)
  if (agents.size > MAX_AGENTS) {
    const [oldest] = agents
    agents.delete(oldest![0])
    oldest![1].destroy()
  }
  return agent
}

export async function callWebhook(target: WebhookTarget, body: KubeObject, timeoutMs: number): Promise<unknown> {
  const deadline = AbortSignal.timeout(timeoutMs)
  let answer: { readonly status: number; readonly text: string }
  try {
    answer = await post(target, JSON.stringify(body), deadline)
  } catch (error) {
    throw new Error(`Post ${JSON.stringify(target.url)}: ${describe(error as NodeJS.ErrnoException, target, deadline.aborted)}`, {
      cause: error,
    })
  }
  const { status, text } = answer
  if (status < 200 || status >= 300) throw new Error(explain(status, text))
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new Error(`couldn't parse the webhook's answer: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

function post(target: WebhookTarget, body: string, signal: AbortSignal): Promise<{ readonly status: number; readonly text: string }> {
  const url = new URL(target.url)
  const { connectTo } = target
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      {
        host: connectTo?.host ?? url.hostname.replace(/^\[|\]$/g, ''),
        port: connectTo?.port ?? (url.port || 443),
        servername: url.hostname.replace(/^\[|\]$/g, ''),
        path: url.pathname + url.search,
        method: 'POST',
        agent: agentFor(target),
        signal,
        headers: {
          Host: url.host,
          Accept: 'application/json, */*',
          'Content-Type': 'application/json',
          'Content-Length': Buffer.byteLength(body),
          'User-Agent': 'kube-apiserver-admission',
        },
      },
      (response) => {
        const chunks: Buffer[] = []
        let size = 0
        response.on('data', (chunk: Buffer) => {
          size += chunk.length
          if (size > MAX_ANSWER_BYTES) request.destroy(new Error(`response body is larger than ${MAX_ANSWER_BYTES} bytes`))
          else chunks.push(chunk)
        })
        response.on('error', reject)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }))
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}

function describe(error: NodeJS.ErrnoException, { url, connectTo }: WebhookTarget, isLate: boolean): string {
  if (isLate) return 'context deadline exceeded'
  const { hostname, host, port } = new URL(url)
  const address = connectTo ? `${connectTo.host}:${connectTo.port}` : port ? host : `${host}:443`
  switch (error.code) {
    case 'ECONNREFUSED':
      return `dial tcp ${address}: connect: connection refused`
    case 'EHOSTUNREACH':
      return `dial tcp ${address}: connect: no route to host`
    case 'ENOTFOUND':
      return `dial tcp: lookup ${hostname}: no such host`
    case 'ECONNRESET':
      return 'EOF'
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return 'tls: failed to verify certificate: x509: certificate signed by unknown authority'
    case 'CERT_HAS_EXPIRED':
      return 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid'
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `tls: failed to verify certificate: x509: certificate is not valid for ${hostname}`
    default:
      return error.message
  }
}

/** As client-go explains an answer that is no success (NewGenericServerResponse); a Status in it speaks for itself. */
function explain(status: number, text: string): string {
  const own = statusMessage(text)
  if (own) return own
  if (status === 404) return 'the server could not find the requested resource'
  if (status === 503) return 'the server is currently unable to handle the request'
  if (status === 500)
    return `an error on the server (${JSON.stringify(text.trim().slice(0, 2048))}) has prevented the request from succeeding`
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
