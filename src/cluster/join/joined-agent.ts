/**
 * `proa agent --server ...`: a machine that has joined, or joins now, as a node. The process may end at any moment and goes on where it
 * was when it is started again, without a token; its containers go on meanwhile. When the machine's address changes, all parts begin anew
 * with the new one.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import { X509Certificate } from 'node:crypto'
import { connect } from 'node:net'
import { isApiError } from '../../api/status.ts'
import { createLog, type LogLevel } from '../../base/log.ts'
import { every, sleep } from '../../base/clock.ts'
import type { Runtime } from '../../base/runtime.ts'
import { systemClock, systemRandom } from '../../base/system.ts'
import type { Client } from '../../client/client.ts'
import { createClient } from '../../client/create-client.ts'
import { createHttpTransport, type HttpTransport, type HttpTransportOptions } from '../../client/http/index.ts'
import { askForCertificate } from '../../node/certificate-rotation.ts'
import { isWithin } from '../../network/addresses.ts'
import { startAgent } from '../agent.ts'
import { volumesAnnotation } from '../local-storage.ts'
import { createLifecycle, type Lifecycle } from '../lifecycle.ts'
import { printLine } from '../log-lines.ts'
import { missingPrograms, isOwnAddress } from '../machine.ts'
import type { NodeLayout } from '../node-layout.ts'
import { removePidFile, runningServer, writePidFile } from '../process.ts'
import { removeLoneNode } from '../real-node-teardown.ts'
import { holdTunnel } from '../tunnel/tunnel-agent.ts'
import { isUserError, UserError } from '../user-error.ts'
import { createCertificateRequest, isStillGood, type KeyPair } from '../certificates.ts'
import { keepPemFile } from '../node-certificates.ts'
import { nodeClientRequest, nodeServerRequest, readPemFile, writePemFile } from '../pki.ts'
import { joinCluster, type JoinOptions } from './join.ts'
import { joinedFiles, layoutOf, readJoined, writeJoined, type JoinedFiles, type JoinedRecord } from './joined-record.ts'

export interface JoinedAgentOptions extends Partial<JoinOptions> {
  readonly dataRoot: string
  readonly logLevel: LogLevel
}

const RETRY_MS = 1000
const MAX_RETRY_MS = 15_000
/** How often the machine is looked at for its address, and every how many times by a connection to the server. */
const ADDRESS_MS = 2000
const CONNECT_EVERY = 15
const DIAL_MS = 5000
/** What parts get to say their last to the server; without one they would wait for answers. */
const STOP_GRACE_MS = 3000

export async function runJoinedAgent(options: JoinedAgentOptions): Promise<void> {
  const log = createLog(printLine, options.logLevel)
  const runtime: Runtime = { clock: systemClock, random: systemRandom, log }
  const files = joinedFiles(options.dataRoot)
  const end = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => end.abort(signal))
  try {
    checkMachine(files)
    mkdirSync(files.root, { recursive: true, mode: 0o711 })
    writePidFile(files)
    let record = readJoined(files) ?? (await joinNow(runtime, files, options, end.signal))
    while (!end.signal.aborted) record = await runOnce(runtime, files, record, end.signal)
    log.info('stopping', { signal: String(end.signal.reason) })
    removePidFile(files)
    process.exit(0)
  } catch (error) {
    if (runningServer(files) === process.pid) removePidFile(files)
    if (end.signal.aborted) process.exit(0)
    if (isUserError(error)) process.stderr.write(`proa: ${error.message}\n`)
    else log.error('the agent ends', { error: error instanceof Error ? error.stack : String(error) })
    process.exit(1)
  }
}

function checkMachine(files: JoinedFiles): void {
  if (process.getuid?.() !== 0) throw new UserError('an agent runs containers, which needs root: run it with sudo')
  const missing = missingPrograms()
  if (missing.length > 0) throw new UserError(`an agent needs ${missing.join(', ')}: sh tools/setup.sh --runtime installs them`)
  const other = runningServer(files)
  if (other !== undefined) throw new UserError(`the agent of ${files.root} runs already (process ${other})`)
}

function joinNow(runtime: Runtime, files: JoinedFiles, options: JoinedAgentOptions, signal: AbortSignal): Promise<JoinedRecord> {
  const { server, token } = options
  if (server === undefined || token === undefined)
    throw new UserError(
      'this machine has not joined a cluster yet: give --server and --token-file (proa token create on the server prints both)',
    )
  return joinCluster(runtime, files, { ...options, server, token }, signal)
}

