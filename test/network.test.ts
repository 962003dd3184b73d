/** Services, host ports and DNS with real packets: see network-node.ts. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import * as dns from 'dns-packet'
import type { EndpointSlice } from '../src/api/generated/discovery/v1.ts'
import type { Pod, Service } from '../src/api/generated/core/v1.ts'
import { mustRun, type Namespace } from '../src/network/host/command.ts'
import { createDnsForwarder } from '../src/network/host/dns-forwarder.ts'
import { startDnsServer } from '../src/network/host/dns-server.ts'
import { createDnsZone } from '../src/network/dns-zone.ts'
import { dnsEndpoints, dnsService } from '../src/network/dns-service.ts'
import type { TableOptions } from '../src/network/nft-table.ts'
import { createProxyLoop, type ProxyLoop } from '../src/network/proxy-loop.ts'
import { createServiceTable } from '../src/network/service-table.ts'
import { eventually } from './harness.ts'
import { ask, NODE_IP, OUTSIDE_IP, startNetworkNode, whatIsMissing, type NetworkNode } from './network-node.ts'

const missing = await whatIsMissing()
const options = { skip: missing ? `needs ${missing}` : false }

const services = createServiceTable()
const stop = new AbortController()
let world: NetworkNode
let node: NetworkNode['machine']
let pods: NetworkNode['pods']
let runtime: NetworkNode['runtime']
let table: TableOptions
let proxy: ProxyLoop
let running: Promise<void>

/** Asks from this process, outside the cluster. */
function askFromOutside(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const socket = createConnection({ host, port, timeout: 1000 })
    socket.on('data', (data) => (text += data))
    socket.on('error', (error: Error & { code?: string }) =>
      resolve(error.code === 'ECONNREFUSED' || error.code === 'ECONNRESET' ? 'refused' : error.message),
    )
    socket.on('timeout', () => socket.destroy())
    socket.on('close', () => resolve(text.trim() || 'silence'))
  })
}

/** Who answers, over several tries. */
async function askers(times: number, one: () => Promise<string>): Promise<string[]> {
  const names = new Set<string>()
  for (let i = 0; i < times; i++) names.add((await one()).split(' ')[0]!)
  return [...names].toSorted()
}

const service = (name: string, spec: Service['spec']): Service => ({
  metadata: { name, namespace: 'default' },
  spec: { type: 'ClusterIP', ports: [{ port: 80, protocol: 'TCP' }], ...spec },
})

interface Target {
  readonly pod?: string
  readonly address?: string
  readonly ready?: boolean
  readonly node?: string
  readonly hostname?: string
}

