/**
 * Where the proxy subresources lead: an address and a port for "[scheme:]name[:port]" of a pod, a service or a node. Rules and
 * texts are upstream's (ResourceLocation in pkg/registry/core/pod, service and node). An address that is this machine itself or
 * no single machine is refused: whoever may proxy must not reach what listens here for this machine alone.
 */
import type { EndpointSubset, Node, Pod } from '../../api/generated/core/v1.ts'
import { badRequest, failure, notFound, type ApiError } from '../../api/status.ts'
import { randomInt } from '../../base/random.ts'
import type { Core, ResourceCall } from '../core.ts'
import type { OutgoingTls, ProxyRoads } from '../outgoing.ts'
import { get } from '../read.ts'
import { parseIPv4, parseIPv6 } from '../resources/addresses.ts'

export interface ProxyTarget {
  readonly host: string
  readonly port: number
  readonly tls?: OutgoingTls
}

interface Id {
  readonly text: string
  readonly scheme: string
  readonly name: string
  /** "" where none was given. */
  readonly port: string
}

/** Pods and services may show any certificate (upstream's proxy transport). */
const UNVERIFIED: OutgoingTls = { isUnverified: true }
const DEFAULT_KUBELET_PORT = 10250
/** Which of a node's addresses is taken, as clusters made by kubeadm have it. */
const NODE_ADDRESSES = ['InternalIP', 'ExternalIP', 'Hostname']

/** "a", "a:80" or "https:a:80". */
export function parseId(kind: string, text: string): Id {
  const parts = text.split(':')
  const [scheme, name, port] =
    parts.length === 1 ? ['', parts[0]!, ''] : parts.length === 2 ? ['', parts[0]!, parts[1]!] : [parts[0]!, parts[1]!, parts[2]!]
  if (parts.length > 3 || name === '' || !['', 'http', 'https'].includes(scheme))
    throw badRequest(`invalid ${kind} request ${JSON.stringify(text)}`)
  return { text, scheme, name, port }
}

export async function proxyTarget(core: Core, call: ResourceCall, roads: ProxyRoads): Promise<ProxyTarget> {
  switch (call.served.info.resource) {
    case 'pods':
      return podTarget(core, call, roads)
    case 'services':
      return serviceTarget(core, call, roads)
    default:
      return nodeTarget(core, call, roads)
  }
}

const objectOf = async (core: Core, { served, info }: ResourceCall, name: string) =>
  (await get(core, served, info.namespace ? `${info.namespace}/${name}` : name, name, '')).object

async function podTarget(core: Core, call: ResourceCall, roads: ProxyRoads): Promise<ProxyTarget> {
  const id = parseId('pod', call.info.name)
  const pod: Pod = await objectOf(core, call, id.name)
  const first = pod.spec?.containers.find(({ ports = [] }) => ports.length > 0)?.ports?.[0]
  const host = pod.status?.podIPs?.[0]?.ip ?? pod.status?.podIP ?? ''
  checkAddress(host, roads)
  return target(id.scheme, host, id.port || String(first?.containerPort ?? ''))
}

async function serviceTarget(core: Core, call: ResourceCall, roads: ProxyRoads): Promise<ProxyTarget> {
  const id = parseId('service', call.info.name)
  const { namespace } = call.info
  const portName = await portNameOf(core, call, id)
  const endpoints = core.reader.get('v1/Endpoints', namespace, id.name)
  if (!endpoints) throw notFound('', core.reader.get('v1/Service', namespace, id.name) ? 'endpoints' : 'services', id.name)
  const subsets = endpoints.subsets ?? []
  if (subsets.length === 0) throw noEndpoints(id.name)
  for (const { addresses = [], ports = [] } of fromAnywhere(core, subsets)) {
    const port = ports.find(({ name = '' }) => name === portName)
    if (!port) continue
    const address = fromAnywhere(core, addresses).find((one) => isPodAddress(core, namespace, one))
    if (!address) continue
    checkAddress(address.ip, roads)
    return target(id.scheme, address.ip, String(port.port))
  }
  throw noEndpoints(id.text)
}

/** A port by number is a port of the service; endpoints know it by its name. */
async function portNameOf(core: Core, call: ResourceCall, id: Id): Promise<string> {
  if (!/^[+-]?\d+$/.test(id.port)) return id.port
  const number = Number(id.port)
  const service = await objectOf(core, call, id.name)
  const ports = (service.spec?.ports ?? []) as readonly { readonly name?: string; readonly port: number }[]
  const found = ports.find(({ port }) => port === number)
  if (!found) throw failure('ServiceUnavailable', `no service port ${number} found for service ${JSON.stringify(id.name)}`)
  return found.name ?? ''
}

