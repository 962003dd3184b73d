/**
 * The server process of `proa up`: the whole cluster on this machine, from the data directory up. Started by launch.ts, which
 * hears of its progress over the IPC channel, or in the foreground by a person.
 *
 * SIGTERM ends the server alone: containers go on, and the next start takes them over. Ctrl-C in the foreground takes the cluster
 * down.
 */
import { createLog } from '../base/log.ts'
import { randomUUID } from 'node:crypto'
import type { Node } from '../api/generated/core/v1.ts'
import { hostname } from 'node:os'
import type { Runtime } from '../base/runtime.ts'
import { systemClock, systemRandom } from '../base/system.ts'
import type { HousekeepingOptions } from '../server/housekeeping.ts'
import { createTokenSigner } from '../server/http/tokens.ts'
import { createMemoryStore } from '../store/memory.ts'
import { openSqliteStore } from '../store/sqlite/store.ts'
import type { Store } from '../store/store.ts'
import { readAccessSetup, type AccessSetup } from './access.ts'
import { readAuditSetup, type AuditSetup } from './audit.ts'
import { startControlPlane, type ControlPlane } from './control-plane.ts'
import { recordOf } from './cluster-record.ts'
import { dataDirectory, ensureDataDirectory, type ClusterRecord, type DataDirectory, readRecord } from './data-directory.ts'
import { API_INDEX, SERVICE_ACCOUNT_ISSUER } from './defaults.ts'
import { durationOf, type ApiServerSettings } from './api-server-flags.ts'
import { readDebugSetup, type DebugSetup } from './debug.ts'
import { encryptStore, readEncryptionSetup, refuseEncrypted, type EncryptionSetup } from './encryption.ts'
import { openEtcd } from './etcd.ts'
import * as identities from './identities.ts'
import type { ServerReport, UpOptions } from './launch.ts'
import { readSchedulerFile, type SchedulerSetup } from './scheduler-setup.ts'
import { addressIn } from '../network/addresses.ts'
import { tellLauncher } from './launcher-channel.ts'
import { createLifecycle, until, type Lifecycle } from './lifecycle.ts'
import { printLine } from './log-lines.ts'
import { nodeAddress, type HeldPort } from './machine.ts'
import { firstAddress, nodeLayouts, serverAddress } from './node-layout.ts'
import { ensureFrontProxy, ensureKubeletClient, ensurePki, livePair, serverHosts } from './pki.ts'
import { serve } from './serve.ts'
import type { PreparedNode } from './real-node.ts'
import { readTlsSettings, type TlsSettings } from './tls-settings.ts'
import { removePidFile, runningServer, writePidFile } from './process.ts'
import { ensureApiService, ensureAuthenticationConfig } from './system-objects.ts'
import { isUserError, UserError } from './user-error.ts'

const OWN_TOKENS = { issuer: SERVICE_ACCOUNT_ISSUER, audiences: [SERVICE_ACCOUNT_ISSUER] } as const

/** From here on klog's levels are for following single objects. */
const DEBUG_VERBOSITY = 4

type Report = (report: ServerReport) => void

/** Time since the process began, with what Node itself needed. */
const elapsedMs = (): number => performance.now()

export async function runForeground(options: UpOptions): Promise<void> {
  const report: Report = process.send ? (said) => tellLauncher(process, said) : printReport
  const end = Promise.withResolvers<'SIGTERM' | 'SIGINT'>()
  process.once('SIGTERM', () => end.resolve('SIGTERM'))
  process.once('SIGINT', () => end.resolve('SIGINT'))
  // The one that launched us may go at any time.
  process.on('disconnect', () => {})
  let level = options.logLevel
  const setVerbosity = (verbosity: number): void => void (level = verbosity >= DEBUG_VERBOSITY ? 'debug' : options.logLevel)
  const runtime: Runtime = { clock: systemClock, random: systemRandom, log: createLog(printLine, () => level ?? 'info') }
  const directory = dataDirectory(options.dataRoot)
  const lifecycle = createLifecycle()
  try {
    // A signal counts from the first moment, also while nodes are still coming.
    const beginning = begin(runtime, lifecycle, directory, options, report, setVerbosity)
    const signal = await Promise.race([end.promise, lifecycle.failed, beginning.then(async () => end.promise)])
    runtime.log.info('stopping', { signal })
    await lifecycle.stop()
    removePidFile(directory)
    if (signal === 'SIGINT')
      await (await import('./teardown.ts')).takeDown(directory, { deleteState: false, step: (text) => report({ type: 'step', text }) })
    process.exit(0)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    runtime.log.error('the server ends', { error: error instanceof Error && !isUserError(error) ? error.stack : message })
    report({ type: 'failed', message, isUserError: isUserError(error) })
    if (runningServer(directory) === process.pid) removePidFile(directory)
    // Give the report its way through the channel.
    setTimeout(() => process.exit(1), 20)
  }
}