const slice = (name: string, targets: readonly Target[], protocol = 'TCP', port = 8080): EndpointSlice => ({
  metadata: { name: `${name}-${protocol.toLowerCase()}`, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
  addressType: 'IPv4',
  ports: [{ port, protocol }],
  endpoints: targets.map(({ pod, address, ready = true, node: nodeName = 'node-1', hostname }) => ({
    addresses: [address ?? pods.get(pod!)!.ip],
    conditions: { ready, serving: ready, terminating: false },
    nodeName,
    ...(hostname ? { hostname } : {}),
  })),
})

async function expose(made: Service, ...slices: EndpointSlice[]): Promise<void> {
  services.serviceHandlers.added(made)
  for (const one of slices) services.sliceHandlers.added(one)
  await proxy.settled()
}

before(async () => {
  if (missing) return
  world = await startNetworkNode()
  ;({ machine: node, pods, runtime } = world)
  const { id, network, filter } = world
  table = {
    name: `proa-${id}`,
    family: 'ip',
    clusterCidrs: ['10.244.0.0/16'],
    nodeCidr: network.podCidr,
    bridge: network.bridge,
    foreignLinks: 'proa-*',
  }
  proxy = createProxyLoop(runtime, { services, filter, table, node: { nodeName: 'node-1', family: 'ip', addresses: [NODE_IP] } })
  running = proxy.run(stop.signal)
  for (const name of ['a', 'b', 'client']) await world.addPod(name)
  await proxy.settled()
})

after(async () => world?.close())

const client = () => pods.get('client')!
const gateway = () => world.network.gateway.split('/')[0]!

test('network: a cluster IP spreads over the endpoints, from pods and from the node, sources kept', options, async () => {
  await expose(
    service('web', { clusterIP: '10.96.0.50' }),
    slice('web', [{ pod: 'a' }, { pod: 'b' }, { address: '10.244.7.99', ready: false }]),
  )
  assert.deepEqual(await askers(20, () => ask(client(), 'tcp', '10.96.0.50', 80)), ['a', 'b'])
  assert.deepEqual(await askers(20, () => ask(node, 'tcp', '10.96.0.50', 80)), ['a', 'b'])
  assert.equal((await ask(client(), 'tcp', '10.96.0.50', 80)).split(' ')[1], client().ip)
})

test('network: endpoints that come and go', options, async () => {
  await expose(service('web', { clusterIP: '10.96.0.50' }), slice('web', [{ pod: 'a' }]))
  assert.deepEqual(await askers(10, () => ask(client(), 'tcp', '10.96.0.50', 80)), ['a'])
  await expose(service('web', { clusterIP: '10.96.0.50' }), slice('web', []))
  assert.equal(await ask(client(), 'tcp', '10.96.0.50', 80), 'refused')
  assert.equal(await ask(node, 'tcp', '10.96.0.50', 80), 'refused')
  await expose(service('web', { clusterIP: '10.96.0.50' }), slice('web', [{ pod: 'b' }]))
  assert.deepEqual(await askers(5, () => ask(client(), 'tcp', '10.96.0.50', 80)), ['b'])
  assert.equal(await ask(client(), 'tcp', '10.96.0.50', 81), 'refused')
})

test('network: a pod reaches itself through its service', options, async () => {
  await expose(service('self', { clusterIP: '10.96.0.51' }), slice('self', [{ pod: 'a' }]))
  assert.match(await ask(pods.get('a')!, 'tcp', '10.96.0.51', 80), /^a /)
})

test('network: a node port answers from outside, from pods and from the node; the source is kept', options, async () => {
  const made = service('np', { type: 'NodePort', clusterIP: '10.96.0.52', ports: [{ port: 80, nodePort: 30080 }] })
  await expose(made, slice('np', [{ pod: 'a' }, { pod: 'b' }]))
  assert.deepEqual(await askers(20, () => askFromOutside(NODE_IP, 30080)), ['a', 'b'])
  assert.equal((await askFromOutside(NODE_IP, 30080)).split(' ')[1], OUTSIDE_IP)
  assert.deepEqual(await askers(20, () => ask(client(), 'tcp', NODE_IP, 30080)), ['a', 'b'])
  assert.deepEqual(await askers(20, () => ask(node, 'tcp', NODE_IP, 30080)), ['a', 'b'])
  await expose(made, slice('np', []))
  assert.equal(await askFromOutside(NODE_IP, 30080), 'refused')
})

test(
  "network: externalTrafficPolicy Local: outside gets this node's endpoints, pods get all, silence without any here",
  options,
  async () => {
    const made = service('local', {
      type: 'NodePort',
      externalTrafficPolicy: 'Local',
      clusterIP: '10.96.0.53',
      ports: [{ port: 80, nodePort: 30081 }],
    })
    await expose(made, slice('local', [{ pod: 'a' }, { pod: 'b', node: 'node-2' }]))
    assert.deepEqual(await askers(15, () => askFromOutside(NODE_IP, 30081)), ['a'])
    assert.deepEqual(await askers(20, () => ask(client(), 'tcp', NODE_IP, 30081)), ['a', 'b'])
    await expose(made, slice('local', [{ pod: 'b', node: 'node-2' }]))
    assert.equal(await askFromOutside(NODE_IP, 30081), 'silence')
    assert.deepEqual(await askers(3, () => ask(client(), 'tcp', NODE_IP, 30081)), ['b'])
    await expose(
      service('inner', { clusterIP: '10.96.0.54', internalTrafficPolicy: 'Local' }),
      slice('inner', [{ pod: 'a' }, { pod: 'b', node: 'node-2' }]),
    )
    assert.deepEqual(await askers(15, () => ask(client(), 'tcp', '10.96.0.54', 80)), ['a'])
    for (const name of ['local', 'inner']) services.serviceHandlers.deleted(service(name, {}))
  },
)

test('network: external IPs and load balancers, whose source ranges hold', options, async () => {
  await mustRun({}, ['ip', 'route', 'replace', '192.0.2.200/32', 'via', NODE_IP])
  await expose(service('ext', { clusterIP: '10.96.0.55', externalIPs: ['192.0.2.200'] }), slice('ext', [{ pod: 'a' }]))
  assert.match(await askFromOutside('192.0.2.200', 80), /^a /)
  const balanced = (loadBalancerSourceRanges: string[]): Service => ({
    ...service('lb', { type: 'LoadBalancer', clusterIP: '10.96.0.56', loadBalancerSourceRanges, ports: [{ port: 81 }] }),
    status: { loadBalancer: { ingress: [{ ip: '192.0.2.200' }] } },
  })
  await expose(balanced(['10.0.0.0/8', '10.1.0.0/16']), slice('lb', [{ pod: 'b' }]))
  assert.equal(await askFromOutside('192.0.2.200', 81), 'silence')
  await expose(balanced(['172.31.254.7/24']))
  assert.match(await askFromOutside('192.0.2.200', 81), /^b /)
  await mustRun({}, ['ip', 'route', 'delete', '192.0.2.200/32'])
})

test('network: session affinity holds a client to its endpoint, until the endpoint or the time is gone', options, async () => {
  const sticky = (sessionAffinity: string) =>
    service('sticky', { clusterIP: '10.96.0.57', sessionAffinity, sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_800 } } })
  await expose(sticky('ClientIP'), slice('sticky', [{ pod: 'a' }, { pod: 'b' }]))
  const [first] = await askers(1, () => ask(client(), 'tcp', '10.96.0.57', 80))
  assert.deepEqual(await askers(20, () => ask(client(), 'tcp', '10.96.0.57', 80)), [first])
  const other = first === 'a' ? 'b' : 'a'
  await expose(sticky('ClientIP'), slice('sticky', [{ pod: other }]))
  assert.deepEqual(await askers(3, () => ask(client(), 'tcp', '10.96.0.57', 80)), [other])
  await expose(sticky('ClientIP'), slice('sticky', [{ pod: 'a' }, { pod: 'b' }]))
  assert.deepEqual(await askers(20, () => ask(client(), 'tcp', '10.96.0.57', 80)), [other])
  await expose(sticky('None'))
  assert.deepEqual(await askers(25, () => ask(client(), 'tcp', '10.96.0.57', 80)), ['a', 'b'])
})

