/**
 * The proxy subresources: a request under ".../proxy" goes on to the program behind a pod, a service or a node, and its answer
 * comes back, for every method. What proves to us who the caller is goes no further. Headers, redirects and texts are those of
 * upstream (apimachinery/pkg/util/proxy around Go's ReverseProxy).
 */
import type { ApiRequest, ApiResponse, HeaderList } from '../../api/exchange.ts'
import { failure, isApiError, noRoute } from '../../api/status.ts'
import type { Core, ResourceCall } from '../core.ts'
import type { OutgoingRequest, OutgoingResponse, ProxyRoads } from '../outgoing.ts'
import { admitConnection } from './connect.ts'
import { cleanPath, LinkRewriter, rewriteLink, type LinkBase } from './proxy-links.ts'
import { proxyTarget, unreachable, type ProxyTarget } from './proxy-target.ts'

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
const OPTIONS_KIND: Readonly<Record<string, string>> = {
  pods: 'PodProxyOptions',
  services: 'ServiceProxyOptions',
  nodes: 'NodeProxyOptions',
}
/** About one connection alone (RFC 9110, 7.6.1); the server that is proxied to hears of its own. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
])
/** What a program behind the API server may not allow in its name. */
const CORS: ReadonlySet<string> = new Set([
  'access-control-allow-credentials',
  'access-control-allow-headers',
  'access-control-allow-methods',
  'access-control-allow-origin',
])

const PROXY_PATH = /^\/api\/v1\/(?:namespaces\/[^/?]+\/(?:pods|services)|nodes)\/[^/?]+\/proxy(?:[/?]|$)/

/** Whether a request (path and query, escaped) goes to a program behind us: its body and what it accepts are not ours to judge. */
export const isProxyPath = (target: string): boolean => PROXY_PATH.test(target)

export async function proxy(core: Core, call: ResourceCall): Promise<ApiResponse> {
  const { request, served, info } = call
  if (!METHODS.has(request.method)) throw noRoute()
  const path = pathBehind(info.path, info.rest)
  const { resource } = served.info
  await admitConnection(core, call, OPTIONS_KIND[resource]!, { path })
  const { roads } = core
  if (!roads) throw unreachable('this server makes no connections')
  const target = await proxyTarget(core, call, roads)
  if (isUpgrade(request)) return tunnel(roads, target, request, path)
  if (path === '' && (request.method === 'GET' || request.method === 'HEAD')) return redirect(`${info.path}/${queryOf(request)}`)
  const base: LinkBase = {
    prefix: path !== '' && info.path.endsWith(path) ? info.path.slice(0, -path.length) : info.path,
    targetHost: hostOf(target),
    requestHost: hostHeader(request),
  }
  const sent = outgoing(target, request, path, forwardedHeaders(request, base, path))
  const answer = await roads.outgoing.send(sent).catch((error: unknown) => {
    throw isApiError(error) ? error : unreachable(messageOf(error))
  })
  return passOn(answer, base, request.method)
}

/**
 * Sends a request on to a server that is itself an API server: the same path, nothing rewritten, with `identity` in place of the
 * caller's credentials.
 */
export async function forward(
  roads: ProxyRoads,
  target: ProxyTarget,
  request: ApiRequest,
  path: string,
  identity: HeaderList,
): Promise<ApiResponse> {
  if (isUpgrade(request)) return tunnel(roads, target, request, path, identity)
  const base: LinkBase = { prefix: '', targetHost: hostOf(target), requestHost: hostHeader(request) }
  const headers = [...forwardedHeaders(request, base, path), ...identity]
  const answer = await roads.outgoing.send(outgoing(target, request, path, headers)).catch((error: unknown) => {
    throw unreachable(messageOf(error))
  })
  return { type: 'proxied', status: answer.status, fields: fieldsOf(answer), body: answer.body }
}

