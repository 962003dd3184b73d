/**
 * Puts a node's pod network in place and takes it away: bridge, kernel settings, CNI configuration, routes. Setting up twice is
 * the same as once, so a node that was killed starts again over what it left. Kernel settings stay: others may have come to
 * rely on them.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isWithin } from '../addresses.ts'
import { overlayAddress, overlayCreation, overlayHardwareAddress, type Overlay } from '../overlay.ts'
import { cniConfiguration, kernelSettings, type PodNetwork, type PodRoute } from '../pod-network.ts'
import { mustRun, run, type Namespace } from './command.ts'

export interface PodNetworkHost extends Namespace {
  readonly network: PodNetwork
  /** The conf_dir of the node's own containerd. */
  readonly configurationDirectory: string
  /** host-local's record of addresses; ours alone. */
  readonly stateDirectory: string
}

export interface RunningPodNetwork {
  /** Replaces the routes to other nodes' pods. */
  setRoutes(routes: readonly PodRoute[]): Promise<void>
  /** Removes link, addresses, routes and files. Pods should be gone; links of those that are not go too. */
  teardown(): Promise<void>
}

/** Marks our routes as ours (a number of "ip route ... proto"). */
const ROUTE_PROTOCOL = '112'
/** Where libcni, in containerd, keeps what plugins answered. */
const CNI_CACHE = '/var/lib/cni/results'
const CONFIGURATION_FILE = '10-proa.conflist'

export async function startPodNetwork(host: PodNetworkHost): Promise<RunningPodNetwork> {
  const { network } = host
  const { bridge } = network
  if ((await run(host, ['ip', 'link', 'show', 'dev', bridge])).code !== 0)
    await mustRun(host, ['ip', 'link', 'add', bridge, 'type', 'bridge'])
  await mustRun(host, ['ip', 'address', 'replace', network.gateway, 'dev', bridge])
  await mustRun(host, ['ip', 'link', 'set', bridge, 'mtu', `${network.mtu}`, 'up'])
  for (const [name, value] of Object.entries(kernelSettings(network))) await setKernel(host, name, value)
  mkdirSync(host.configurationDirectory, { recursive: true })
  mkdirSync(host.stateDirectory, { recursive: true })
  writeFileSync(join(host.configurationDirectory, CONFIGURATION_FILE), cniConfiguration(network, host.stateDirectory))
  if (network.overlay) await startOverlay(host, network.overlay)
  let applied = await ourRoutes(host)
  return {
    async setRoutes(routes) {
      for (const route of routes) {
        if (network.overlay && !(await isOnSegment(host, route.via))) await routeThrough(host, network.overlay, route)
        else await mustRun(host, ['ip', 'route', 'replace', route.cidr, 'via', route.via, 'proto', ROUTE_PROTOCOL])
      }
      for (const cidr of applied) if (!routes.some((route) => route.cidr === cidr)) await removeRoute(host, cidr)
      applied = routes.map((route) => route.cidr)
    },
    async teardown() {
      for (const cidr of applied) await removeRoute(host, cidr)
      await teardownPodNetwork(host)
    },
  }
}

/** One that was made for another address of the node is made anew. */
async function startOverlay(host: PodNetworkHost, overlay: Overlay): Promise<void> {
  const { link, vni, local } = overlay
  const { podCidr, mtu } = host.network
  const found = await run(host, ['ip', '-d', '-o', 'link', 'show', 'dev', link])
  const isThere = found.code === 0
  const isRight = isThere && found.stdout.includes(` id ${vni} local ${local} `)
  if (isThere && !isRight) await removeLink(host, link)
  const commands = `address replace ${overlayAddress(podCidr)}/32 dev ${link}\nlink set ${link} mtu ${mtu} up\n`
  await mustRun(host, ['ip', '-batch', '-'], `${isRight ? '' : overlayCreation(overlay, podCidr)}${commands}`)
}

/** Whether packets to the address go straight to its machine: no router is between. */
async function isOnSegment(host: Namespace, address: string): Promise<boolean> {
  const { code, stdout } = await run(host, ['ip', '-o', 'route', 'get', address])
  return code === 0 && !stdout.includes(' via ')
}