/** Runs the node until the signal aborts or the machine has another address; resolves with what is to be known then. */
async function runOnce(runtime: Runtime, files: JoinedFiles, before: JoinedRecord, end: AbortSignal): Promise<JoinedRecord> {
  const lifecycle = createLifecycle()
  const anew = Promise.withResolvers<void>()
  const over = new AbortController()
  const signal = AbortSignal.any([end, over.signal])
  let record = before
  const connection = createConnection({ server: before.server, ca: readFileSync(files.ca, 'utf8'), ...clientKeys(runtime, files) })
  let graceMs = STOP_GRACE_MS
  const onMove = (): void => {
    runtime.log.warn('this machine has another address: its node begins anew', { before: record.address ?? '' })
    // Over connections of the old address nothing is answered any more.
    graceMs = 0
    anew.resolve()
  }
  const begin = async (): Promise<void> => {
    record = await startNode(runtime, lifecycle, files, { before, connection, onMove, signal })
  }
  try {
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    await Promise.race([lifecycle.failed, aborted, anew.promise, begin().then(() => Promise.race([aborted, anew.promise]))])
  } finally {
    over.abort()
    const cancel = runtime.clock.setTimeout(() => connection.close(), graceMs)
    await lifecycle.stop()
    cancel()
    connection.close()
  }
  return record
}

interface Beginning {
  readonly before: JoinedRecord
  readonly connection: Connection
  /** Called when the machine's address is another one. */
  onMove(): void
  readonly signal: AbortSignal
}

async function startNode(
  runtime: Runtime,
  lifecycle: Lifecycle,
  files: JoinedFiles,
  { before, connection, onMove, signal }: Beginning,
): Promise<JoinedRecord> {
  const { clock } = runtime
  const client = createClient(connection.transport, { userAgent: 'kubelet' })
  keepPemFile(runtime, lifecycle, client, {
    path: files.client,
    signerName: 'kubernetes.io/kube-apiserver-client-kubelet',
    request: nodeClientRequest(before.nodeName),
    use: connection.setClientPair,
  })
  const address = await ownAddress(runtime, before, signal)
  const podCidr = await registered(runtime, client, files.root, { ...before, address }, signal)
  const record: JoinedRecord = { ...before, address, podCidr }
  await clearOld(runtime, files, before, record)
  writeJoined(files, record)
  const layout = layoutOf(files, record)!
  await ensureServing(runtime, client, files, layout, signal)
  const { server } = record
  const ca = readFileSync(files.ca, 'utf8')
  const tunnel = {
    nodeName: layout.name,
    connection: () => ({ server, ca, ...readPemFile(files.client) }),
    isOwn: (host: string) => host === address || isWithin(host, podCidr),
  }
  lifecycle.start({ name: 'tunnel', run: (stop) => holdTunnel(runtime, tunnel, stop) })
  let looks = 0
  lifecycle.start({
    name: 'address',
    run: (stop) =>
      every(clock, ADDRESS_MS, stop, async () => {
        if ((!isOwnAddress(address) || ++looks % CONNECT_EVERY === 0) && (await hasMoved(record))) onMove()
      }),
  })
  await startAgent(runtime, lifecycle, {
    layout,
    cluster: { ...before.facts, id: before.id },
    node: client,
    proxy: createClient(connection.transport, { userAgent: 'kube-proxy' }),
    kubelet: { pemFile: files.serving, clientCa: ca },
  })
  return record
}

interface Connection extends HttpTransport {
  /** Ends what is under way; whatever is asked afterwards fails. */
  close(): void
}

function createConnection(options: HttpTransportOptions): Connection {
  const http = createHttpTransport(options)
  let isClosed = false
  return {
    ...http,
    transport: (request) => (isClosed ? Promise.reject(new Error('the connection to the server is closed')) : http.transport(request)),
    close() {
      isClosed = true
      http.close()
    },
  }
}

function clientKeys({ clock }: Runtime, files: JoinedFiles): KeyPair {
  const keys = readPemFile(files.client)
  const again = 'proa leave, then join again with a token'
  if (!keys) throw new UserError(`${files.client} has no certificate: ${again}`)
  const { validTo } = new X509Certificate(keys.cert)
  if (Date.parse(validTo) <= clock.now())
    throw new UserError(`the node's certificate ended on ${validTo} while the agent did not run: ${again} (or set the clock right)`)
  return keys
}