/** What follows ".../proxy", decoded and cleaned; "" when not even a slash does. */
function pathBehind(whole: string, rest: string): string {
  if (rest === '') return whole.endsWith('/') ? '/' : ''
  const path = cleanPath(`/${rest}`)
  return whole.endsWith('/') && !path.endsWith('/') ? `${path}/` : path
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Upstream looks at nothing but the Connection header. */
const isUpgrade = ({ headers }: ApiRequest): boolean => headers.connection?.toLowerCase().includes('upgrade') ?? false

function queryOf({ target, query }: ApiRequest): string {
  if (target !== undefined) {
    const mark = target.indexOf('?')
    return mark < 0 || mark === target.length - 1 ? '' : target.slice(mark)
  }
  return query.size > 0 ? `?${query.toString()}` : ''
}

/** A decoded path as Go's URL.EscapedPath writes it. */
const escapePath = (path: string): string =>
  encodeURI(path).replace(/[?#!'()*[\]]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`)

const redirect = (location: string): ApiResponse => ({
  type: 'proxied',
  status: 301,
  fields: [
    ['location', location],
    ['content-length', '0'],
  ],
  body: nothing(),
})

async function* nothing(): AsyncGenerator<Uint8Array> {}

const hostOf = ({ host, port }: ProxyTarget): string => `${host.includes(':') ? `[${host}]` : host}:${port}`

/** HTTP/2 names the host in a field of its own. */
const hostHeader = ({ headers }: ApiRequest): string => headers.host ?? headers[':authority'] ?? ''

const isSecret = (name: string): boolean =>
  name === 'authorization' || name.startsWith('impersonate-') || name.startsWith('x-remote-') || name.startsWith(':')

/** The caller's headers without its credentials, and with the way that it came. */
function ownHeaders(request: ApiRequest, isDropped: (name: string) => boolean): [string, string][] {
  const kept: [string, string][] = []
  for (const [name, value] of Object.entries(request.headers)) {
    if (value === undefined || name === 'host' || name === 'x-forwarded-for' || isSecret(name) || isDropped(name)) continue
    kept.push([name, value])
  }
  const host = hostHeader(request)
  if (host) kept.push(['host', host])
  const before = request.headers['x-forwarded-for']
  if (request.remoteAddress) kept.push(['x-forwarded-for', before ? `${before}, ${request.remoteAddress}` : request.remoteAddress])
  else if (before) kept.push(['x-forwarded-for', before])
  return kept
}

function forwardedHeaders(request: ApiRequest, { prefix }: LinkBase, path: string): HeaderList {
  const named = new Set((request.headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()))
  const headers = ownHeaders(request, (name) => HOP_BY_HOP.has(name) || named.has(name) || name === 'x-forwarded-uri')
  if (/\btrailers\b/.test(request.headers.te ?? '')) headers.push(['te', 'trailers'])
  headers.push(['x-forwarded-uri', cleanPath(`${prefix}/${escapePath(path)}`)])
  return headers
}

function outgoing(target: ProxyTarget, request: ApiRequest, path: string, headers: HeaderList): OutgoingRequest {
  const { body, bodyStream, signal, method } = request
  const bytes = body && ('bytes' in body ? body.bytes : new TextEncoder().encode(JSON.stringify(body.object)))
  const sent = bodyStream ?? bytes
  return { ...target, method, path: (escapePath(path) || '/') + queryOf(request), headers, signal, ...(sent ? { body: sent } : {}) }
}

/** The answer's headers without those of its connection, and without those that would speak for this server. */
function fieldsOf({ headers }: OutgoingResponse): HeaderList {
  const named = new Set(all(headers, 'connection').flatMap((value) => value.split(',').map((name) => name.trim().toLowerCase())))
  return headers.filter(([name]) => !HOP_BY_HOP.has(name) && !named.has(name) && !CORS.has(name))
}

function passOn(answer: OutgoingResponse, base: LinkBase, method: string): ApiResponse {
  const fields = fieldsOf(answer)
  const { status, body } = answer
  const location = fields.some(([name, value]) => name === 'location' && value !== '')
  if (location) {
    const rewritten = fields.map(([name, value]): [string, string] => [name, name === 'location' ? rewriteLink(value, base) : value])
    return { type: 'proxied', status, fields: rewritten, body }
  }
  const [contentType = ''] = all(fields, 'content-type')
  const plain = plainText(body, all(fields, 'content-encoding')[0] ?? '')
  if (contentType.split(';')[0]!.trim() !== 'text/html' || method === 'HEAD' || !plain) return { type: 'proxied', status, fields, body }
  const changed = fields.filter(([name]) => name !== 'content-length' && name !== 'content-encoding')
  return { type: 'proxied', status, fields: changed, body: rewritten(plain(), new LinkRewriter(base)) }
}

const all = (headers: HeaderList, wanted: string): string[] => headers.flatMap(([name, value]) => (name === wanted ? [value] : []))

/** How to read a body in this encoding; undefined when it is not known here. It goes on without the encoding. */
function plainText(body: AsyncIterable<Uint8Array>, encoding: string): (() => AsyncIterable<Uint8Array>) | undefined {
  if (encoding === '') return () => body
  if (encoding !== 'gzip' && encoding !== 'deflate') return undefined
  const format = encoding === 'gzip' ? 'gzip' : 'deflate-raw'
  return () => streamOf(body).pipeThrough(new DecompressionStream(format))
}

function streamOf(body: AsyncIterable<Uint8Array>): ReadableStream<BufferSource> {
  const chunks = body[Symbol.asyncIterator]()
  return new ReadableStream<BufferSource>({
    async pull(controller) {
      const { done, value } = await chunks.next()
      if (done) controller.close()
      else controller.enqueue(value as Uint8Array<ArrayBuffer>)
    },
    async cancel() {
      await chunks.return?.()
    },
  })
}

async function* rewritten(body: AsyncIterable<Uint8Array>, rewriter: LinkRewriter): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    const text = rewriter.push(lettersOf(chunk))
    if (text !== '') yield bytesOf(text)
  }
  const rest = rewriter.end()
  if (rest !== '') yield bytesOf(rest)
}

/** How many bytes are turned into letters by one call. */
const LETTERS_AT_ONCE = 8192

/** One letter a byte, so that no encoding of the page matters. */
function lettersOf(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += LETTERS_AT_ONCE) text += String.fromCharCode(...bytes.subarray(i, i + LETTERS_AT_ONCE))
  return text
}

function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}

/** WebSockets and the like: the handshake goes on as it is, then bytes flow both ways. */
async function tunnel(
  roads: ProxyRoads,
  target: ProxyTarget,
  request: ApiRequest,
  path: string,
  identity: HeaderList = [],
): Promise<ApiResponse> {
  const headers = [...ownHeaders(request, () => false), ...identity]
  const result = await roads.outgoing.upgrade(outgoing(target, request, path, headers)).catch((error: unknown) => {
    throw failure('InternalError', `error dialing backend: ${messageOf(error)}`)
  })
  if (result.type === 'upgraded') return { type: 'tunnel', status: 101, fields: result.headers, connection: result.connection }
  const { status, headers: fields, body } = result.response
  if (status < 400) {
    await body[Symbol.asyncIterator]().return?.()
    throw failure('InternalError', `invalid upgrade response: status code ${status}`)
  }
  return { type: 'proxied', status, fields: fields.filter(([name]) => !HOP_BY_HOP.has(name)), body }
}