async function routeThrough(host: Namespace, { link }: Overlay, { cidr, via }: PodRoute): Promise<void> {
  const hardware = overlayHardwareAddress(cidr)
  const next = overlayAddress(cidr)
  await mustRun(host, ['bridge', 'fdb', 'replace', hardware, 'dev', link, 'dst', via, 'self', 'permanent'])
  const commands = [
    `neigh replace ${next} lladdr ${hardware} dev ${link} nud permanent`,
    `route replace ${cidr} via ${next} dev ${link} onlink proto ${ROUTE_PROTOCOL}`,
    '',
  ]
  await mustRun(host, ['ip', '-batch', '-'], commands.join('\n'))
}

/** What `teardown` does, for a node whose process is gone. */
export async function teardownPodNetwork(host: PodNetworkHost): Promise<void> {
  const { bridge, name, overlay } = host.network
  for (const cidr of await ourRoutes(host)) await removeRoute(host, cidr)
  if (overlay) await removeLink(host, overlay.link)
  const ports = await run(host, ['ip', '-o', 'link', 'show', 'master', bridge])
  for (const [, port] of ports.stdout.matchAll(/^\d+: ([^:@]+)/gm)) await removeLink(host, port!)
  await removeLink(host, bridge)
  rmSync(join(host.configurationDirectory, CONFIGURATION_FILE), { force: true })
  rmSync(host.stateDirectory, { recursive: true, force: true })
  if (!existsSync(CNI_CACHE)) return
  for (const file of readdirSync(CNI_CACHE)) if (file.startsWith(`${name}-`)) rmSync(join(CNI_CACHE, file), { force: true })
}

async function removeLink(host: Namespace, link: string): Promise<void> {
  const { code, stderr } = await run(host, ['ip', 'link', 'delete', link])
  if (code !== 0 && !stderr.includes('Cannot find device')) throw new Error(`cannot remove the link ${link}: ${stderr.trim()}`)
}

async function removeRoute(host: Namespace, cidr: string): Promise<void> {
  const { code, stderr } = await run(host, ['ip', 'route', 'delete', cidr, 'proto', ROUTE_PROTOCOL])
  if (code !== 0 && !stderr.includes('No such process')) throw new Error(`cannot remove the route to ${cidr}: ${stderr.trim()}`)
}

/** The routes to other nodes' pods that are there, whoever made them. */
async function ourRoutes(host: PodNetworkHost): Promise<readonly string[]> {
  const { clusterCidr } = host.network
  if (clusterCidr === undefined) return []
  return routesOf(await mustRun(host, ['ip', '-o', 'route', 'show', 'proto', ROUTE_PROTOCOL]), clusterCidr, host.network.bridge)
}

/**
 * Those of a cluster among what `ip route` tells of all. Another cluster on the machine has another range, or, when it was made while this
 * one was down, the same; but its links bear its id.
 */
export function routesOf(text: string, clusterCidr: string, bridge: string): readonly string[] {
  const id = bridge.slice(bridge.indexOf('-'))
  return text.split('\n').flatMap((line) => {
    const [cidr = ''] = line.split(' ')
    const link = / dev (\S+)/.exec(line)?.[1] ?? ''
    const isForeign = /^(?:pn|pv|proa)\d*-/.test(link) && !link.endsWith(id)
    return cidr !== '' && isWithin(cidr, clusterCidr) && !isForeign ? [cidr] : []
  })
}

async function setKernel(host: PodNetworkHost, name: string, value: string): Promise<void> {
  const path = `/proc/sys/${name}`
  if (host.netns) {
    await mustRun(host, ['sh', '-c', 'echo "$1" > "$2"', 'sh', value, path])
    return
  }
  if (name.startsWith('net/bridge/') && !existsSync(path)) {
    const { stderr } = await run(host, ['modprobe', 'br_netfilter'])
    if (!existsSync(path))
      throw new Error(
        `the kernel does not filter bridged packets, so services would fail between pods of one node: load the module br_netfilter (${stderr.trim()})`,
      )
  }
  if (readFileSync(path, 'utf8').trim() !== value) writeFileSync(path, value)
}