test('network: UDP follows when its endpoint is replaced', options, async () => {
  const made = service('udp', { clusterIP: '10.96.0.58', ports: [{ port: 90, protocol: 'UDP' }] })
  const script =
    'exec 3<>/dev/udp/10.96.0.58/90; for i in 1 2 3; do echo hi >&3 || echo hi >&3; timeout 1 head -n1 <&3 || echo silence; read -t 20 go; done'
  const flow = spawn('nsenter', [`--net=${client().netns}`, 'bash', '-c', script], { stdio: ['pipe', 'pipe', 'inherit'] })
  world.keep(flow)
  const heard = () => new Promise<string>((resolve) => flow.stdout.once('data', (data) => resolve(`${data}`.trim())))
  // The flow begins before the service has endpoints, and goes on from the same port.
  assert.equal(await heard(), 'silence')
  for (const name of ['a', 'b']) {
    await expose(made, slice('udp', [{ pod: name }], 'UDP'))
    flow.stdin.write('\n')
    assert.match(await heard(), new RegExp(`^${name} `))
  }
})

test("network: host ports, on the node's address, on loopback and on one address alone", options, async () => {
  const pod = (name: string, hostPort: number, hostIP?: string): Pod => ({
    metadata: { name, namespace: 'default' },
    spec: { nodeName: 'node-1', containers: [{ name: 'c', ports: [{ containerPort: 8080, hostPort, ...(hostIP ? { hostIP } : {}) }] }] },
    status: { phase: 'Running', podIP: pods.get(name)!.ip },
  })
  proxy.podHandlers.added(pod('a', 5000, '127.0.0.1'))
  proxy.podHandlers.added(pod('b', 5000, NODE_IP))
  await proxy.settled()
  assert.match(await ask(node, 'tcp', '127.0.0.1', 5000), /^a /)
  assert.match(await ask(node, 'tcp', NODE_IP, 5000), /^b /)
  assert.match(await askFromOutside(NODE_IP, 5000), new RegExp(`^b ${OUTSIDE_IP}`))
  proxy.podHandlers.updated(pod('b', 5001), pod('b', 5000))
  await proxy.settled()
  assert.match(await ask(client(), 'tcp', NODE_IP, 5001), /^b /)
  assert.match(await ask(node, 'tcp', '127.0.0.1', 5001), /^b /)
  proxy.podHandlers.deleted(pod('a', 5000))
  proxy.podHandlers.deleted(pod('b', 5001))
  await proxy.settled()
  assert.equal(await ask(node, 'tcp', '127.0.0.1', 5000), 'refused')
})

