/**
 * The names of the cluster, by Kubernetes' DNS specification 1.1: what each name and record type answers is a pure function of the
 * services and EndpointSlices. What lies outside the cluster's domain is told to be elsewhere; asking there is host/dns-server.ts's.
 *
 * Negative answers carry the zone's SOA, so that resolvers may keep them for its minimum. A name that exists, or has names below
 * it, without records of the type asked for is NODATA, never NXDOMAIN: resolvers ask for A and AAAA side by side, and one
 * NXDOMAIN would deny both.
 */
import type { Answer, Question } from 'dns-packet'
import type { EndpointSlice } from '../api/generated/discovery/v1.ts'
import type { Service } from '../api/generated/core/v1.ts'
import { familyOf } from './addresses.ts'
import { addressOfReverseName } from './dns-names.ts'
import { clusterAddresses, isHeadless, type ServiceTable } from './service-table.ts'

export interface DnsZoneOptions {
  readonly services: ServiceTable
  /** Default "cluster.local". */
  readonly domain?: string
  /** Of every record, and of negative answers. Default 30. */
  readonly ttlSeconds?: number
}

export type Resolution =
  | {
      readonly kind: 'answer'
      readonly exists: boolean
      readonly answers: readonly Answer[]
      readonly additionals: readonly Answer[]
      readonly authorities: readonly Answer[]
    }
  /** An ExternalName: the CNAME, and the name to go on with. */
  | { readonly kind: 'alias'; readonly answers: readonly Answer[]; readonly target: string }
  /** Not a name of the cluster. */
  | { readonly kind: 'elsewhere' }

export interface DnsZone {
  resolve(question: Question): Resolution
}

/** An endpoint of a headless service under its own name. */
interface Host {
  readonly name: string
  readonly address: string
}

interface SrvPort {
  readonly name: string
  readonly protocol: string
  readonly port: number
}

const SPECIFICATION = '1.1.0'
const NOTHING: Found = { answers: [], additionals: [] }

interface Found {
  readonly answers: readonly Answer[]
  readonly additionals: readonly Answer[]
}

