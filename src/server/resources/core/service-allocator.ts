/**
 * Cluster IPs and node ports: what no two services may share. The allocator keeps both in memory, filled from the services
 * that exist when the first claim is made, and is the `claim` of the Service kind: it writes what it takes into the object,
 * and takes it back when the write fails or was a dry run.
 *
 * The lower part of each range is left to people who choose for themselves (KEP-3070, KEP-3668): chance draws from the upper
 * part first.
 */
import type { Service, ServicePort, ServiceSpec } from '../../../api/generated/core/v1.ts'
import { failure, invalid as invalidObject, type ApiError } from '../../../api/status.ts'
import { assert } from '../../../base/assert.ts'
import { randomInt, type Random } from '../../../base/random.ts'
import type { Claim, WriteContext } from '../../resource.ts'
import { formatIPv4, parseIPv4, parseIPv4Network } from '../addresses.ts'
import { invalid } from '../rules.ts'
import { clusterIPsOf, isAllocatedIP } from './service-addresses.ts'
import { initIPFamilies } from './service-ip-families.ts'
import { needsHealthCheckPort, needsNodePorts, normalizeClusterIPs } from './service-fields.ts'

export interface ServiceAllocatorOptions {
  /** IPv4, default 10.96.0.0/16. */
  readonly cidr?: string
  /** Default 30000 to 32767. */
  readonly nodePorts?: { readonly from: number; readonly to: number }
  readonly random: Random
}

/** Numbers of a range, of which some are taken. */
interface Pool {
  /** What is wrong with taking this one; undefined when it was taken. */
  take(value: number): string | undefined
  isTaken(value: number): boolean
  /** Any free one; undefined when there is none. */
  takeAny(): number | undefined
  free(value: number): void
}

function createPool(first: number, size: number, reserved: number, mismatch: string, allocated: string, random: Random): Pool {
  const taken = new Set<number>()
  const scan = (from: number, count: number): number | undefined => {
    if (count <= 0) return undefined
    const start = randomInt(random, count)
    for (let i = 0; i < count; i++) {
      const value = from + ((start + i) % count)
      if (!taken.has(value)) return value
    }
    return undefined
  }
  return {
    take(value) {
      if (value < first || value >= first + size) return mismatch
      if (taken.has(value)) return allocated
      taken.add(value)
      return undefined
    },
    isTaken: (value) => taken.has(value),
    takeAny() {
      if (taken.size >= size) return undefined
      const value = scan(first + reserved, size - reserved) ?? scan(first, reserved)
      if (value !== undefined) taken.add(value)
      return value
    },
    free: (value) => void taken.delete(value),
  }
}

/** min(max(lowest, size/step), highest), nothing for ranges not larger than `lowest`. */
const reservedOf = (size: number, lowest: number, highest: number, step: number): number =>
  size <= lowest ? 0 : Math.min(Math.max(lowest, Math.floor(size / step)), highest)

const TAKEN_PORT = 'provided port is already allocated'

/** What a dry run tells as the next port, in 32 bits. */
const guessPort = (others: readonly number[]): number => (others.length === 0 ? 32769 : (Math.max(0, ...others) + 1) | 0)

export interface ServiceAllocator {
  claim(next: Service, old: Service | undefined, context: WriteContext): { readonly object: Service; readonly claim: Claim } | ApiError
  afterDelete(service: Service): void
}

const portsOf = (spec: ServiceSpec | undefined): readonly number[] => [
  ...new Set((spec?.ports ?? []).flatMap((port) => (port.nodePort ? [port.nodePort] : []))),
  ...(spec && needsHealthCheckPort(spec) && spec.healthCheckNodePort ? [spec.healthCheckNodePort] : []),
]

