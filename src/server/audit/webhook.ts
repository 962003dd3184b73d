/** Sends audit events to a program outside, a batch as one EventList (k8s.io/apiserver/plugin/pkg/audit/webhook). */
import { sleep } from '../../base/clock.ts'
import type { Runtime } from '../../base/runtime.ts'
import type { Outgoing, OutgoingTls } from '../outgoing.ts'
import type { WriteEvents } from './sinks.ts'

export interface AuditWebhook {
  readonly url: string
  readonly tls?: OutgoingTls
  readonly bearerToken?: string
  /** Before the first of the further attempts. */
  readonly initialBackoffMs: number
}

const ATTEMPTS = 5
const BACKOFF_FACTOR = 1.5
const JITTER = 0.2
const TIMEOUT_MS = 30_000
const HTTPS_PORT = 443
const HTTP_PORT = 80

export function createAuditWebhook({ clock, random }: Runtime, outgoing: Outgoing, webhook: AuditWebhook): WriteEvents {
  const { protocol, hostname, port, host, pathname, search } = new URL(webhook.url)
  const isPlain = protocol === 'http:'
  const send = async (body: Uint8Array): Promise<void> => {
    const stop = new AbortController()
    const cancel = clock.setTimeout(() => stop.abort(), TIMEOUT_MS)
    try {
      const answer = await outgoing.send({
        host: hostname.replaceAll(/^\[|\]$/g, ''),
        port: Number(port) || (isPlain ? HTTP_PORT : HTTPS_PORT),
        ...(isPlain ? {} : { tls: webhook.tls ?? {} }),
        method: 'POST',
        path: pathname + search,
        headers: [
          ['host', host],
          ['content-type', 'application/json'],
          ['user-agent', 'kube-apiserver-audit'],
          ...(webhook.bearerToken === undefined ? [] : ([['authorization', `Bearer ${webhook.bearerToken}`]] as const)),
        ],
        body,
        signal: stop.signal,
      })
      for await (const _chunk of answer.body);
      if (answer.status < 200 || answer.status >= 300) throw new Refused(answer.status)
    } finally {
      cancel()
    }
  }
  return async (events) => {
    const list = { kind: 'EventList', apiVersion: 'audit.k8s.io/v1', metadata: {}, items: events }
    const body = new TextEncoder().encode(JSON.stringify(list))
    let waitMs = webhook.initialBackoffMs
    for (let attempt = 1; ; attempt++) {
      try {
        return await send(body)
      } catch (error) {
        const isFinal = error instanceof Refused && error.status !== 429 && error.status < 500
        if (isFinal || attempt >= ATTEMPTS) throw error
        await sleep(clock, waitMs * (1 + JITTER * random.next()))
        waitMs *= BACKOFF_FACTOR
      }
    }
  }
}

class Refused extends Error {
  readonly status: number
  constructor(status: number) {
    super(`the server responded with the status code ${status}`)
    this.status = status
  }
}
