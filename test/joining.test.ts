/**
 * Machines that join a cluster, as network namespaces: a server that runs no pods, and two nodes, each on a segment of its own behind a
 * router. The router lets nothing begin from the server to the nodes: whatever it asks of them goes through their tunnels.
 */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { helloImageArchive } from '../examples/hello/image.ts'
import type { Node, Pod } from '../src/api/generated/core/v1.ts'
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

/** Two machines on one segment: the server and a. */
async function makePair(t: Undone): Promise<void> {
  t.after(async () => {
    for (const name of ['server', 'a']) await command('ip', ['netns', 'delete', `${tag}-${name}`])
  })
  for (const name of ['server', 'a']) await must('ip', 'netns', 'add', `${tag}-${name}`)
  await must('ip', '-n', `${tag}-server`, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', `${tag}-a`)
  for (const [name, own, other] of [
    ['server', 1, 2],
    ['a', 2, 1],
  ] as const) {
    const commands = [
      `address add 10.78.1.${own}/24 dev eth0`,
      'link set lo up',
      'link set eth0 up',
      `route add default via 10.78.1.${other}`,
    ]
    for (const words of commands) await within(name, 'ip', ...words.split(' '))
  }
  await eventually('the link runs', async () => (await within('server', 'ip', 'link', 'show', 'dev', 'eth0')).includes('state UP'))
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

interface JoinableCluster {
  readonly directory: string
  readonly url: string
  readonly token: string
  readonly hash: string
  tryKubectl(...args: string[]): Promise<CommandResult>
  kubectl(...args: string[]): Promise<string>
}

/** A server on its machine, taken down with the test, and a token to join it with. */
async function startServer(undone: Undone, data: string, ...flags: readonly string[]): Promise<JoinableCluster> {
  const directory = join(data, 'server')
  const place = [`--data-dir=${directory}`, `--name=${tag}`]
  const server = start(undone, 'server', ['server', '--port=6443', ...flags, ...place])
  undone.after(() => proaOn('server', 'down', '--delete', ...place))
  await eventually(
    'the server is up',
    () => server.output().includes('API server ready') || (server.process.exitCode !== null && assert.fail(server.output())),
  )
  const created = await proaOn('server', 'token', 'create', '--ttl=10m', ...place)
  assert.equal(created.code, 0, created.stderr)
  const [, url, token, hash] = /--server (\S+) --token (\S+) --ca-hash (\S+)/.exec(created.stdout) ?? []
  assert.ok(url && token && hash)
  const tryKubectl = (...args: string[]): Promise<CommandResult> => {
    const env = { KUBECONFIG: join(directory, 'kubeconfig'), HOME: data }
    return command('nsenter', [`--net=${netns('server')}`, '--', kubectlProgram(), ...args], { env })
  }
  const kubectl = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await tryKubectl(...args)
    assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}${stdout}`)
    return stdout
  }
  return { directory, url, token, hash, tryKubectl, kubectl }
}

const agentDir = (data: string, machine: Machine): string => join(data, machine)
const agentArgs = (data: string, machine: Machine): readonly string[] => [
  'agent',
  `--data-dir=${agentDir(data, machine)}`,
  `--node-name=${machine}`,
]

/** Joins; whatever happens in between, nothing is left. */
function startAgent(undone: Undone, data: string, machine: Machine, { url, hash, token }: JoinableCluster): Started {
  undone.after(async () => {
    const directory = `--data-dir=${agentDir(data, machine)}`
    if (existsSync(agentDir(data, machine))) await proaOn(machine, 'leave', '--force', '--timeout=1s', directory)
  })
  return start(undone, machine, [...agentArgs(data, machine), '--server', url, '--ca-hash', hash], { PROA_TOKEN: token })
}

const isTrue = (type: string, conditions: readonly { readonly type: string; readonly status: string }[] | undefined): boolean =>
  conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false

async function nodesReady({ kubectl }: JoinableCluster, count: number, agents: Iterable<Started>): Promise<boolean> {
  for (const agent of agents) assert.equal(agent.process.exitCode, null, agent.output())
  const { items } = JSON.parse(await kubectl('get', 'nodes', '-o', 'json')) as { readonly items: readonly Node[] }
  return items.filter(({ status }) => isTrue('Ready', status?.conditions)).length === count
}

async function readyPods({ kubectl }: JoinableCluster): Promise<readonly Pod[]> {
  const { items } = JSON.parse(await kubectl('get', 'pods', '-l', 'app=web', '-o', 'json')) as { readonly items: readonly Pod[] }
  const ready = items.filter(({ status }) => isTrue('Ready', status?.conditions))
  return ready.toSorted((one, other) => (one.spec!.nodeName! < other.spec!.nodeName! ? -1 : 1))
}
const nameOf = ({ metadata }: Pod): string => metadata!.name!

test('machines join, reach one another, and leave', { skip: noContainers() || noKubectl() }, async (t) => {
  const undone = new Undone(t)
  const data = mkdtempSync(join(tmpdir(), 'proa-joining-'))
  undone.after(() => rmSync(data, { recursive: true, force: true }))
  await makeMachines(undone)
  const before = { a: await stateOf('a'), b: await stateOf('b') }
  const cluster = await startServer(undone, data, '--no-node')
  const { url, token, hash, kubectl, tryKubectl } = cluster
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

  const agents = new Map((['a', 'b'] as const).map((machine) => [machine, startAgent(undone, data, machine, cluster)]))
  await eventually('both nodes are Ready', () => nodesReady(cluster, 2, agents.values()), 40_000)
  const archive = await helloImageArchive()
  await Promise.all((['a', 'b'] as const).map((machine) => loadImageArchive(dataDirectory(agentDir(data, machine)), archive)))
  await kubectl('apply', '-f', join(root, 'test/testdata/web-on-every-node.yaml'))
  const pods = await eventually('a pod runs on each node', async () => {
    const found = await readyPods(cluster)
    return found.length === 2 && found
  })
  const places = await Promise.all(pods.map(podPlace))

  await t.test('keys are the node’s alone, and no token is kept', async () => {
    for (const machine of ['a', 'b'] as const) {
      const files = joinedFiles(agentDir(data, machine))
      for (const path of [files.client, files.serving]) assert.equal(statSync(path).mode & 0o777, 0o600)
      assert.ok(readPemFile(files.client))
      for (const name of readdirSync(agentDir(data, machine))) {
        const path = join(agentDir(data, machine), name)
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
      const env = { NODE_EXTRA_CA_CERTS: join(dataDirectory(cluster.directory).pki, 'ca.crt') }
      const version = await command('nsenter', [`--net=${place.netns}`, '--', process.execPath, '-e', script], { env })
      assert.equal(version.stdout, '36\n', version.stderr)
    }
    const route = await within('a', 'ip', 'route', 'show', 'proto', '112')
    assert.match(route, / dev pv-/)
  })

  await t.test('an agent goes on without a token, and one of its name is refused', async () => {
    await agents.get('a')!.end()
    const again = start(undone, 'a', agentArgs(data, 'a'))
    agents.set('a', again)
    await eventually('it goes on', () => again.output().includes('watches its pods'))
    assert.equal(await kubectl('exec', nameOf(pods[0]!), '--', 'hostname'), `${nameOf(pods[0]!)}\n`)
    const { code, stderr } = await proaOn(
      'b',
      'agent',
      `--data-dir=${join(data, 'other')}`,
      '--node-name=a',
      '--server',
      url,
      '--ca-hash',
      hash,
      '--token',
      token,
    )
    assert.equal(code, 1)
    assert.match(stderr, /has a live node a already/)
  })

  await t.test('a volume of the default class is made on the node, and removed', async () => {
    const claim = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'kept' } }
    const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } }
    const user: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'keeper' },
      spec: {
        nodeSelector: { 'kubernetes.io/hostname': 'b' },
        securityContext: { runAsUser: 1000 },
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: 'c',
            image: 'proa.local/hello:1',
            command: ['sh', '-c', 'echo kept > /data/file && sleep 3600'],
            volumeMounts: [{ name: 'v', mountPath: '/data' }],
          },
        ],
        volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'kept' } }],
      },
    }
    writeFileSync(join(data, 'volume.json'), [{ ...claim, spec }, user].map((object) => JSON.stringify(object)).join('\n'))
    await kubectl('apply', '-f', join(data, 'volume.json'))
    const volumes = join(agentDir(data, 'b'), 'volumes')
    const file = await eventually('the pod has written', () => {
      const made = existsSync(volumes) ? readdirSync(volumes)[0] : undefined
      return made !== undefined && existsSync(join(volumes, made, 'file')) && join(volumes, made, 'file')
    })
    assert.equal(readFileSync(file, 'utf8'), 'kept\n')
    await kubectl('delete', 'pod/keeper', 'pvc/kept')
    await eventually('the directory is gone', () => readdirSync(volumes).length === 0)
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
      const { id } = readJoined(joinedFiles(agentDir(data, machine)))!
      // One leaves in order, one after a crash.
      if (machine === 'a') agents.get(machine)!.process.kill('SIGKILL')
      const left = await proaOn(machine, 'leave', '--timeout=20s', `--data-dir=${agentDir(data, machine)}`)
      assert.equal(left.code, 0, left.stderr)
      assert.equal(await stateOf(machine), before[machine])
      assert.deepEqual(leftovers(id, agentDir(data, machine)), [])
      assert.equal(existsSync(agentDir(data, machine)), false)
    }
    assert.equal(await kubectl('get', 'nodes', '-o', 'name'), '')
  })
})

test('a server that is a node itself, with another machine on its segment', { skip: noContainers() || noKubectl() }, async (t) => {
  const undone = new Undone(t)
  const data = mkdtempSync(join(tmpdir(), 'proa-joining-'))
  undone.after(() => rmSync(data, { recursive: true, force: true }))
  await makePair(undone)
  const cluster = await startServer(undone, data)
  const { kubectl } = cluster
  const agent = startAgent(undone, data, 'a', cluster)
  await eventually('both nodes are Ready', () => nodesReady(cluster, 2, [agent]), 40_000)
  const archive = await helloImageArchive()
  for (const directory of [cluster.directory, agentDir(data, 'a')]) await loadImageArchive(dataDirectory(directory), archive)
  await kubectl('apply', '-f', join(root, 'test/testdata/web-on-every-node.yaml'))
  const pods = await eventually('a pod runs on each node', async () => {
    const found = await readyPods(cluster)
    return found.length === 2 && found
  })

  await t.test('pods reach one another on the straight way', async () => {
    assert.match(await within('a', 'ip', 'route', 'show', 'proto', '112'), /10\.244\.0\.0\/24 via 10\.78\.1\.1 dev eth0/)
    for (const place of await Promise.all(pods.map(podPlace)))
      for (const other of pods) assert.match(await ask(place, other.status!.podIP!, 8080), new RegExp(`from pod ${nameOf(other)}`))
    for (const pod of pods) assert.equal(await kubectl('exec', nameOf(pod), '--', 'hostname'), `${nameOf(pod)}\n`)
  })

  await t.test('who leaves waits for disruption budgets, then its pods go elsewhere', async () => {
    const files = joinedFiles(agentDir(data, 'a'))
    await kubectl('create', 'deployment', 'kept', '--image=proa.local/hello:1')
    await kubectl('patch', 'deployment', 'kept', '-p', '{"spec":{"template":{"spec":{"nodeName":"a","terminationGracePeriodSeconds":1}}}}')
    await kubectl('create', 'poddisruptionbudget', 'kept', '--selector=app=kept', '--min-available=1')
    await kubectl('rollout', 'status', 'deployment', 'kept', '--timeout=30s')
    const refused = await proaOn('a', 'leave', '--timeout=1s', `--data-dir=${files.root}`)
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /default\/kept-.*disruption budget/)
    assert.equal(agent.process.exitCode, null)
    assert.match(await kubectl('get', 'node', 'a'), /SchedulingDisabled/)
    await kubectl('patch', 'deployment', 'kept', '-p', '{"spec":{"template":{"spec":{"nodeName":null}}}}')
    await kubectl('delete', 'poddisruptionbudget', 'kept')
    const { id } = readJoined(files)!
    const left = await proaOn('a', 'leave', '--timeout=20s', `--data-dir=${files.root}`)
    assert.equal(left.code, 0, left.stderr)
    assert.deepEqual(leftovers(id, files.root), [])
    await kubectl('rollout', 'status', 'deployment', 'kept', '--timeout=30s')
    await eventually('no route leads to who left', async () => (await within('server', 'ip', 'route', 'show', 'proto', '112')) === '')
  })
})
