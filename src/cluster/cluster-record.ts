/** How a cluster was made, on record for its life, or how it is to be made now; and its port, which is held from here on. */
import ipaddr from 'ipaddr.js'
import { addressIn, isWithin } from '../network/addresses.ts'
import { newClusterId, readRecord, writeRecord, type ClusterRecord, type DataDirectory } from './data-directory.ts'
import { DEFAULT_CLUSTER_CIDR, DEFAULT_DNS_ADDRESS, DEFAULT_PORT, DEFAULT_SERVICE_CIDR, DNS_INDEX, SIMULATED_POD_CIDR } from './defaults.ts'
import { readEtcdSetup } from './etcd.ts'
import type { ServerSettings, UpOptions } from './launch.ts'
import { freeNodeCidr, freePodCidr, holdFreePort, holdPort, machineAddresses, missingPrograms, type HeldPort } from './machine.ts'
import { UserError } from './user-error.ts'

/** Each has a containerd and an agent, some 150 MB together. */
const MAX_REAL_NODES = 32

/** Flags that contradict what was decided when the cluster was made are refused. */
export async function recordOf(directory: DataDirectory, options: UpOptions): Promise<{ record: ClusterRecord; port: HeldPort }> {
  const kept = readRecord(directory)
  const etcd = readEtcdSetup(options.apiServer ?? {})
  if (etcd && options.store) throw new UserError('--etcd-servers is a store of its own: leave --store out')
  if (kept) {
    checkKept(kept, options)
    if (etcd && kept.store !== 'etcd') throw new UserError(`cluster "${kept.name}" keeps its state in ${kept.store}, not in an etcd`)
    const join = joinRecordOf(kept.join, options.server)
    const { port: wanted = kept.port, schedulerConfig = kept.schedulerConfig } = options
    const isSame = wanted === kept.port && join === kept.join && schedulerConfig === kept.schedulerConfig && !etcd
    const told = { ...(etcd ? { etcd } : {}), ...(join ? { join } : {}), ...(schedulerConfig === undefined ? {} : { schedulerConfig }) }
    const record = isSame ? kept : { ...kept, port: wanted, ...told }
    const port = await takePort(record.port)
    if (record !== kept) writeRecord(directory, record)
    return { record, port }
  }
  const id = newClusterId()
  const decided = options.server ? decideServer(options.server) : decideMachine(id, options)
  if (decided.runtime === 'containerd') checkContainers(decided.nodes)
  const port = options.port === undefined ? await holdFreePort(DEFAULT_PORT) : await takePort(options.port)
  const record: ClusterRecord = {
    id,
    name: options.name,
    port: port.port,
    ...decided,
    store: etcd ? 'etcd' : (options.store ?? 'sqlite'),
    ...(etcd ? { etcd } : {}),
    ...(options.schedulerConfig ? { schedulerConfig: options.schedulerConfig } : {}),
  }
  writeRecord(directory, record)
  return { record, port }
}

type Decided = Pick<ClusterRecord, 'runtime' | 'nodes' | 'podCidr' | 'nodeCidr' | 'serviceCidr' | 'dnsAddress' | 'join'>

/** A cluster of this machine alone. */
function decideMachine(id: string, options: UpOptions): Decided {
  const runtime = options.runtime ?? (process.getuid?.() === 0 && missingPrograms().length === 0 ? 'containerd' : 'simulated')
  const nodes = options.nodes ?? 1
  return {
    runtime,
    nodes,
    podCidr: runtime === 'simulated' ? SIMULATED_POD_CIDR : freePodCidr(id),
    ...(runtime === 'containerd' && nodes > 1 ? { nodeCidr: freeNodeCidr(id) } : {}),
    serviceCidr: DEFAULT_SERVICE_CIDR,
    dnsAddress: DEFAULT_DNS_ADDRESS,
  }
}

