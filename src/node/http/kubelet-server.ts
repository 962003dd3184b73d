/**
 * The node's own API, as upstream's kubelet has it: how the API server reaches a node that is not in its process, and what
 * nodes/NAME/proxy leads to. Over TLS; who is let in to what is decided by kubelet-access.ts, for health checks too.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Pod } from '../../api/generated/core/v1.ts'
import type { NodeService } from '../../api/node-service.ts'
import { isApiError } from '../../api/status.ts'
import type { Runtime } from '../../base/runtime.ts'
import type { Client } from '../../client/client.ts'
import type { Counters } from '../counters.ts'
import type { MachineFacts } from '../host.ts'
import { summarize } from '../summary.ts'
import type { UsageMeter } from '../usage.ts'
import { createKubeletAccess, type KubeletAccess } from './kubelet-access.ts'
import { serveLogFile } from './log-files.ts'
import { containerLogs } from './container-logs.ts'
import { serveStream } from './kubelet-streams.ts'
import { agentMetrics, cadvisorMetrics, probeMetrics, resourceMetrics } from './metrics.ts'

/** Not imported: that would read every export, and load `fetch` and its friends for those that are made when asked for (30 ms, 10 MB). */
const { STATUS_CODES } = process.getBuiltinModule('node:http')

export interface KubeletServerOptions {
  /** Asked for at each request: it may be there later than the server. */
  service(): NodeService
  /** Those that are bound to this node. */
  pods(): readonly Pod[]
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** PEM. */
  readonly key: string
  readonly cert: string
  /** PEM of the authority whose client certificates count. */
  readonly clientCa: string
  /** The common names of clients that are let in to everything. */
  readonly clients: readonly string[]
  /** As the node: asked who others are and what they may. Absent: nobody else is let in. */
  readonly client?: Client
  /** As `service`. */
  meter(): Pick<UsageMeter, 'measure'>
  counters(): Counters
  facts(): Promise<Pick<MachineFacts, 'cpuCount' | 'memoryBytes'>>
  readonly nodeName: string
  /** What /logs/ shows. */
  readonly logsDirectory: string
  /** Directories for volumes of the cluster's own class, which its provisioner has made and removed. Absent: there are none. */
  readonly volumes?: NodeVolumes
  /** What /configz shows: fields of a KubeletConfiguration. */
  readonly configuration: object
}

export interface NodeVolumes {
  make(name: string): Promise<void>
  remove(name: string): Promise<void>
}

export interface KubeletServer {
  readonly port: number
  /** Shows another certificate on connections from now on. Throws, and keeps the old one, when key and certificate do not fit together. */
  setKeys(pair: { readonly key: string; readonly cert: string }): void
  close(): Promise<void>
}

const MIN_TLS_VERSION = 'TLSv1.2'
const MAX_HEADER_BYTES = 64 * 1024
const MAX_CONNECTIONS = 2000
const HEADERS_TIMEOUT_MS = 30_000
const HANDSHAKE_TIMEOUT_MS = 10_000
const KEEP_ALIVE_MS = 120_000

const TEXT = 'text/plain; charset=utf-8'
const METRICS = 'text/plain; version=0.0.4; charset=utf-8'

export async function createKubeletServer(runtime: Runtime, options: KubeletServerOptions): Promise<KubeletServer> {
  const { key, cert, clientCa } = options
  const access = createKubeletAccess(runtime, options)
  const server = createServer({
    key,
    cert,
    ca: clientCa,
    requestCert: true,
    // Whoever has no certificate is told so, in the terms of HTTP.
    rejectUnauthorized: false,
    minVersion: MIN_TLS_VERSION,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    noDelay: true,
  })
  server.maxConnections = MAX_CONNECTIONS
  const upgraded = new Set<Duplex>()

  server.on('request', (request, response) => {
    answer(options, access, request, response).catch((error: unknown) => {
      if (response.headersSent) return void response.destroy()
      const code = isApiError(error) ? error.code : 500
      if (!isApiError(error)) runtime.log.error('a request to the node failed', { path: pathOf(request), error: String(error) })
      sendText(response, code, error instanceof Error ? error.message : String(error))
    })
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    upgraded.add(socket)
    socket.once('close', () => upgraded.delete(socket))
    socket.on('error', () => socket.destroy())
    const served = access
      .refusalOf(request)
      .then((refused) => (refused ? refuse(socket, refused.code, refused.text) : upgrade(options, request, socket, head)))
    served.catch((error: unknown) => {
      runtime.log.warn('an upgraded connection to the node failed', { path: pathOf(request), error: String(error) })
      socket.destroy()
    })
  })

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  return {
    port: (server.address() as AddressInfo).port,
    setKeys: (pair) => server.setSecureContext({ key: pair.key, cert: pair.cert, ca: clientCa, minVersion: MIN_TLS_VERSION }),
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      for (const socket of upgraded) socket.destroy()
      await closed
    },
  }
}

