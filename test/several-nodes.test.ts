/** Two real nodes on one machine: packets between them, a killed agent, and nothing left afterwards. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { helloImageArchive } from '../examples/hello/image.ts'
import type { Pod } from '../src/api/generated/core/v1.ts'
import { createClient } from '../src/client/create-client.ts'
import { createHttpTransport, optionsFromKubeconfig } from '../src/client/http/index.ts'
import { runningAgent } from '../src/cluster/agent-process.ts'
import { dataDirectory, readRecord } from '../src/cluster/data-directory.ts'
import { loadImageArchive } from '../src/cluster/images.ts'
import { nodeLayouts, type NodeLayout } from '../src/cluster/node-layout.ts'
import { command, eventually, noContainers, noKubectl, proa, root, startCluster } from './harness.ts'
import { leftovers } from './leftovers.ts'
import { ask, podPlace, type Place } from './places.ts'

/** The process that has this among its arguments. */
function processOf(argument: string): number {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const path = `/proc/${pid}/cmdline`
    if (existsSync(path) && readFileSync(path, 'utf8').split('\0').includes(argument)) return Number(pid)
  }
  throw new Error(`no process has the argument ${argument}`)
}

const isReady = (pod: Pod): boolean => pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false

test('two real nodes', { skip: noContainers() || noKubectl() }, async (t) => {
  const cluster = await startCluster(t, ['--runtime=containerd', '--nodes=2'])
  const { kubectl } = cluster
  const directory = dataDirectory(cluster.dataDir)
  const record = readRecord(directory)!
  const [first, second] = nodeLayouts(directory, record) as [NodeLayout, NodeLayout]
  const { transport, close } = createHttpTransport(optionsFromKubeconfig(readFileSync(cluster.kubeconfig, 'utf8')))
  t.after(close)
  const client = createClient(transport)
  const webPods = async (): Promise<readonly Pod[]> => {
    const { items } = await client.list('v1/Pod', { namespace: 'default', labelSelector: 'app=web' })
    return items.toSorted((a, b) => ((a.spec?.nodeName ?? '') < (b.spec?.nodeName ?? '') ? -1 : 1))
  }
  await loadImageArchive(directory, await helloImageArchive())
  await kubectl('apply', '-f', join(root, 'test/testdata/web-on-every-node.yaml'))
  const pods = await eventually('a pod is Ready on each node', async () => {
    const found = await webPods()
    return found.length === 2 && found.every(isReady) && found
  })

  await t.test('each node has its name, its range, and what a status shows', async () => {
    const nodes = (await client.list('v1/Node')).items
    assert.deepEqual(
      nodes.map(({ metadata, spec, status }) => [metadata?.name, spec?.podCIDR, status?.addresses?.[0]?.address]),
      [
        [hostname().toLowerCase(), record.podCidr.replace('/16', '/24'), first.address],
        [`${hostname().toLowerCase()}-2`, record.podCidr.replace('0.0/16', '1.0/24'), second.address],
      ],
    )
    assert.deepEqual(
      pods.map(({ spec }) => spec?.nodeName),
      [first.name, second.name],
    )
    const { stdout } = await proa('status', `--name=${cluster.name}`, `--data-dir=${cluster.dataDir}`)
    assert.match(stdout, /2 of 2 Ready/)
    assert.match(stdout, new RegExp(`${second.name} .*${second.address}`))
  })

  await t.test('logs, commands and proxies reach a node and its pods in another process', async () => {
    const [, onSecond] = pods
    const name = onSecond!.metadata!.name!
    assert.equal(await kubectl('exec', name, '--', 'sh', '-c', 'echo $HOSTNAME'), `${name}\n`)
    assert.equal((await cluster.tryKubectl(['exec', name, '--', 'sh', '-c', 'exit 3'])).code, 3)
    assert.equal((await cluster.tryKubectl(['logs', name])).code, 0)
    const answer = await kubectl('get', '--raw', `/api/v1/namespaces/default/pods/${name}:8080/proxy/`)
    assert.match(answer, new RegExp(name))
    const { items } = JSON.parse(await kubectl('get', '--raw', `/api/v1/nodes/${second.name}/proxy/pods`))
    assert.deepEqual(
      items.map(({ metadata }: Pod) => metadata?.name),
      [name],
    )
  })

  await t.test('port-forward to the second node’s pod', async () => {
    const name = pods[1]?.metadata?.name ?? ''
    const forward = cluster.spawnKubectl('port-forward', `pod/${name}`, ':8080')
    let told = ''
    forward.stdout.on('data', (data: Buffer) => (told += data.toString()))
    const port = await eventually('kubectl listens', () => /127\.0\.0\.1:(\d+)/.exec(told)?.[1])
    assert.match(await ask({ name: 'the machine' }, '127.0.0.1', Number(port)), new RegExp(`from pod ${name}`))
    forward.kill('SIGINT')
  })

  await t.test('pods, cluster IP and node ports answer from everywhere', async () => {
    const { spec } = await client.get('v1/Service', { namespace: 'default', name: 'web' })
    const places: readonly Place[] = [
      { name: 'the machine' },
      { name: second.name, netns: second.netns! },
      ...(await Promise.all(pods.map(podPlace))),
    ]
    const nodePort = spec?.ports?.[0]?.nodePort ?? 0
    const shared = [
      [spec?.clusterIP ?? '', 80],
      [first.address, nodePort],
      [second.address, nodePort],
    ] as const
    /** The pod that answers. */
    const answerer = async (place: Place, host: string, port: number): Promise<string> => {
      const answer = await ask(place, host, port)
      const name = /from pod (\S+)/.exec(answer)?.[1]
      assert.ok(name, `${place.name} asks ${host}:${port}: ${answer}`)
      return name
    }
    for (const place of places) {
      for (const { metadata, status } of pods) assert.equal(await answerer(place, status?.podIP ?? '', 8080), metadata?.name)
      for (const [host, port] of shared) {
        // Chance decides who answers: by the twentieth time both have.
        const names = new Set<string>()
        for (let i = 0; i < 20; i++) names.add(await answerer(place, host, port))
        assert.equal(names.size, 2, `${place.name} reaches both behind ${host}:${port}`)
      }
    }
  })

  await t.test('DNS and the API from the second node’s pod', async () => {
    const { netns } = await podPlace(pods[1]!)
    const found = await command('nsenter', [
      `--net=${netns}`,
      '--',
      'busybox',
      'nslookup',
      'web.default.svc.cluster.local',
      record.dnsAddress,
    ])
    assert.match(found.stdout, /Address: 10\.96\.\d+\.\d+/)
    const script = "fetch('https://10.96.0.1/version').then((answer) => answer.json()).then(({ minor }) => console.log(minor))"
    const env = { NODE_EXTRA_CA_CERTS: join(directory.pki, 'ca.crt') }
    const version = await command('nsenter', [`--net=${netns}`, '--', process.execPath, '-e', script], { env })
    assert.equal(version.stdout, '36\n', version.stderr)
  })

  await t.test('kill -9 of the agent: its pods go on, and it comes back', async () => {
    const killed = runningAgent(second)
    assert.ok(killed !== undefined)
    process.kill(killed, 'SIGKILL')
    assert.match(await ask({ name: 'the machine' }, pods[1]?.status?.podIP ?? '', 8080), /from pod web-/)
    await eventually('another agent runs', () => {
      const pid = runningAgent(second)
      return pid !== undefined && pid !== killed
    })
    // A pod of the node that goes is replaced only by a node agent that works.
    await client.delete('v1/Pod', { namespace: 'default', name: pods[1]?.metadata?.name ?? '' })
    const after = await eventually('a new pod is Ready on the second node', async () => {
      const found = await webPods()
      return found.length === 2 && found.every(isReady) && found[1]?.metadata?.name !== pods[1]?.metadata?.name && found
    })
    assert.equal(after[0]?.status?.containerStatuses?.[0]?.containerID, pods[0]?.status?.containerStatuses?.[0]?.containerID)
    const name = after[1]?.metadata?.name ?? ''
    assert.equal(await kubectl('exec', name, '--', 'hostname'), `${name}\n`)
  })

  await t.test('kill -9 of server, agent and containerd at once: up takes over what runs', async () => {
    const before = await webPods()
    const containerd = processOf(join(second.directory, 'containerd', 'config.toml'))
    for (const pid of [cluster.pid(), runningAgent(second), containerd]) process.kill(pid!, 'SIGKILL')
    await cluster.up('--wait')
    const after = await eventually('both pods are Ready', async () => {
      const found = await webPods()
      return found.every(isReady) && found
    })
    assert.deepEqual(
      after.map(({ status }) => status?.containerStatuses?.[0]?.containerID),
      before.map(({ status }) => status?.containerStatuses?.[0]?.containerID),
    )
  })

  await t.test('down leaves nothing behind, also after kill -9', async () => {
    for (const pid of [runningAgent(second), cluster.pid()]) process.kill(pid!, 'SIGKILL')
    const { code, stderr } = await proa('down', `--name=${cluster.name}`, `--data-dir=${cluster.dataDir}`)
    assert.equal(code, 0, stderr)
    assert.deepEqual(leftovers(record.id, cluster.dataDir), [])
  })
})
