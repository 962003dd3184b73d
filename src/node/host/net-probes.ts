/** TCP and HTTP probes from the node's side. Certificates are not checked, as upstream's are not: a probe asks for life, not identity. */
import type { IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'

/** Not imported: that would read every export, and load `fetch` and its friends for those that are made when asked for (30 ms, 10 MB). */
const http = process.getBuiltinModule('node:http')

const MAX_BODY_BYTES = 10 * 1024
const MAX_REDIRECTS = 10

export function probeTcp(host: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const end = (isOpen: boolean) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(isOpen)
    }
    const timer = setTimeout(() => end(false), timeoutMs)
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}

type Answer = { readonly status: number; readonly body: string } | { readonly error: string }

/** In the words of Go's HTTP client, which events show. */
function describe(url: URL, error: NodeJS.ErrnoException, isLate: boolean): string {
  const where = `Get "${url.href}"`
  if (isLate) return `${where}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)`
  if (error.code === 'ECONNREFUSED') return `${where}: dial tcp ${url.host}: connect: connection refused`
  if (error.code === 'EHOSTUNREACH') return `${where}: dial tcp ${url.host}: connect: no route to host`
  return `${where}: ${error.code === 'ECONNRESET' ? 'EOF' : error.message}`
}

async function readBody(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of message as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    size += chunk.length
    if (size >= MAX_BODY_BYTES) break
  }
  return Buffer.concat(chunks).subarray(0, MAX_BODY_BYTES).toString('utf8')
}

export async function probeHttp(address: string, headers: Readonly<Record<string, string>>, timeoutMs: number): Promise<Answer> {
  const deadline = AbortSignal.timeout(timeoutMs)
  let url = new URL(address)
  for (let hops = 0; ; hops++) {
    try {
      const message = await send(url, headers, deadline)
      const status = message.statusCode ?? 0
      const next = status >= 300 && status < 400 && message.headers.location ? new URL(message.headers.location, url) : undefined
      // A redirect to another host is an answer, not to be followed.
      if (next && next.hostname === url.hostname) {
        message.destroy()
        if (hops >= MAX_REDIRECTS) return { error: `Get "${next.href}": stopped after 10 redirects` }
        url = next
        continue
      }
      return { status, body: await readBody(message) }
    } catch (error) {
      return { error: describe(url, error as NodeJS.ErrnoException, deadline.aborted) }
    }
  }
}

function send(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const options = { method: 'GET', headers: { ...headers, connection: 'close' }, signal, agent: false }
    const request = url.protocol === 'https:' ? httpsRequest(url, { ...options, rejectUnauthorized: false }) : http.request(url, options)
    request.once('response', resolve)
    request.once('error', reject)
    request.end()
  })
}