export function createDnsZone({ services, domain = 'cluster.local', ttlSeconds: ttl = 30 }: DnsZoneOptions): DnsZone {
  const suffix = `.${domain}`
  let turn = 0

  const soa: Answer = {
    type: 'SOA',
    name: domain,
    ttl,
    data: { mname: `ns.dns.${domain}`, rname: `hostmaster.${domain}`, serial: 1, refresh: 7200, retry: 1800, expire: 86_400, minimum: ttl },
  }

  const answer = (found: Found | undefined): Resolution => ({
    kind: 'answer',
    exists: found !== undefined,
    answers: found?.answers ?? [],
    additionals: found?.additionals ?? [],
    authorities: found && found.answers.length > 0 ? [] : [soa],
  })

  /** Those addresses that the record type is for, a different one first each time. */
  function addressRecords(type: string, name: string, addresses: readonly string[]): Answer[] {
    const wanted = addresses.filter((address) => typeOf(address) === type)
    const start = wanted.length > 1 ? turn++ % wanted.length : 0
    return [...wanted.slice(start), ...wanted.slice(0, start)].map((data) => ({ type: typeOf(data), name, ttl, data }))
  }

  const addressesAt = (type: string, name: string, addresses: readonly string[]): Found => ({
    answers: addressRecords(type, name, addresses),
    additionals: [],
  })

  function resolveService(type: string, name: string, key: string, service: Service): Resolution {
    const { externalName } = service.spec ?? {}
    if (service.spec?.type === 'ExternalName') {
      return externalName
        ? { kind: 'alias', answers: [{ type: 'CNAME', name, ttl, data: externalName }], target: externalName }
        : answer(NOTHING)
    }
    if (type === 'SRV') return answer(srvRecords(name, key, service, () => true))
    const addresses = isHeadless(service) ? hostsOf(services.slices(key)).map((host) => host.address) : clusterAddresses(service)
    return answer(addressesAt(type, name, addresses))
  }

  function srvRecords(name: string, key: string, service: Service, matches: (port: SrvPort) => boolean): Found {
    const answers: Answer[] = []
    const additionals = new Map<string, Answer>()
    const own = nameOf(key)
    const add = ({ port }: SrvPort, target: string, addresses: readonly string[]) => {
      answers.push({ type: 'SRV', name, ttl, data: { priority: 0, weight: 100, port, target } })
      for (const data of addresses) additionals.set(`${target} ${data}`, { type: typeOf(data), name: target, ttl, data })
    }
    if (isHeadless(service)) {
      for (const slice of services.slices(key)) {
        const hosts = hostsOf([slice])
        for (const port of srvPorts(slice.ports))
          if (matches(port)) for (const host of hosts) add(port, `${host.name}.${own}`, [host.address])
      }
    } else for (const port of srvPorts(service.spec?.ports)) if (matches(port)) add(port, own, clusterAddresses(service))
    return { answers, additionals: [...additionals.values()] }
  }

  /** "<labels>.<service>.<namespace>.svc": endpoints by hostname, ports by "_name._protocol". */
  function resolveBelow(type: string, name: string, labels: readonly string[], key: string, service: Service): Resolution {
    if (service.spec?.type === 'ExternalName') return answer(undefined)
    const [first, second] = labels
    if (labels.length === 1 && isHeadless(service)) {
      const hosts = hostsOf(services.slices(key)).filter((host) => host.name === first)
      if (hosts.length > 0)
        return answer(
          addressesAt(
            type,
            name,
            hosts.map((host) => host.address),
          ),
        )
    }
    const protocol = labels.at(-1)!
    if (labels.length > 2 || !protocol.startsWith('_')) return answer(undefined)
    const found = srvRecords(
      name,
      key,
      service,
      (port) => protocol === `_${port.protocol}` && (labels.length === 1 || first === `_${port.name}`),
    )
    if (found.answers.length === 0) return answer(undefined)
    return answer(type === 'SRV' && second !== undefined ? found : NOTHING)
  }

  function resolvePointer(name: string, address: string): Resolution {
    const targets: string[] = []
    for (const key of services.keysOfAddress(address)) {
      const service = services.service(key)!
      if (clusterAddresses(service).includes(address)) targets.push(nameOf(key))
      else if (isHeadless(service)) {
        for (const host of hostsOf(services.slices(key))) if (host.address === address) targets.push(`${host.name}.${nameOf(key)}`)
      }
    }
    if (targets.length === 0) return { kind: 'elsewhere' }
    return answer({ answers: [...new Set(targets)].toSorted().map((data) => ({ type: 'PTR', name, ttl, data })), additionals: [] })
  }

  const nameOf = (key: string): string => {
    const slash = key.indexOf('/')
    return `${key.slice(slash + 1)}.${key.slice(0, slash)}.svc${suffix}`
  }

  function resolveInside(type: string, name: string, labels: readonly string[]): Resolution {
    const kind = labels.at(-1)
    if (kind === undefined) return answer(type === 'SOA' ? { answers: [soa], additionals: [] } : NOTHING)
    const rest = labels.slice(0, -1)
    if (kind === 'dns-version' && rest.length === 0)
      return answer(type === 'TXT' ? { answers: [{ type: 'TXT', name, ttl, data: [SPECIFICATION] }], additionals: [] } : NOTHING)
    if (kind === 'pod') return resolvePod(type, name, rest)
    if (kind !== 'svc') return answer(undefined)
    if (rest.length === 0) return answer(NOTHING)
    const namespace = rest.at(-1)!
    if (rest.length === 1) return answer(services.hasNamespace(namespace) ? NOTHING : undefined)
    const key = `${namespace}/${rest.at(-2)}`
    const service = services.service(key)
    if (!service) return answer(undefined)
    return rest.length === 2 ? resolveService(type, name, key, service) : resolveBelow(type, name, rest.slice(0, -2), key, service)
  }

  /** "10-1-2-3.<namespace>.pod" says its own address: kept for old clients, as the specification allows. */
  function resolvePod(type: string, name: string, labels: readonly string[]): Resolution {
    if (labels.length < 2) return answer(NOTHING)
    const address = labels.length === 2 ? addressOfLabel(labels[0]!) : undefined
    return answer(address === undefined ? undefined : addressesAt(type, name, [address]))
  }

  return {
    resolve({ name: asked, type }) {
      const name = asked.toLowerCase().replace(/\.$/, '')
      if (name === domain) return resolveInside(type, name, [])
      if (name.endsWith(suffix)) return resolveInside(type, name, name.slice(0, -suffix.length).split('.'))
      const address = type === 'PTR' ? addressOfReverseName(name) : undefined
      return address === undefined ? { kind: 'elsewhere' } : resolvePointer(name, address)
    },
  }
}

const typeOf = (address: string): 'A' | 'AAAA' => (familyOf(address) === 'ip6' ? 'AAAA' : 'A')

/** The ready endpoints: by their hostname, else by their address with dashes. */
function hostsOf(slices: Iterable<EndpointSlice>): Host[] {
  const hosts = new Map<string, Host>()
  for (const slice of slices) {
    if (slice.addressType === 'FQDN') continue
    for (const { addresses, conditions, hostname } of slice.endpoints ?? []) {
      if (conditions?.ready === false) continue
      for (const address of addresses) hosts.set(address, { name: hostname?.toLowerCase() || labelOfAddress(address), address })
    }
  }
  return [...hosts.values()]
}

interface NamedPort {
  readonly name?: string
  readonly protocol?: string
  readonly port?: number
}

const srvPorts = (ports: readonly NamedPort[] | undefined): SrvPort[] =>
  (ports ?? []).flatMap(({ name, protocol, port }) =>
    port === undefined ? [] : [{ name: name ?? '', protocol: (protocol ?? 'TCP').toLowerCase(), port }],
  )

const labelOfAddress = (address: string): string => address.replaceAll(/[.:]/g, '-')

function addressOfLabel(label: string): string | undefined {
  return [label.replaceAll('-', '.'), label.replaceAll('-', ':')].find((address) => familyOf(address) !== undefined)
}