function printReport(report: ServerReport): void {
  if (report.type === 'step') process.stderr.write(`proa: ${report.text}\n`)
  else if (report.type === 'api-ready')
    process.stderr.write(`proa: API server ready at ${report.url} after ${Math.round(report.elapsedMs)} ms\n`)
  else if (report.type === 'nodes-ready') process.stderr.write(`proa: nodes Ready after ${Math.round(report.elapsedMs)} ms\n`)
  else process.stderr.write(`proa: ${report.message}\n`)
}

/** Starts everything in order; resolves when the nodes are Ready. */
async function begin(
  runtime: Runtime,
  lifecycle: Lifecycle,
  directory: DataDirectory,
  options: UpOptions,
  report: Report,
  setVerbosity: (verbosity: number) => void,
): Promise<void> {
  ensureDataDirectory(directory)
  const other = runningServer(directory)
  if (other !== undefined) throw new UserError(`cluster "${options.name}" is already up (process ${other})`)
  writePidFile(directory)
  // Before anything is started: a wrong configuration is told at once.
  const schedulerConfig = options.schedulerConfig ?? readRecord(directory)?.schedulerConfig
  const scheduler = schedulerConfig ? readSchedulerFile(schedulerConfig) : undefined
  const audit = readAuditSetup(options.apiServer ?? {})
  const encryption = readEncryptionSetup(options.apiServer ?? {})
  const access = readAccessSetup(options.apiServer ?? {}, OWN_TOKENS)
  const housekeeping = {
    compactionPeriodMs: periodOf(options.apiServer, 'etcd-compaction-interval', '5m'),
    eventTtlMs: periodOf(options.apiServer, 'event-ttl', '1h'),
  }
  const debug = { ...readDebugSetup(options.apiServer ?? {}), setVerbosity }
  const tls = readTlsSettings(options.apiServer ?? {})
  const { record, port } = await recordOf(directory, options)
  const prepared =
    record.runtime === 'containerd'
      ? import('./real-node.ts').then((part) => part.prepareRealNode(runtime, nodeLayouts(directory, record)[0]!))
      : undefined
  // Looked at below, when the control plane is up.
  prepared?.catch(() => undefined)
  try {
    return await beginWith(
      runtime,
      lifecycle,
      directory,
      record,
      { logLevel: options.logLevel, port, scheduler, audit, encryption, access, debug, housekeeping, tls, server: options.server },
      prepared,
      report,
    )
  } catch (error) {
    port.socket.close()
    // A containerd that is being started must be on record before this process ends, or nobody would find it.
    await prepared?.catch(() => undefined)
    throw error
  }
}

/** History and events are always bounded: upstream's 0, for ever, is refused. */
function periodOf(settings: ApiServerSettings = {}, name: string, byDefault: string): number {
  const periodMs = durationOf(settings, name, byDefault)
  if (periodMs < 1000) throw new UserError(`--${name} must be a second or more`)
  return periodMs
}

interface Configured {
  readonly logLevel: UpOptions['logLevel']
  readonly port: HeldPort
  readonly scheduler: SchedulerSetup | undefined
  readonly audit: AuditSetup | undefined
  readonly encryption: EncryptionSetup | undefined
  readonly access: AccessSetup
  readonly debug: DebugSetup
  readonly housekeeping: HousekeepingOptions
  readonly tls: TlsSettings
  readonly server: UpOptions['server']
}