const noEndpoints = (name: string): ApiError => failure('ServiceUnavailable', `no endpoints available for service ${JSON.stringify(name)}`)

/** The same items, beginning at any of them. */
function fromAnywhere<T>(core: Core, items: readonly T[]): readonly T[] {
  const start = items.length > 1 ? randomInt(core.runtime.random, items.length) : 0
  return start === 0 ? items : [...items.slice(start), ...items.slice(0, start)]
}

/** Endpoints are written by users too: only what is truly the address of a pod of the namespace is proxied to. */
function isPodAddress(core: Core, namespace: string, { ip, targetRef }: NonNullable<EndpointSubset['addresses']>[number]): boolean {
  if (targetRef?.namespace !== namespace || !targetRef.name) return false
  const pod = core.reader.get('v1/Pod', namespace, targetRef.name)
  return pod?.status?.podIPs?.some((podIP) => podIP.ip === ip) ?? false
}

async function nodeTarget(core: Core, call: ResourceCall, roads: ProxyRoads): Promise<ProxyTarget> {
  const id = parseId('node', call.info.name)
  const node: Node = await objectOf(core, call, id.name)
  const host = nodeHost(node)
  if (host === undefined)
    throw failure('InternalError', `no preferred addresses found; known addresses: ${JSON.stringify(node.status?.addresses ?? [])}`)
  for (const address of isAddress(host) ? [host] : await resolved(roads, host)) checkAddress(address, roads)
  const kubeletPort = String(node.status?.daemonEndpoints?.kubeletEndpoint?.Port || DEFAULT_KUBELET_PORT)
  if (id.port === '' || id.port === kubeletPort) return { host, port: Number(kubeletPort), tls: roads.kubeletTls ?? UNVERIFIED }
  return target(id.scheme, host, id.port)
}

/** By which address a node is spoken to. */
function nodeHost({ status }: Node): string | undefined {
  const known = status?.addresses ?? []
  return NODE_ADDRESSES.flatMap((type) => known.filter((one) => one.type === type))[0]?.address
}

/** Where the node's own API listens; undefined when it has none. */
export function kubeletAddress(node: Node): { readonly host: string; readonly port: number } | undefined {
  const host = nodeHost(node)
  const port = node.status?.daemonEndpoints?.kubeletEndpoint?.Port
  return host === undefined || !port ? undefined : { host, port }
}

async function resolved({ outgoing }: ProxyRoads, host: string): Promise<readonly string[]> {
  const addresses = await outgoing.resolve(host).catch((error: unknown) => {
    throw badRequest(error instanceof Error ? error.message : String(error))
  })
  if (addresses.length === 0) throw badRequest('no addresses for hostname')
  return addresses
}

function target(scheme: string, host: string, port: string): ProxyTarget {
  const tls = scheme === 'https' ? { tls: UNVERIFIED } : {}
  if (port === '') return { host, port: scheme === 'https' ? 443 : 80, ...tls }
  const number = Number(port)
  if (!/^\d+$/.test(port)) throw unreachable(`dial tcp: lookup tcp/${port}: unknown port`)
  if (number > 65_535) throw unreachable(`dial tcp: address ${port}: invalid port`)
  return { host, port: number, ...tls }
}

export const unreachable = (why: string): ApiError => failure('ServiceUnavailable', `error trying to reach service: ${why}`)

const isAddress = (text: string): boolean => parseIPv4(text) !== undefined || parseIPv6(text) !== undefined

function checkAddress(ip: string, { allowsLoopback }: ProxyRoads): void {
  if (isGlobalUnicast(ip) || (allowsLoopback && ip.startsWith('127.'))) return
  throw badRequest('address not allowed')
}

const LINK_LOCAL_V6 = 0xfe80n >> 6n
const MAPPED_V4 = 0xffffn

/** Go's IP.IsGlobalUnicast: private networks count as global. */
export function isGlobalUnicast(ip: string): boolean {
  const v4 = parseIPv4(ip)
  if (v4 !== undefined) return isGlobalUnicastV4(v4)
  const v6 = parseIPv6(ip)
  if (v6 === undefined) return false
  if (v6 >> 32n === MAPPED_V4) return isGlobalUnicastV4(Number(v6 & 0xffff_ffffn))
  return v6 > 1n && v6 >> 120n !== 0xffn && v6 >> 118n !== LINK_LOCAL_V6
}

function isGlobalUnicastV4(value: number): boolean {
  const first = Math.floor(value / 2 ** 24)
  const isMulticast = first >= 224 && first < 240
  const isLinkLocal = Math.floor(value / 2 ** 16) === 169 * 256 + 254
  return value !== 0 && value !== 2 ** 32 - 1 && first !== 127 && !isMulticast && !isLinkLocal
}