const pathOf = (request: IncomingMessage): string => (request.url ?? '/').split('?', 1)[0]!

async function answer(
  options: KubeletServerOptions,
  access: KubeletAccess,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const refused = await access.refusalOf(request)
  if (refused) return sendText(response, refused.code, refused.text)
  const [, first = '', ...rest] = decodePath(pathOf(request)).split('/')
  if (first === 'proa' && rest[0] === 'volumes') return changeVolume(options.volumes, request.method, rest.slice(1), response)
  if (request.method !== 'GET' && request.method !== 'HEAD') return sendText(response, 405, '405: Method Not Allowed')
  switch (first) {
    case 'healthz':
      return sendText(response, 200, 'ok')
    case 'pods':
      return sendJson(response, { kind: 'PodList', apiVersion: 'v1', metadata: {}, items: options.pods() })
    case 'configz':
      return sendJson(response, { kubeletconfig: options.configuration })
    case 'containerLogs':
      return containerLogs(options, rest, request, response)
    case 'metrics':
    case 'stats':
      return statsOf(options, [first, ...rest].join('/').replace(/\/$/, ''), response)
    case 'logs':
      return serveLogFile(options.logsDirectory, rest, response)
    case 'exec':
    case 'attach':
    case 'portForward':
      return sendText(response, 400, 'Upgrade request required')
    default:
      return sendText(response, 404, '404 page not found\n')
  }
}

/** The name is that of a PersistentVolume, and so a single step of a path. */
const VOLUME_NAME = /^pvc-[0-9a-f-]{1,64}$/

/** Not upstream's: PUT and DELETE of /proa/volumes/NAME. */
async function changeVolume(
  volumes: NodeVolumes | undefined,
  method: string | undefined,
  [name = '', ...more]: readonly string[],
  response: ServerResponse,
): Promise<void> {
  if (!volumes || more.length > 0 || !VOLUME_NAME.test(name)) return sendText(response, 404, '404 page not found\n')
  if (method === 'PUT') await volumes.make(name)
  else if (method === 'DELETE') await volumes.remove(name)
  else return sendText(response, 405, '405: Method Not Allowed')
  return sendText(response, 200, '')
}

async function statsOf(
  { meter, counters, pods, nodeName, facts }: KubeletServerOptions,
  path: string,
  response: ServerResponse,
): Promise<void> {
  if (path === 'metrics') return sendText(response, 200, agentMetrics(nodeName, counters(), pods()), METRICS)
  if (path === 'metrics/probes') return sendText(response, 200, probeMetrics(counters()), METRICS)
  if (!['metrics/resource', 'metrics/cadvisor', 'stats/summary'].includes(path)) return sendText(response, 404, '404 page not found\n')
  const measurement = await meter().measure()
  if (!measurement) return sendText(response, 404, '404 page not found\n')
  if (path === 'metrics/cadvisor') {
    const { cpuCount, memoryBytes } = await facts()
    return sendText(response, 200, cadvisorMetrics(measurement, pods(), cpuCount, memoryBytes), METRICS)
  }
  const summary = summarize(nodeName, measurement, pods())
  if (path === 'stats/summary') return sendJson(response, summary)
  return sendText(response, 200, resourceMetrics(summary), METRICS)
}

/** Parts are told apart before they are decoded elsewhere too: names have no slashes. */
function decodePath(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    // Nothing has such a name.
    return '/'
  }
}

async function upgrade(options: KubeletServerOptions, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
  const [, first = '', ...rest] = decodePath(pathOf(request)).split('/')
  if (first === 'exec' || first === 'attach' || first === 'portForward') {
    try {
      return await serveStream(options, first, rest, request, socket, head)
    } catch (error) {
      // After the upgrade there is nobody to tell: the caller ends the connection.
      if (!isApiError(error)) throw error
      return refuse(socket, error.code, error.message)
    }
  }
  return refuse(socket, 404, '404 page not found\n')
}

function sendText(response: ServerResponse, code: number, text: string, contentType = TEXT): void {
  response.writeHead(code, { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(text) }).end(text)
}

function sendJson(response: ServerResponse, value: object): void {
  const bytes = Buffer.from(JSON.stringify(value))
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': bytes.length }).end(bytes)
}

async function refuse(socket: Duplex, code: number, text: string): Promise<void> {
  const head = `HTTP/1.1 ${code} ${STATUS_CODES[code] ?? ''}\r\nContent-Type: ${TEXT}\r\nContent-Length: ${Buffer.byteLength(text)}\r\n`
  socket.end(`${head}Connection: close\r\n\r\n${text}`)
}