/** Asks the cluster's nameserver from a namespace by UDP. */
async function lookUp(from: Namespace, type: dns.RecordType, name: string): Promise<string[]> {
  const query = Buffer.from(dns.encode({ type: 'query', id: 1, flags: dns.RECURSION_DESIRED, questions: [{ type, name }] }))
  const bytes = [...query].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')
  const script = `exec 3<>/dev/udp/10.96.0.10/53; printf '%b' '${bytes}' >&3; timeout 2 dd bs=2048 count=1 <&3 2>/dev/null | base64 -w0`
  const { answers = [] } = dns.decode(Buffer.from(await mustRun(from, ['bash', '-c', script]), 'base64'))
  return answers
    .map((answer) => ('data' in answer ? (answer.type === 'SRV' ? `${answer.data.port} ${answer.data.target}` : `${answer.data}`) : ''))
    .toSorted()
}

test('network: pods and the node resolve names at the address of kube-dns', options, async () => {
  const server = await startDnsServer({
    address: OUTSIDE_IP,
    port: 0,
    zone: createDnsZone({ services }),
    forward: createDnsForwarder([]),
    log: runtime.log,
  })
  await expose(dnsService('10.96.0.10'), dnsEndpoints([server]))
  await expose(service('db', { clusterIP: 'None', ports: [{ name: 'http', port: 8080 }] }), {
    ...slice('db', [
      { pod: 'a', hostname: 'db-0' },
      { pod: 'b', hostname: 'db-1' },
    ]),
    ports: [{ name: 'http', port: 8080 }],
  })
  await expose(service('web', { clusterIP: '10.96.0.50' }))
  for (const from of [client(), node]) {
    assert.deepEqual(await lookUp(from, 'A', 'web.default.svc.cluster.local'), ['10.96.0.50'])
    assert.deepEqual(await lookUp(from, 'A', 'db.default.svc.cluster.local'), [pods.get('a')!.ip, pods.get('b')!.ip])
  }
  assert.deepEqual(await lookUp(client(), 'A', 'db-1.db.default.svc.cluster.local'), [pods.get('b')!.ip])
  assert.deepEqual(await lookUp(client(), 'SRV', '_http._tcp.db.default.svc.cluster.local'), [
    '8080 db-0.db.default.svc.cluster.local',
    '8080 db-1.db.default.svc.cluster.local',
  ])
  await server.close()
})