/** One that other machines join: its ranges must be free on all of them, so they are upstream's usual ones unless told. */
function decideServer(server: ServerSettings): Decided {
  const { clusterCidr = DEFAULT_CLUSTER_CIDR, serviceCidr = DEFAULT_SERVICE_CIDR, hasNode } = server
  checkRange('--cluster-cidr', clusterCidr, 24)
  checkRange('--service-cidr', serviceCidr, 27)
  if (isWithin(addressIn(clusterCidr, 0), serviceCidr) || isWithin(addressIn(serviceCidr, 0), clusterCidr))
    throw new UserError(`--cluster-cidr ${clusterCidr} and --service-cidr ${serviceCidr} overlap`)
  for (const address of machineAddresses()) {
    const range = [clusterCidr, serviceCidr].find((one) => isWithin(address, one))
    if (range !== undefined)
      throw new UserError(`this machine has the address ${address} in ${range}: --cluster-cidr and --service-cidr choose other ranges`)
  }
  return {
    // Without a node nothing of the machine is used but its port.
    runtime: hasNode ? 'containerd' : 'simulated',
    nodes: hasNode ? 1 : 0,
    podCidr: clusterCidr,
    serviceCidr,
    dnsAddress: addressIn(serviceCidr, DNS_INDEX),
    join: joinRecordOf({}, server) ?? {},
  }
}

function checkRange(flag: string, range: string, maxLength: number): void {
  const length = ipaddr.IPv4.isValidCIDRFourPartDecimal(range) ? ipaddr.IPv4.parseCIDR(range)[1] : Number.NaN
  if (length >= 8 && length <= maxLength && ipaddr.IPv4.networkAddressFromCIDR(range).toString() === range.split('/')[0]) return
  throw new UserError(
    `${flag} must be an IPv4 network with a length from 8 to ${maxLength}, such as 10.32.0.0/16, not ${JSON.stringify(range)}`,
  )
}

/** What was told at the first start stays until it is told anew. */
function joinRecordOf(kept: ClusterRecord['join'], server: ServerSettings | undefined): ClusterRecord['join'] {
  if (!server) return kept
  const { advertiseAddress, names } = server
  if (advertiseAddress !== undefined && !ipaddr.IPv4.isValidFourPartDecimal(advertiseAddress))
    throw new UserError(`--advertise-address must be an IPv4 address, not ${JSON.stringify(advertiseAddress)}`)
  if (advertiseAddress === undefined && names === undefined) return kept
  return { ...kept, ...(advertiseAddress === undefined ? {} : { advertiseAddress }), ...(names ? { names } : {}) }
}

function checkKept(kept: ClusterRecord, { server, ...options }: UpOptions): void {
  if (server && !kept.join)
    throw new UserError(
      'this cluster was made by ./proa up, for this machine alone: choose another --name, or ./proa down --delete it first',
    )
  const asked: readonly (readonly [flag: string, wanted: unknown, was: unknown])[] = [
    ...(['runtime', 'nodes', 'store'] as const).map((name) => [name, options[name], kept[name]] as const),
    ['cluster-cidr', server?.clusterCidr, kept.podCidr],
    ['service-cidr', server?.serviceCidr, kept.serviceCidr],
    ['no-node', server && !server.hasNode, kept.nodes === 0],
  ]
  for (const [flag, wanted, was] of asked)
    if (wanted !== undefined && wanted !== was)
      throw new UserError(
        `cluster "${kept.name}" was made with --${flag} ${String(was)}; ./proa down --delete removes it, then it can be made anew`,
      )
}

function checkContainers(nodes: number): void {
  if (process.getuid?.() !== 0) throw new UserError('real containers need root: run it with sudo, or take --runtime simulated')
  if (nodes < 1) throw new UserError('a cluster with real containers has at least one node; --runtime simulated takes --nodes 0')
  const missing = missingPrograms()
  if (missing.length > 0)
    throw new UserError(
      `real containers need ${missing.join(', ')}: sh tools/setup.sh --runtime installs them, or take --runtime simulated`,
    )
  if (nodes > MAX_REAL_NODES)
    throw new UserError(`one machine has at most ${MAX_REAL_NODES} nodes with real containers; --runtime simulated takes more`)
}

async function takePort(port: number): Promise<HeldPort> {
  const held = await holdPort(port)
  if (!held) throw new UserError(`port ${port} is taken by another program; --port chooses another one`)
  return held
}