/** The certificate of the node's own API: the one on disk, unless it is of another address or at its end. */
async function ensureServing(
  { clock }: Runtime,
  client: Client,
  files: JoinedFiles,
  layout: NodeLayout,
  signal: AbortSignal,
): Promise<void> {
  const wanted = nodeServerRequest(layout.name, layout.address)
  const kept = readPemFile(files.serving)
  if (kept && isStillGood(clock, kept, { cert: readFileSync(files.ca, 'utf8') }, wanted.hosts, 0)) return
  const { key, request } = await createCertificateRequest(wanted)
  writePemFile(files.serving, { cert: await askForCertificate(clock, client, 'kubernetes.io/kubelet-serving', request, signal), key })
}

/** The address by which the server is reached; while it is not reached, the one before. */
async function ownAddress(runtime: Runtime, record: JoinedRecord, signal: AbortSignal): Promise<string> {
  if (record.nodeIp !== undefined) {
    if (!isOwnAddress(record.nodeIp)) throw new UserError(`--node-ip ${record.nodeIp} is no address of this machine`)
    return record.nodeIp
  }
  for (let retryMs = RETRY_MS; ; retryMs = Math.min(retryMs * 2, MAX_RETRY_MS)) {
    const address = await localAddress(record.server)
    if (address?.includes(':'))
      throw new UserError(
        `this machine reaches the server by IPv6 (${address}), but nodes need IPv4 among them: --node-ip tells an address`,
      )
    if (address !== undefined) return address
    if (record.address !== undefined && isOwnAddress(record.address)) return record.address
    runtime.log.warn('the server is not reached, so this machine does not know its address', { server: record.server })
    await sleep(runtime.clock, retryMs, signal)
  }
}

function localAddress(server: string): Promise<string | undefined> {
  const { hostname, port } = new URL(server)
  return new Promise((resolve) => {
    const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 443), timeout: DIAL_MS })
    const end = (address?: string) => {
      socket.destroy()
      resolve(address)
    }
    socket.once('connect', () => end(socket.localAddress))
    socket.once('timeout', () => end())
    socket.once('error', () => end())
  })
}

/** A server that does not answer tells nothing: only when the old address is gone, or another leads to the server. */
async function hasMoved({ nodeIp, address, server }: JoinedRecord): Promise<boolean> {
  if (nodeIp !== undefined) return false
  const now = await localAddress(server)
  return now !== undefined && now !== address
}

/** Registers the node with its address and waits for its range; without the server, what was before counts. */
async function registered(runtime: Runtime, client: Client, directory: string, record: JoinedRecord, signal: AbortSignal): Promise<string> {
  const { nodeName: name, address = '' } = record
  const addresses = [
    { type: 'InternalIP', address },
    { type: 'Hostname', address: name },
  ]
  const metadata = { annotations: volumesAnnotation(directory) }
  for (let retryMs = RETRY_MS / 4; ; retryMs = Math.min(retryMs * 2, MAX_RETRY_MS)) {
    try {
      await client.create('v1/Node', { metadata: { name, ...metadata }, status: { addresses } }).catch((error: unknown) => {
        if (!isApiError(error, 'AlreadyExists')) throw error
        return client.patch('v1/Node', { name }, 'strategic', { metadata, status: { addresses } }, { subresource: 'status' })
      })
      const { spec } = await client.get('v1/Node', { name })
      if (spec?.podCIDR) return spec.podCIDR
      if (retryMs >= MAX_RETRY_MS) runtime.log.warn('the node has no range for its pods yet: is the cluster’s used up?', { node: name })
    } catch (error) {
      if (isApiError(error, 'Unauthorized', 'Forbidden'))
        throw new UserError(
          `the server does not know this machine as node ${name} any more (${error.message}): proa leave, then join again`,
        )
      if (record.podCidr !== undefined && !isApiError(error)) return record.podCidr
      runtime.log.warn('the node is not registered yet', { error: error instanceof Error ? error.message : String(error) })
    }
    await sleep(runtime.clock, retryMs, signal)
  }
}

/** A Node that was deleted may come back with another range: pods of the old one cannot be reached. */
async function clearOld(runtime: Runtime, files: JoinedFiles, before: JoinedRecord, now: JoinedRecord): Promise<void> {
  const old = before.podCidr !== now.podCidr ? layoutOf(files, before) : undefined
  if (!old) return
  runtime.log.warn('the node has another range for its pods: those that run end', { before: before.podCidr, now: now.podCidr })
  await removeLoneNode(runtime, old, before.id)
}
