/**
 * A request of the server to one that its configuration names (an identity provider, an authorizer), and the text of its answer: within
 * a time and a size. Failures are Errors in Go's words.
 */
import type { Clock } from '../base/clock.ts'
import type { Outgoing } from './outgoing.ts'

export interface Connection {
  /** "https://host:port/path" */
  readonly server: string
  /** PEM; absent: the authorities that the machine trusts. */
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly serverName?: string | undefined
  readonly insecureSkipTlsVerify?: boolean | undefined
  readonly token?: string | (() => string | Promise<string>) | undefined
}

export interface TextAnswer {
  readonly status: number
  readonly text: string
}

/** The largest answer that is read. */
const MAX_ANSWER_BYTES = 3 * 1024 * 1024

export async function exchangeText(
  clock: Clock,
  outgoing: Outgoing,
  connection: Connection,
  { method, body, timeoutMs }: { readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'; readonly body?: string; readonly timeoutMs: number },
): Promise<TextAnswer> {
  const { server, ca, cert, key, insecureSkipTlsVerify } = connection
  const url = new URL(server)
  const host = url.hostname.replaceAll(/^\[|\]$/g, '')
  const token = typeof connection.token === 'function' ? await connection.token() : connection.token
  const tls = {
    serverName: connection.serverName ?? host,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...(insecureSkipTlsVerify ? { isUnverified: true as const } : {}),
  }
  const stop = new AbortController()
  const cancel = clock.setTimeout(() => stop.abort(), timeoutMs)
  try {
    const answer = await outgoing.send({
      host,
      port: Number(url.port) || (url.protocol === 'http:' ? 80 : 443),
      ...(url.protocol === 'http:' ? {} : { tls }),
      method,
      path: url.pathname + url.search,
      headers: [
        ['host', url.host],
        ['accept', 'application/json'],
        ['user-agent', 'kube-apiserver'],
        ...(body === undefined ? [] : ([['content-type', 'application/json']] as const)),
        ...(token === undefined ? [] : ([['authorization', `Bearer ${token}`]] as const)),
      ],
      ...(body === undefined ? {} : { body: new TextEncoder().encode(body) }),
      signal: stop.signal,
    })
    return { status: answer.status, text: await readAll(answer.body) }
  } catch (error) {
    const why = stop.signal.aborted ? 'context deadline exceeded' : error instanceof Error ? error.message : String(error)
    throw new Error(`${method === 'GET' ? 'Get' : 'Post'} ${JSON.stringify(server)}: ${why}`, { cause: error })
  } finally {
    cancel()
  }
}

async function readAll(body: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > MAX_ANSWER_BYTES) throw new Error(`the answer is larger than ${MAX_ANSWER_BYTES} bytes`)
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}
