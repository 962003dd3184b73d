/**
 * Machines that join a cluster, as network namespaces: a server that runs no pods, and two nodes, each on a segment of its own behind a
 * router. The router lets nothing begin from the server to the nodes: whatever it asks of them goes through their tunnels.
 */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { helloImageArchive } from '../examples/hello/image.ts'
import type { Pod } from '../src/api/generated/core/v1.ts'
import { dataDirectory } from '../src/cluster/data-directory.ts'
import { loadImageArchive } from '../src/cluster/images.ts'
import { joinedFiles, readJoined } from '../src/cluster/join/joined-record.ts'
import { readPemFile } from '../src/cluster/pki.ts'
import { command, eventually, kubectlProgram, noContainers, noKubectl, root, type CommandResult } from './harness.ts'
import { leftovers } from './leftovers.ts'
import { ask, podPlace } from './places.ts'

const tag = `j${process.pid.toString(36)}`
const netns = (name: string): string => `/run/netns/${tag}-${name}`
const SEGMENTS = { server: '10.77.1', a: '10.77.2', b: '10.77.3' } as const
type Machine = keyof typeof SEGMENTS
const machines = Object.keys(SEGMENTS) as readonly Machine[]
const addressOf = (machine: Machine): string => `${SEGMENTS[machine]}.2`

async function must(file: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await command(file, args)
  assert.equal(code, 0, `${file} ${args.join(' ')}: ${stderr}`)
  return stdout
}
const within = (name: string, ...args: string[]): Promise<string> => must('nsenter', `--net=${netns(name)}`, '--', ...args)