async function beginWith(
  runtime: Runtime,
  lifecycle: Lifecycle,
  directory: DataDirectory,
  record: ClusterRecord,
  { logLevel, port, scheduler, audit, encryption, access, debug, housekeeping, tls, server }: Configured,
  prepared: Promise<PreparedNode> | undefined,
  report: Report,
): Promise<void> {
  const address = serverAddress(record)
  if (record.join && address.startsWith('127.'))
    throw new UserError('this machine has no address that others reach it by: --advertise-address tells one')
  const clusterIp = addressIn(record.serviceCidr, API_INDEX)
  const hosts = serverHosts([clusterIp, address, firstAddress(record), nodeAddress(), ...(record.join?.names ?? [])])
  const pki = await ensurePki(runtime.clock, directory.pki, hosts)
  const others =
    record.nodeCidr === undefined
      ? undefined
      : import('./machine-nodes.ts').then((part) =>
          part.startMachineNodes(runtime, lifecycle, { directory, record, pki, logLevel, server: `https://${address}:${record.port}` }),
        )
  // Looked at when the control plane is up; agents find it by themselves.
  others?.catch(() => undefined)
  const disk = await openStore(runtime, directory, record)
  lifecycle.start({ name: 'store', run: (signal) => until(signal, () => disk.close()) })
  if (!encryption) await refuseEncrypted(disk)
  const store = encryption ? await encryptStore(runtime, lifecycle, disk, encryption) : disk
  const frontProxy = await ensureFrontProxy(runtime.clock, directory.pki)
  // As whom the server calls others; read anew for each connection.
  const clients = { frontProxy: frontProxy.client, kubelet: await ensureKubeletClient(runtime.clock, directory.pki, pki) }
  const joining = record.join && (await import('./join/joining.ts'))
  const roads = joining?.createRoads(runtime, lifecycle, server?.egress ?? 'auto')
  const plane = await startControlPlane(runtime, lifecycle, {
    ...roads?.ofServer,
    store,
    aggregatorTls: livePair(() => clients.frontProxy),
    rootCa: pki.authority.cert,
    authority: () => pki.authority,
    podCidr: record.podCidr,
    serviceCidr: record.serviceCidr,
    serverAddress: `${address}:${record.port}`,
    access,
    debug,
    housekeeping,
    ...(audit ? { audit } : {}),
    ...(scheduler ? { scheduler } : {}),
    // Others may serve the same etcd: the controllers and the scheduler of one of them work at a time.
    ...(record.store === 'etcd' ? { candidate: `${hostname()}_${randomUUID()}` } : {}),
    kubeletTls: livePair(() => clients.kubelet, pki.authority.cert),
    tokenSigner: createTokenSigner({
      ...OWN_TOKENS,
      privateKey: pki.serviceAccountKey,
    }),
  })
  await ensureAuthenticationConfig(plane.client(identities.administrator), pki.authority.cert, frontProxy.authorityCert)
  if (joining && roads) {
    roads.follow(plane.informers.of('v1/Node'))
    await joining.startJoining(runtime, lifecycle, plane, {
      server: `https://${address}:${record.port}`,
      ca: pki.authority.cert,
      record,
      serverHosts: hosts,
      ownNode: record.nodes === 0 ? undefined : nodeLayouts(directory, record)[0],
      ...(server?.tokenFile === undefined ? {} : { tokenFile: server.tokenFile }),
    })
  }
  await serve(runtime, lifecycle, plane.server, {
    name: record.name === 'default' ? 'proa' : `proa-${record.name}`,
    port,
    kubeconfig: directory.kubeconfig,
    keys: { pki, frontProxyCa: frontProxy.authorityCert },
    tls,
    async renew() {
      const next = await ensurePki(runtime.clock, directory.pki, hosts)
      const { authorityCert, client } = await ensureFrontProxy(runtime.clock, directory.pki)
      clients.frontProxy = client
      clients.kubelet = await ensureKubeletClient(runtime.clock, directory.pki, next)
      if (record.nodeCidr !== undefined) await (await import('./machine-nodes.ts')).renewProxies(runtime.clock, directory, record, next)
      return { pki: next, frontProxyCa: authorityCert }
    },
  })
  await ensureApiService(plane.client(identities.administrator), { clusterIp, address, port: record.port })
  report({ type: 'api-ready', url: `https://127.0.0.1:${record.port}`, elapsedMs: elapsedMs() })
  let startedAgents: ReadonlyMap<string, number> | undefined
  if (prepared) {
    const node = await Promise.race([prepared, lifecycle.failed])
    await (await import('./machine-nodes.ts')).startFirstNode(runtime, lifecycle, plane, node, { directory, record, pki })
    startedAgents = await others
  } else {
    await (
      await import('./simulated-nodes.ts')
    ).startSimulatedNodes(runtime, lifecycle, plane, { count: record.nodes, dnsAddress: record.dnsAddress })
  }
  await nodesReady(plane, record.nodes, startedAgents)
  report({ type: 'nodes-ready', count: record.nodes, elapsedMs: elapsedMs() })
}

async function openStore(runtime: Runtime, directory: DataDirectory, { store, etcd }: ClusterRecord): Promise<Store> {
  if (store === 'memory') return createMemoryStore()
  if (etcd) return openEtcd(runtime, etcd)
  try {
    return await openSqliteStore({ path: directory.database })
  } catch (error) {
    throw new UserError(error instanceof Error ? error.message : String(error))
  }
}

/** Resolves when this many nodes are Ready, and have said so since their agent was started. */
async function nodesReady(plane: ControlPlane, count: number, startedAgents?: ReadonlyMap<string, number>): Promise<void> {
  const nodes = plane.informers.of('v1/Node')
  await nodes.synced
  // Conditions tell time in whole seconds.
  const isSince = (name = '', heartbeat = ''): boolean => {
    const startedAt = startedAgents?.get(name)
    return startedAt === undefined || Date.parse(heartbeat) >= startedAt - (startedAt % 1000)
  }
  const isReady = ({ metadata, status }: Node): boolean =>
    status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True' && isSince(metadata?.name, c.lastHeartbeatTime)) ?? false
  if (count === 0) return
  const ready = new Set<string>()
  const enough = Promise.withResolvers<void>()
  const look = (node: Node) => {
    const name = node.metadata?.name ?? ''
    if (isReady(node)) ready.add(name)
    else ready.delete(name)
    if (ready.size >= count) enough.resolve()
  }
  const remove = nodes.addHandlers({ added: look, updated: look, deleted: ({ metadata }) => void ready.delete(metadata?.name ?? '') })
  await enough.promise
  remove()
}