export function createServiceAllocator({
  cidr = '10.96.0.0/16',
  nodePorts = { from: 30000, to: 32767 },
  random,
}: ServiceAllocatorOptions): ServiceAllocator {
  const network = parseIPv4Network(cidr)
  assert(network && network.size >= 4, `the service CIDR must be an IPv4 network of four addresses or more: ${cidr}`)
  const taken = 'provided IP is already allocated'
  const outside = `the provided network does not match the current range`
  // Neither the network's own address nor the broadcast address can be a service.
  const addresses = createPool(network.first + 1, network.size - 2, reservedOf(network.size, 16, 256, 16), outside, taken, random)
  const portCount = nodePorts.to - nodePorts.from + 1
  const ports = createPool(
    nodePorts.from,
    portCount,
    reservedOf(portCount, 16, 128, 32),
    `provided port is not in the valid range. The range of valid ports is ${nodePorts.from}-${nodePorts.to}`,
    TAKEN_PORT,
    random,
  )
  let isRestored = false

  const takeAll = (service: Service): void => {
    for (const ip of clusterIPsOf(service.spec)) addresses.take(parseIPv4(ip) ?? -1)
    for (const port of portsOf(service.spec)) ports.take(port)
  }
  const releaseAll = (ips: readonly string[], numbers: readonly number[]): void => {
    for (const ip of ips) addresses.free(parseIPv4(ip) ?? -1)
    for (const port of numbers) ports.free(port)
  }

  return {
    claim(next, old, context) {
      if (!isRestored) {
        for (const service of context.read.list('v1/Service')) takeAll(service)
        isRestored = true
      }
      if (!next.spec || context.subresource !== undefined) return { object: next, claim: { keep() {}, release() {} } }
      const name = next.metadata?.name ?? ''
      const takenIPs: string[] = []
      const takenPorts: number[] = []
      const fail = (error: ApiError): ApiError => {
        releaseAll(takenIPs, context.dryRun ? [] : takenPorts)
        return error
      }

      const families = initIPFamilies(normalizeClusterIPs(next.spec, old?.spec), old?.spec)
      if ('errors' in families) return invalidObject('', 'Service', name, families.errors)
      let spec = families.spec

      // People may have written IPAddresses themselves.
      const isNamed = (ip: string): boolean => context.read.get('networking.k8s.io/v1/IPAddress', undefined, ip) !== undefined
      const oldIPs = new Set(clusterIPsOf(old?.spec))
      const oldPorts = new Set(portsOf(old?.spec))

      const takePort = (port: number): string | undefined => {
        if (oldPorts.has(port) || takenPorts.includes(port)) return undefined
        // A dry run takes nothing: its ports may be of any range, and those that it chooses are guesses.
        const problem = context.dryRun ? (ports.isTaken(port) ? TAKEN_PORT : undefined) : ports.take(port)
        if (problem === undefined) takenPorts.push(port)
        return problem
      }
      const takeAnyPort = (): number | undefined => {
        const port = context.dryRun ? guessPort(takenPorts) : ports.takeAny()
        if (port !== undefined) takenPorts.push(port)
        return port
      }

      if (spec.type !== 'ExternalName' && spec.clusterIPs?.[0] !== 'None') {
        const chosen = spec.clusterIPs?.[0]
        if (isAllocatedIP(chosen)) {
          if (!oldIPs.has(chosen)) {
            const problem = isNamed(chosen) ? taken : addresses.take(parseIPv4(chosen) ?? -1)
            if (problem !== undefined) {
              const why = `failed to allocate IP ${chosen}: ${problem}`
              return fail(invalidObject('', 'Service', name, [invalid('spec.clusterIPs', spec.clusterIPs, why)]))
            }
            takenIPs.push(chosen)
          }
        } else {
          let any = addresses.takeAny()
          // What is somebody else's stays taken.
          while (any !== undefined && isNamed(formatIPv4(any))) any = addresses.takeAny()
          if (any === undefined) {
            return fail(
              failure(
                'InternalError',
                `Internal error occurred: failed to allocate a serviceIP for Service ${JSON.stringify(name)}: range is full`,
              ),
            )
          }
          const ip = formatIPv4(any)
          takenIPs.push(ip)
          spec = { ...spec, clusterIP: ip, clusterIPs: [ip] }
        }
        if (spec.clusterIP !== spec.clusterIPs?.[0]) spec = { ...spec, clusterIP: spec.clusterIPs?.[0] ?? '' }
      }

      if (needsNodePorts(spec)) {
        const assigned = assignNodePorts(spec, takePort, takeAnyPort)
        if ('error' in assigned) {
          return fail(
            assigned.error === 'full'
              ? failure('InternalError', 'Internal error occurred: failed to allocate a nodePort: range is full')
              : invalidObject('', 'Service', name, [assigned.error]),
          )
        }
        spec = assigned.spec
      }

      if (needsHealthCheckPort(spec)) {
        const wanted = spec.healthCheckNodePort
        const problem = wanted ? takePort(wanted) : undefined
        if (problem !== undefined) {
          return fail(
            failure('InternalError', `Internal error occurred: failed to allocate requested HealthCheck NodePort ${wanted}: ${problem}`),
          )
        }
        if (!wanted) {
          const port = takeAnyPort()
          if (port === undefined)
            return fail(failure('InternalError', 'Internal error occurred: failed to allocate a HealthCheck NodePort 0: range is full'))
          spec = { ...spec, healthCheckNodePort: port }
        }
      }

      const nextIPs = new Set(clusterIPsOf(spec))
      const nextPorts = new Set(portsOf(spec))
      const givenUpIPs = [...oldIPs].filter((ip) => !nextIPs.has(ip))
      const givenUpPorts = [...oldPorts].filter((port) => !nextPorts.has(port))
      return {
        object: spec === next.spec ? next : { ...next, spec },
        claim: {
          keep: () => releaseAll(givenUpIPs, givenUpPorts),
          release: () => releaseAll(takenIPs, context.dryRun ? [] : takenPorts),
        },
      }
    },
    afterDelete: (service) => releaseAll(clusterIPsOf(service.spec), portsOf(service.spec)),
  }
}

type Assigned = { readonly spec: ServiceSpec } | { readonly error: ReturnType<typeof invalid> | 'full' }

/** Ports of one number (TCP and UDP of 53) share a node port. */
function assignNodePorts(spec: ServiceSpec, take: (port: number) => string | undefined, takeAny: () => number | undefined): Assigned {
  const mayAllocate = spec.type === 'NodePort' || spec.allocateLoadBalancerNodePorts !== false
  const byPort = new Map<number, number>()
  const result: ServicePort[] = []
  let isChanged = false
  for (const [index, port] of (spec.ports ?? []).entries()) {
    if (!port.nodePort && !mayAllocate) {
      result.push(port)
      continue
    }
    const shared = byPort.get(port.port)
    const wanted = port.nodePort || shared || spec.ports?.find((other) => other.port === port.port && other.nodePort)?.nodePort
    const nodePort = wanted || takeAny()
    if (nodePort === undefined) return { error: 'full' }
    const problem = wanted ? take(wanted) : undefined
    if (problem !== undefined) return { error: invalid(`spec.ports[${index}].nodePort`, wanted, problem) }
    if (!byPort.has(port.port)) byPort.set(port.port, nodePort)
    if (port.nodePort !== nodePort) isChanged = true
    result.push(port.nodePort === nodePort ? port : { ...port, nodePort })
  }
  return { spec: isChanged ? { ...spec, ports: result } : spec }
}