/** What is to be undone, last made first. */
class Undone {
  readonly #steps: (() => unknown)[] = []
  constructor(t: TestContext) {
    t.after(async () => {
      for (let step = this.#steps.pop(); step; step = this.#steps.pop()) await step()
    })
  }
  after(step: () => unknown): void {
    this.#steps.push(step)
  }
}

async function makeMachines(t: Undone): Promise<void> {
  t.after(async () => {
    for (const name of ['router', ...machines]) await command('ip', ['netns', 'delete', `${tag}-${name}`])
  })
  await must('ip', 'netns', 'add', `${tag}-router`)
  await within('router', 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward')
  for (const [name, segment] of Object.entries(SEGMENTS)) {
    await must('ip', 'netns', 'add', `${tag}-${name}`)
    await must('ip', '-n', `${tag}-${name}`, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', `to-${name}`, 'netns', `${tag}-router`)
    await within('router', 'ip', 'address', 'add', `${segment}.1/24`, 'dev', `to-${name}`)
    await within('router', 'ip', 'link', 'set', `to-${name}`, 'up')
    const commands = [`address add ${segment}.2/24 dev eth0`, 'link set lo up', 'link set eth0 up', `route add default via ${segment}.1`]
    for (const words of commands) await within(name, 'ip', ...words.split(' '))
    await eventually('the link runs', async () => (await within(name, 'ip', 'link', 'show', 'dev', 'eth0')).includes('state UP'))
  }
  const rules = [
    'add table ip f',
    'add chain ip f c { type filter hook forward priority 0; }',
    'add rule ip f c ct state established,related accept',
    'add rule ip f c iifname "to-server" drop',
  ]
  await within('router', 'nft', rules.join('; '))
}

interface Started {
  readonly process: ChildProcess
  readonly output: () => string
  /** Ends it as systemd would. */
  end(): Promise<void>
}

/** proa on one of the machines; ended with the test. */
function start(t: Undone, machine: Machine, args: readonly string[], env: Readonly<Record<string, string>> = {}): Started {
  const child = spawn('nsenter', [`--net=${netns(machine)}`, '--', join(root, 'proa'), ...args], { env: { ...process.env, ...env } })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (text += data.toString()))
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const end = (): Promise<void> => {
    child.kill('SIGTERM')
    return ended
  }
  t.after(end)
  return { process: child, output: () => text, end }
}

const proaOn = (machine: Machine, ...args: string[]): Promise<CommandResult> =>
  command('nsenter', [`--net=${netns(machine)}`, '--', join(root, 'proa'), ...args])

/** All that a network namespace has of links, routes and rules. */
const stateOf = async (machine: Machine): Promise<string> => {
  const parts = [
    ['ip', '-o', '-4', 'address'],
    ['ip', '-4', 'route', 'show', 'table', 'all'],
    ['nft', 'list', 'ruleset'],
  ]
  const texts = await Promise.all(parts.map(([file, ...args]) => within(machine, file!, ...args)))
  // The numbers of links are those of chance.
  return texts.join('\n').replaceAll(/valid_lft.*|@if\d+|^\d+: /gm, '')
}

test('machines join, reach one another, and leave', { skip: noContainers() || noKubectl() }, async (t) => {
  const undone = new Undone(t)
  const data = mkdtempSync(join(tmpdir(), 'proa-joining-'))
  undone.after(() => rmSync(data, { recursive: true, force: true }))
  await makeMachines(undone)
  const serverDir = join(data, 'server')
  const place = [`--data-dir=${serverDir}`, `--name=${tag}`]
  const before = { a: await stateOf('a'), b: await stateOf('b') }
  const server = start(undone, 'server', ['server', '--no-node', '--port=6443', ...place])
  undone.after(() => proaOn('server', 'down', '--delete', ...place))
  await eventually(
    'the server is up',
    () => server.output().includes('API server ready') || (server.process.exitCode !== null && assert.fail(server.output())),
  )
  const tryKubectl = (...args: string[]): Promise<CommandResult> => {
    const env = { KUBECONFIG: join(serverDir, 'kubeconfig'), HOME: data }
    return command('nsenter', [`--net=${netns('server')}`, '--', kubectlProgram(), ...args], { env })
  }
  const kubectl = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await tryKubectl(...args)
    assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}${stdout}`)
    return stdout
  }
  const agentDir = (machine: Machine): string => join(data, machine)
  const agentArgs = (machine: Machine): readonly string[] => ['agent', `--data-dir=${agentDir(machine)}`, `--node-name=${machine}`]
  const created = await proaOn('server', 'token', 'create', '--ttl=10m', ...place)
  assert.equal(created.code, 0, created.stderr)
  const [, url, token, hash] = /--server (\S+) --token (\S+) --ca-hash (\S+)/.exec(created.stdout) ?? []
  assert.ok(url && token && hash)
  assert.equal(url, `https://${addressOf('server')}:6443`)

  await t.test('who cannot join is told why', async () => {
    const tries = [
      [['--server', url, '--token', 'abcdef.0123456789abcdef'], /knows no token abcdef/],
      [['--server', url, '--token', `${token.slice(0, 7)}0123456789abcdef`], /not signed by this token/],
      [['--server', url, '--token', 'nonsense'], /no bootstrap token/],
      [['--server', url, '--token', token, '--ca-hash', `sha256:${'0'.repeat(64)}`], /authority is another one/],
      [['--server', `https://${addressOf('server')}:1`, '--token', token], /cannot be reached \(ECONNREFUSED\)/],
      [[], /has not joined a cluster yet/],
    ] as const
    const answers = await Promise.all(tries.map(([args], i) => proaOn('a', 'agent', `--data-dir=${join(data, `none-${i}`)}`, ...args)))
    for (const [i, { code, stderr }] of answers.entries()) {
      assert.equal(code, 1)
      assert.match(stderr, tries[i]![1])
      assert.doesNotMatch(stderr, new RegExp(token.slice(7)))
    }
  })

  const joinArgs = ['--server', url, '--ca-hash', hash]
  const agents = new Map(
    (['a', 'b'] as const).map((machine) => [machine, start(undone, machine, [...agentArgs(machine), ...joinArgs], { PROA_TOKEN: token })]),
  )
  // Whatever happens in between, nothing is left.
  for (const machine of ['a', 'b'] as const)
    undone.after(
      async () =>
        existsSync(agentDir(machine)) &&
        void (await proaOn(machine, 'leave', '--force', '--timeout=1s', `--data-dir=${agentDir(machine)}`)),
    )
  const isReady = async (): Promise<boolean> => {
    for (const agent of agents.values()) assert.equal(agent.process.exitCode, null, agent.output())
    const { items } = JSON.parse(await kubectl('get', 'nodes', '-o', 'json'))
    return (
      items.filter(({ status }: { status: { conditions?: { type: string; status: string }[] } }) =>
        status.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True'),
      ).length === 2
    )
  }
  await eventually('both nodes are Ready', isReady, 40_000)
  const archive = await helloImageArchive()
  await Promise.all((['a', 'b'] as const).map((machine) => loadImageArchive(dataDirectory(agentDir(machine)), archive)))
  await kubectl('apply', '-f', join(root, 'test/testdata/web-on-every-node.yaml'))
  const webPods = async (): Promise<readonly Pod[]> => {
    const { items } = JSON.parse(await kubectl('get', 'pods', '-l', 'app=web', '-o', 'json')) as { readonly items: readonly Pod[] }
    const ready = items.filter(({ status }) => status?.containerStatuses?.[0]?.ready)
    return ready.toSorted((one, other) => (one.spec!.nodeName! < other.spec!.nodeName! ? -1 : 1))
  }
  const pods = await eventually('a pod runs on each node', async () => {
    const found = await webPods()
    return found.length === 2 && found
  })
  const nameOf = ({ metadata }: Pod): string => metadata!.name!
  const places = await Promise.all(pods.map(podPlace))

  await t.test('keys are the node’s alone, and no token is kept', async () => {
    for (const machine of ['a', 'b'] as const) {
      const files = joinedFiles(agentDir(machine))
      for (const path of [files.client, files.serving]) assert.equal(statSync(path).mode & 0o777, 0o600)
      assert.ok(readPemFile(files.client))
      for (const name of readdirSync(agentDir(machine))) {
        const path = join(agentDir(machine), name)
        if (statSync(path).isFile()) assert.doesNotMatch(readFileSync(path, 'utf8'), new RegExp(token.slice(7)))
      }
      assert.doesNotMatch(agents.get(machine)!.output(), new RegExp(token.slice(7)))
    }
    assert.deepEqual(
      JSON.parse(await kubectl('get', 'csr', '-o', 'json'))
        .items.map(({ spec }: { spec: { signerName: string } }) => spec.signerName)
        .toSorted(),
      [
        'kubernetes.io/kube-apiserver-client-kubelet',
        'kubernetes.io/kube-apiserver-client-kubelet',
        'kubernetes.io/kubelet-serving',
        'kubernetes.io/kubelet-serving',
      ],
    )
  })

  await t.test('exec, logs and proxies go through the tunnels', async () => {
    for (const pod of pods) {
      const name = nameOf(pod)
      assert.equal(await kubectl('exec', name, '--', 'hostname'), `${name}\n`)
      await kubectl('logs', name)
      assert.match(await kubectl('get', '--raw', `/api/v1/namespaces/default/pods/${name}:8080/proxy/`), new RegExp(name))
      assert.match(
        await kubectl('get', '--raw', `/api/v1/nodes/${pod.spec?.nodeName}/proxy/metrics/resource`),
        /node_cpu_usage_seconds_total/,
      )
    }
  })

  await t.test('pods reach pods, a cluster IP, names and the API from each node', async () => {
    const clusterIp = (await kubectl('get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}')).trim()
    for (const place of places) {
      for (const other of pods) assert.match(await ask(place, other.status!.podIP!, 8080), new RegExp(`from pod ${nameOf(other)}`))
      const answers = new Set<string>()
      for (let i = 0; i < 16; i++) answers.add(await ask(place, clusterIp, 80))
      assert.equal(answers.size, 2, [...answers].join('\n'))
      const lookup = await must(
        'nsenter',
        `--net=${place.netns}`,
        '--',
        'busybox',
        'nslookup',
        'web.default.svc.cluster.local',
        '10.96.0.10',
      )
      assert.match(lookup, new RegExp(`Address: ${clusterIp}`))
      const script = "fetch('https://10.96.0.1/version').then((answer) => answer.json()).then(({ minor }) => console.log(minor))"
      const env = { NODE_EXTRA_CA_CERTS: join(dataDirectory(serverDir).pki, 'ca.crt') }
      const version = await command('nsenter', [`--net=${place.netns}`, '--', process.execPath, '-e', script], { env })
      assert.equal(version.stdout, '36\n', version.stderr)
    }
    const route = await within('a', 'ip', 'route', 'show', 'proto', '112')
    assert.match(route, / dev pv-/)
  })

  await t.test('an agent goes on without a token, and one of its name is refused', async () => {
    await agents.get('a')!.end()
    const again = start(undone, 'a', agentArgs('a'))
    agents.set('a', again)
    await eventually('it goes on', () => again.output().includes('watches its pods'))
    assert.equal(await kubectl('exec', nameOf(pods[0]!), '--', 'hostname'), `${nameOf(pods[0]!)}\n`)
    const { code, stderr } = await proaOn('b', 'agent', `--data-dir=${join(data, 'other')}`, '--node-name=a', ...joinArgs, '--token', token)
    assert.equal(code, 1)
    assert.match(stderr, /has a live node a already/)
  })

  await t.test('another address: routes follow', async () => {
    const move = async (from: number, to: number): Promise<void> => {
      await within('b', 'ip', 'address', 'delete', `${SEGMENTS.b}.${from}/24`, 'dev', 'eth0')
      await within('b', 'ip', 'address', 'add', `${SEGMENTS.b}.${to}/24`, 'dev', 'eth0')
      await within('b', 'ip', 'route', 'replace', 'default', 'via', `${SEGMENTS.b}.1`)
    }
    const [, onB] = pods
    await move(2, 9)
    await eventually('the node tells its new address', async () => {
      return (await kubectl('get', 'node', 'b', '-o', 'jsonpath={.status.addresses[0].address}')) === `${SEGMENTS.b}.9`
    })
    await eventually('its pods are reached', async () => (await ask(places[0]!, onB!.status!.podIP!, 8080)).includes(nameOf(onB!)))
    await eventually(
      'commands reach them',
      async () => (await tryKubectl('exec', nameOf(onB!), '--', 'hostname')).stdout === `${nameOf(onB!)}\n`,
    )
    await move(9, 2)
  })

  await t.test('leaving restores the machine', async () => {
    for (const machine of ['b', 'a'] as const) {
      const { id } = readJoined(joinedFiles(agentDir(machine)))!
      // One leaves in order, one after a crash.
      if (machine === 'a') agents.get(machine)!.process.kill('SIGKILL')
      const left = await proaOn(machine, 'leave', '--timeout=20s', `--data-dir=${agentDir(machine)}`)
      assert.equal(left.code, 0, left.stderr)
      assert.equal(await stateOf(machine), before[machine])
      assert.deepEqual(leftovers(id, agentDir(machine)), [])
      assert.equal(existsSync(agentDir(machine)), false)
    }
    assert.equal(await kubectl('get', 'nodes', '-o', 'name'), '')
  })
})
