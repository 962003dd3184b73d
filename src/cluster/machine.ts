/** What the cluster has to know of the machine it starts on. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'

/** Of 10.244.0.0/16, upstream's usual range. */
const USUAL_POD_OCTET = 244
const USUAL_MTU = 1500

/** The address other machines reach this one by: the first global IPv4 one, or loopback when there is none. */
export function nodeAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const address of addresses ?? []) {
      if (address.family === 'IPv4' && !address.internal && !address.address.startsWith('169.254.')) return address.address
    }
  }
  return '127.0.0.1'
}

/**
 * A range for pods that no link of this machine is in, so that two clusters with real containers do not meet: the usual one, or
 * another by the cluster's id.
 */
export function freePodCidr(clusterId: string): string {
  const taken = new Set<number>()
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address } of addresses ?? []) if (address.startsWith('10.')) taken.add(Number(address.split('.')[1]))
  }
  const first = Number.parseInt(clusterId, 16)
  const others = Array.from({ length: 96 }, (_, index) => 128 + ((first + index) % 96))
  const octet = [USUAL_POD_OCTET, ...others].find((candidate) => !taken.has(candidate))
  return `10.${octet ?? USUAL_POD_OCTET}.0.0/16`
}

/** A range for the nodes of a cluster on one machine, found in the same way. */
export function freeNodeCidr(clusterId: string): string {
  const taken = new Set<string>()
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address } of addresses ?? []) taken.add(address.split('.').slice(0, 3).join('.'))
  }
  const first = Number.parseInt(clusterId, 16)
  const candidates = Array.from({ length: 256 }, (_, index) => `172.30.${(first + index) % 256}`)
  const prefix = candidates.find((candidate) => !taken.has(candidate))
  if (prefix === undefined) throw new Error('172.30.0.0/16 is full: no range is left for the nodes of a cluster')
  return `${prefix}.0/24`
}

/** All addresses of this machine, loopback among them. */
export const machineAddresses = (): readonly string[] =>
  Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address))

export const isOwnAddress = (address: string): boolean => linkOf(address) !== undefined

/** The link that has the address. */
const linkOf = (address: string): string | undefined =>
  Object.entries(networkInterfaces()).find(([, addresses]) => addresses?.some((one) => one.address === address))?.[0]

/** The MTU of the link that has the address. Asked of the kernel: /sys shows the links of the namespace that it was mounted in. */
export function addressMtu(address: string): number {
  const link = linkOf(address)
  if (link === undefined) return USUAL_MTU
  const { stdout } = spawnSync('ip', ['-o', 'link', 'show', 'dev', link], { encoding: 'utf8' })
  return Number(/ mtu (\d+) /.exec(stdout)?.[1] ?? USUAL_MTU)
}

/** What packets to the outside may measure: the MTU of the link that the default route goes through. */
export function machineMtu(): number {
  const routes = readFileSync('/proc/net/route', 'utf8').split('\n')
  const link = routes.map((line) => line.split('\t')).find(([, destination]) => destination === '00000000')?.[0]
  return link === undefined ? USUAL_MTU : Number(readFileSync(`/sys/class/net/${link}/mtu`, 'utf8'))
}

/** A port that nobody else can take: another server takes over the socket (`listen(held.socket)`). */
export interface HeldPort {
  readonly port: number
  readonly socket: Server
}

/** Holds a TCP port on all addresses; undefined when somebody else has it. */
export function holdPort(port: number): Promise<HeldPort | undefined> {
  return new Promise((resolve) => {
    const socket = createServer()
    socket.once('error', () => resolve(undefined))
    // Whoever comes before the other server is there tries again.
    socket.on('connection', (early) => early.destroy())
    socket.listen({ port, host: '0.0.0.0', exclusive: true }, () => resolve({ port, socket }))
  })
}

/** The first free port from `start` upward. */
export async function holdFreePort(start: number): Promise<HeldPort> {
  for (let port = start; port < start + 1000 && port < 65536; port++) {
    const held = await holdPort(port)
    if (held) return held
  }
  throw new Error(`no free port from ${start} to ${start + 999}`)
}

/** Which of the programs real containers need are not on this machine. */
export function missingPrograms(): readonly string[] {
  const directories = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']
  const isMissing = (program: string) => !directories.some((directory) => existsSync(join(directory, program)))
  const missing = ['containerd', 'runc', 'nft', 'ip'].filter(isMissing)
  return existsSync('/usr/lib/cni/bridge') || existsSync('/opt/cni/bin/bridge') ? missing : [...missing, 'containernetworking-plugins']
}
