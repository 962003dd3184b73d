/**
 * A node without a cluster, for tests with real packets: a network namespace stands for its machine, others, attached by the CNI
 * plugins with the configuration that proa writes, for its pods. The test's process is the world outside. Needs root.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog } from '../src/base/log.ts'
import { seededRandom } from '../src/base/random.ts'
import type { Runtime } from '../src/base/runtime.ts'
import { systemClock } from '../src/base/system.ts'
import { mustRun, run, type Namespace } from '../src/network/host/command.ts'
import { createNftables, type Nftables } from '../src/network/host/nftables.ts'
import { startPodNetwork } from '../src/network/host/pod-network.ts'
import { planPodNetwork } from '../src/network/pod-network.ts'

const PLUGINS = '/usr/lib/cni'
export const NODE_IP = '172.31.254.2'
export const OUTSIDE_IP = '172.31.254.1'

/** What these tests need and the machine lacks, in words. */
export async function whatIsMissing(): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'Linux and root'
  if (!existsSync(join(PLUGINS, 'bridge'))) return 'the CNI plugins (apt-get install containernetworking-plugins)'
  for (const [command, name] of [
    [['nft', '--version'], 'nftables'],
    [['ip', '-V'], 'iproute2'],
    [['conntrack', '--version'], 'conntrack'],
  ] as const) {
    const works = await run({}, command).then(
      ({ code }) => code === 0,
      () => false,
    )
    if (!works) return `${name} (apt-get install ${name})`
  }
  return undefined
}

export interface NetworkNode {
  readonly id: string
  readonly machine: Namespace
  readonly network: ReturnType<typeof planPodNetwork>
  readonly runtime: Runtime
  /** What was logged. */
  readonly lines: string[]
  readonly filter: Nftables
  readonly pods: ReadonlyMap<string, { readonly ip: string } & Namespace>
  /** Where the network keeps its configuration (`conf`) and `state`. */
  readonly directory: string
  /** A pod that answers on port 8080 with its name and the client's address; resolves with the pod's address. */
  addPod(name: string): Promise<string>
  /** The same server, anywhere. */
  startServer(where: Namespace, name: string, port: number): Promise<void>
  /** Ends a process with the node. */
  keep(child: ChildProcess): void
  /** Takes the pods' network away as the node does it. */
  teardown(): Promise<void>
  close(): Promise<void>
}

export async function startNetworkNode(): Promise<NetworkNode> {
  const id = `t${process.pid % 100_000}`
  const machine: Namespace = { netns: `/run/netns/proa-${id}` }
  const network = planPodNetwork({ id, podCidr: '10.244.7.0/24' })
  const lines: string[] = []
  const log = createLog((level, message, fields) => lines.push(`${level} ${message} ${JSON.stringify(fields)} ${String(fields['error'])}`))
  const children: ChildProcess[] = []
  const pods = new Map<string, { readonly ip: string } & Namespace>()
  const directory = mkdtempSync(join(tmpdir(), 'proa-network-'))
  await mustRun({}, ['ip', 'netns', 'add', `proa-${id}`])
  await mustRun({}, ['ip', 'link', 'add', `pt-${id}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', `proa-${id}`])
  await mustRun({}, ['ip', 'address', 'add', `${OUTSIDE_IP}/30`, 'dev', `pt-${id}`])
  await mustRun({}, ['ip', 'link', 'set', `pt-${id}`, 'up'])
  for (const command of [
    'link set lo up',
    'link set eth0 up',
    `address add ${NODE_IP}/30 dev eth0`,
    `route add default via ${OUTSIDE_IP}`,
  ]) {
    await mustRun(machine, ['ip', ...command.split(' ')])
  }
  const podNetwork = await startPodNetwork({
    ...machine,
    network,
    configurationDirectory: join(directory, 'conf'),
    stateDirectory: join(directory, 'state'),
  })

  async function addPod(name: string): Promise<string> {
    const netns = `/run/netns/proa-${id}-${name}`
    await mustRun({}, ['ip', 'netns', 'add', `proa-${id}-${name}`])
    await mustRun({ netns }, ['ip', 'link', 'set', 'lo', 'up'])
    const answer = JSON.parse(await cni('ADD', name, netns)) as { readonly ips: readonly { readonly address: string }[] }
    const ip = answer.ips[0]!.address.split('/')[0]!
    pods.set(name, { ip, netns })
    await startServer({ netns }, name, 8080)
    return ip
  }

  async function startServer({ netns }: Namespace, name: string, port: number): Promise<void> {
    const program = new URL('./testdata/name-server-of-itself.ts', import.meta.url).pathname
    const child = spawn('nsenter', [`--net=${netns}`, process.execPath, program, name, `${port}`], { stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(child)
    await new Promise((resolve) => child.stdout.once('data', resolve))
  }

  /** What containerd does with the .conflist: each plugin with the list's name and version. */
  async function cni(command: 'ADD' | 'DEL', name: string, netns: string): Promise<string> {
    const list = JSON.parse(readFileSync(join(directory, 'conf', '10-proa.conflist'), 'utf8'))
    const plugin = { ...list.plugins[0], name: list.name, cniVersion: list.cniVersion }
    const environment = [
      `CNI_COMMAND=${command}`,
      `CNI_CONTAINERID=${name}`,
      `CNI_NETNS=${netns}`,
      'CNI_IFNAME=eth0',
      `CNI_PATH=${PLUGINS}`,
    ]
    return mustRun(machine, ['env', ...environment, join(PLUGINS, plugin.type)], JSON.stringify(plugin))
  }

  return {
    id,
    machine,
    network,
    runtime: { clock: systemClock, random: seededRandom(1), log },
    lines,
    filter: createNftables(machine),
    pods,
    directory,
    addPod,
    startServer,
    keep: (child) => void children.push(child),
    async teardown() {
      for (const [name, { netns }] of pods) await cni('DEL', name, netns!)
      await podNetwork.teardown()
    },
    async close() {
      for (const child of children) child.kill('SIGKILL')
      for (const name of pods.keys()) await run({}, ['ip', 'netns', 'delete', `proa-${id}-${name}`])
      await run({}, ['ip', 'netns', 'delete', `proa-${id}`])
      await run({}, ['ip', 'link', 'delete', `pt-${id}`])
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** Asks from a namespace: the answer, "refused", or "silence". */
export async function ask(from: Namespace, protocol: 'tcp' | 'udp', host: string, port: number): Promise<string> {
  const script = protocol === 'tcp' ? 'exec 3<>/dev/tcp/$0/$1; cat <&3' : 'exec 3<>/dev/udp/$0/$1; echo hello >&3; head -n1 <&3'
  const { stdout, stderr } = await run(from, ['timeout', '1', 'bash', '-c', script, host, `${port}`])
  return stdout.trim() || (stderr.includes('refused') ? 'refused' : 'silence')
}