test('network: what leaves the cluster comes from the node, and pods cannot reach its loopback', options, async () => {
  const server = createServer((socket) => socket.end(`outside ${socket.remoteAddress!.replace('::ffff:', '')}\n`))
  await new Promise<void>((resolve) => server.listen(0, OUTSIDE_IP, resolve))
  assert.equal(await ask(client(), 'tcp', OUTSIDE_IP, (server.address() as { port: number }).port), `outside ${NODE_IP}`)
  server.close()
  await world.startServer(node, 'node', 9090)
  assert.match(await ask(node, 'tcp', '127.0.0.1', 9090), /^node /)
  // A pod that may set routes sends packets for 127.0.0.1 to its gateway.
  const forged = [
    'ip route delete local 127.0.0.0/8 dev lo table local',
    'ip route delete local 127.0.0.1 dev lo table local',
    `ip route add 127.0.0.1 via ${gateway()}`,
  ]
  await mustRun(client(), ['sh', '-ec', `${forged.join('; ')}; echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet`])
  assert.equal(await ask(client(), 'tcp', '127.0.0.1', 9090), 'silence')
  assert.match(await ask(client(), 'tcp', gateway(), 9090), /^node /)
})

test('network: a failed command leads to the whole table being loaded anew', options, async () => {
  await mustRun(node, ['nft', 'flush', 'table', 'ip', table.name])
  await mustRun(node, ['nft', 'delete', 'table', 'ip', table.name])
  await expose(service('again', { clusterIP: '10.96.0.59' }), slice('again', [{ pod: 'a' }]))
  assert.match(await ask(client(), 'tcp', '10.96.0.59', 80), /^a /)
  assert.deepEqual(await askers(5, () => ask(client(), 'tcp', '10.96.0.50', 80)), ['b'])
})

test('network: rules that somebody flushes are there again', options, async () => {
  await mustRun(node, ['nft', 'flush', 'ruleset'])
  for (let tries = 0; (await ask(client(), 'tcp', '10.96.0.59', 80)) === 'silence'; tries++) assert.ok(tries < 10, 'still gone')
  assert.deepEqual(await askers(5, () => ask(client(), 'tcp', '10.96.0.50', 80)), ['b'])
})

test('network: kill -9 of who watches the tables ends the watch', options, async () => {
  const module = new URL('../src/network/host/nftables.ts', import.meta.url).href
  const script = `import(${JSON.stringify(module)}).then(({ createNftables }) => createNftables().watchTable('ip', 'none', () => {}))`
  const child = spawn(process.execPath, ['-e', script], { stdio: 'ignore' })
  world.keep(child)
  const monitors = () => readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim()
  const isMonitor = (pid: string) =>
    existsSync(`/proc/${pid}/cmdline`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('nft\0monitor')
  await eventually('the monitor runs', () => monitors() !== '' && isMonitor(monitors()))
  const monitor = monitors()
  child.kill('SIGKILL')
  await eventually('it has ended', () => !isMonitor(monitor))
})

test('network: nothing stays behind', options, async () => {
  stop.abort()
  await running
  await world.filter.close()
  await world.teardown()
  assert.equal(await mustRun(node, ['nft', 'list', 'ruleset']), '')
  assert.deepEqual(
    (await mustRun(node, ['ip', '-o', 'link']))
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[1]!.split(/[@:]/)[0]),
    ['lo', 'eth0'],
  )
  assert.deepEqual(
    (await mustRun(node, ['ip', '-4', '-o', 'address']))
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/)[3]),
    ['127.0.0.1/8', `${NODE_IP}/30`],
  )
  assert.deepEqual(
    (await mustRun(node, ['ip', 'route']))
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[0]),
    ['default', '172.31.254.0/30'],
  )
  assert.deepEqual(readdirSync(join(world.directory, 'conf')), [])
  assert.equal(existsSync(join(world.directory, 'state')), false)
})
