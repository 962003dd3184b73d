import assert from 'node:assert/strict'
import { mkdtempSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { request as send } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Pod } from '../../api/generated/core/v1.ts'
import type { ExecStreams, LogOptions, NodeService, PodRef } from '../../api/node-service.ts'
import { badRequest } from '../../api/status.ts'
import { silentLog } from '../../base/log.ts'
import { seededRandom } from '../../base/random.ts'
import { systemClock } from '../../base/system.ts'
import { createAuthority, issueCertificate, type KeyPair } from '../../cluster/certificates.ts'
import { createCounters } from '../../node/counters.ts'
import type { Measurement } from '../../node/usage.ts'
import { createKubeletServer, type KubeletServer } from '../../node/http/kubelet-server.ts'
import { createOutgoing } from './outgoing.ts'
import { createRemoteNode } from './remote-node.ts'

const runtime = { clock: systemClock, random: seededRandom(1), log: silentLog }
const pod: PodRef = { namespace: 'default', name: 'a', uid: 'u-1' }
const pods = [
  {
    metadata: { ...pod },
    spec: { containers: [] },
    status: { containerStatuses: [{ name: 'c', state: { running: { startedAt: '2026-01-01T00:00:00Z' } } }] },
  },
] as unknown as Pod[]
const labels = {
  'io.kubernetes.pod.name': 'a',
  'io.kubernetes.pod.namespace': 'default',
  'io.kubernetes.pod.uid': 'u-1',
  'io.kubernetes.container.name': 'c',
}
const encoder = new TextEncoder()
const signal = new AbortController().signal
const directory = mkdtempSync(join(tmpdir(), 'proa-kubelet-'))
const outgoing = createOutgoing(runtime)
const seen: LogOptions[] = []
const changes: string[] = []

/** A container that echoes: what it reads it writes, and it ends as its command says. */
const service: NodeService = {
  async logs(asked, options) {
    assert.deepEqual(asked, pod)
    seen.push(options)
    if (options.container === 'none') throw badRequest('container "none" in pod "a" is not available')
    return (async function* () {
      yield encoder.encode('one\n')
      yield encoder.encode('two\n')
    })()
  },
  async exec(asked, { container, command, tty }, { stdin, stdout, stderr, resize }) {
    assert.deepEqual([asked, container], [pod, 'c'])
    if (stdin && stdout) await stdin.pipeTo(stdout)
    if (tty && resize) assert.deepEqual((await resize.getReader().read()).value, { width: 80, height: 24 })
    if (stderr) {
      const writer = stderr.getWriter()
      await writer.write(encoder.encode('oops'))
      await writer.close()
    }
    return { exitCode: Number(command[1]) }
  },
  async attach() {
    return { error: 'nothing runs' }
  },
  async portForward(_pod, port, { readable, writable }) {
    if (port === 1) throw new Error('connection refused')
    await readable.pipeTo(writable)
  },
}

const counters = createCounters()
const atMs = 1_700_000_000_000
const measurement: Measurement = {
  atMs,
  windowMs: 1000,
  cpuNanoCores: new Map([
    ['', 2e9],
    ['x', 250_000_000],
  ]),
  machine: {
    atMs,
    cpuNanoseconds: 7e9,
    workingSetBytes: 8192,
    availableBytes: 1024,
    rssBytes: 0,
    pageFaults: 0,
    majorPageFaults: 0,
    interfaces: [{ name: 'eth0', rxBytes: 1, rxErrors: 0, txBytes: 2, txErrors: 0 }],
    nodeFs: { capacityBytes: 100, availableBytes: 40, usedBytes: 60, inodes: 10, inodesFree: 4 },
    processes: { current: 5, max: 99 },
  },
  imageFs: { mountpoint: '/', usedBytes: 30, inodesUsed: 3 },
  networks: [{ sandboxId: 's', labels, interfaces: [{ name: 'eth0', rxBytes: 11, rxErrors: 0, txBytes: 12, txErrors: 0 }] }],
  containers: [
    { id: 'x', labels, atMs, cpuNanoseconds: 1_500_000_000, workingSetBytes: 4096, writableLayer: { usedBytes: 20, inodesUsed: 2 } },
  ],
}

let measured = measurement
let server: KubeletServer
let authority: KeyPair
let client: KeyPair
let other: KeyPair

before(async () => {
  authority = await createAuthority(runtime.clock, 'test')
  const own = await issueCertificate(runtime.clock, authority, { commonName: 'system:node:n', usage: 'server', hosts: ['127.0.0.1'] })
  client = await issueCertificate(runtime.clock, authority, { commonName: 'api', usage: 'client' })
  other = await issueCertificate(runtime.clock, authority, { commonName: 'other', usage: 'client' })
  const logs = join(directory, 'logs')
  mkdirSync(join(logs, 'pods'), { recursive: true })
  writeFileSync(join(logs, 'pods', 'a&b.log'), 'written')
  writeFileSync(join(directory, 'secret'), 'secret')
  symlinkSync(join(directory, 'secret'), join(logs, 'out'))
  server = await createKubeletServer(runtime, {
    service: () => service,
    pods: () => pods,
    host: '127.0.0.1',
    port: 0,
    ...own,
    clientCa: authority.cert,
    clients: ['api'],
    logsDirectory: logs,
    nodeName: 'n',
    meter: () => ({ measure: async () => measured }),
    counters: () => counters,
    volumes: {
      make: async (name) => void changes.push(`make ${name}`),
      remove: async (name) => void changes.push(`remove ${name}`),
    },
    facts: async () => ({ cpuCount: 2, memoryBytes: 4096 }),
    configuration: { clusterDomain: 'cluster.local' },
  })
})

after(async () => {
  outgoing.close()
  await server.close()
  rmSync(directory, { recursive: true })
})

const node = (pair: KeyPair = client, ca = authority.cert): NodeService =>
  createRemoteNode({ host: '127.0.0.1', port: server.port }, { outgoing, tls: { ...pair, ca } })

function get(path: string, pair?: KeyPair, method = 'GET'): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    send({ host: '127.0.0.1', port: server.port, path, method, ca: authority.cert, agent: false, ...pair }, (answer) => {
      let text = ''
      answer.on('data', (chunk) => (text += chunk))
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }))
    })
      .on('error', reject)
      .end()
  })
}

async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of chunks) text += decoder.decode(chunk, { stream: true })
  return text
}

const source = (text: string) => new Blob([text]).stream() as ReadableStream<Uint8Array>

function collector(): { readonly stream: WritableStream<Uint8Array>; text(): string } {
  const chunks: Uint8Array[] = []
  return { stream: new WritableStream({ write: (chunk) => void chunks.push(chunk.slice()) }), text: () => Buffer.concat(chunks).toString() }
}

test('logs come with their options; a refusal comes with its code', async () => {
  assert.equal(await textOf(await node().logs(pod, { container: 'c', follow: true, tailLines: 5, stream: 'Stdout' }, signal)), 'one\ntwo\n')
  assert.deepEqual(seen.at(-1), { container: 'c', follow: true, previous: false, timestamps: false, stream: 'Stdout', tailLines: 5 })
  await assert.rejects(node().logs(pod, { container: 'none' }, signal), {
    code: 400,
    message: 'container "none" in pod "a" is not available',
  })
  await assert.rejects(node().logs({ ...pod, name: 'b' }, { container: 'c' }, signal), { code: 404, message: 'pod "b" does not exist' })
})

test('a command: large input and output, stderr, exit codes, a terminal', async () => {
  const text = 'x'.repeat(2_000_000)
  const [out, err] = [collector(), collector()]
  const streams: ExecStreams = { stdin: source(text), stdout: out.stream, stderr: err.stream, signal }
  assert.deepEqual(await node().exec(pod, { container: 'c', command: ['exit', '3'], tty: false }, streams), { exitCode: 3 })
  assert.ok(out.text() === text)
  assert.equal(err.text(), 'oops')
  const resize = new ReadableStream({ start: (controller) => controller.enqueue({ width: 80, height: 24 }) })
  const terminal = { stdout: collector().stream, resize, signal }
  assert.deepEqual(await node().exec(pod, { container: 'c', command: ['exit', '0'], tty: true }, terminal), { exitCode: 0 })
  const attached = await node().attach(pod, { container: 'c', tty: false }, { stdout: collector().stream, signal })
  assert.deepEqual(attached, { error: 'nothing runs' })
  await assert.rejects(
    node().exec({ ...pod, uid: 'u-2' }, { container: 'c', command: ['x'], tty: false }, { stdout: out.stream, signal }),
    {
      code: 404,
      message: 'pod does not exist',
    },
  )
})

test('a forwarded port, and one that nobody listens at', async () => {
  const out = collector()
  await node().portForward(pod, 80, { readable: source('ping'), writable: out.stream }, signal)
  assert.equal(out.text(), 'ping')
  await assert.rejects(node().portForward(pod, 1, { readable: source(''), writable: collector().stream }, signal), /connection refused/)
})

test('only those that are let in come in, and only to the right server', async () => {
  assert.deepEqual(await get('/healthz'), { status: 401, text: 'Unauthorized' })
  assert.equal((await get('/pods', other)).status, 403)
  await assert.rejects(node(other).logs(pod, { container: 'c' }, signal), { message: /Forbidden \(user=other, verb=get/ })
  await assert.rejects(node(other).exec(pod, { container: 'c', command: ['x'], tty: false }, { stdout: collector().stream, signal }), {
    message: /Forbidden \(user=other, verb=create/,
  })
  const stranger = await createAuthority(runtime.clock, 'stranger')
  await assert.rejects(node(client, stranger.cert).logs(pod, { container: 'c' }, signal), {
    code: 500,
    message: /^error dialing backend: /,
  })
})

test('health, pods, configuration and log files', async () => {
  assert.deepEqual(await get('/healthz', client), { status: 200, text: 'ok' })
  assert.equal(JSON.parse((await get('/pods', client)).text).items[0].metadata.name, 'a')
  assert.deepEqual(JSON.parse((await get('/configz', client)).text), { kubeletconfig: { clusterDomain: 'cluster.local' } })
  assert.match((await get('/logs/', client)).text, /<a href="pods\/">pods\/<\/a>/)
  assert.match((await get('/logs/pods/', client)).text, /<a href="a&amp;b.log">a&amp;b.log<\/a>|<a href="a&b.log">a&amp;b.log<\/a>/)
  assert.deepEqual(await get('/logs/pods/a%26b.log', client), { status: 200, text: 'written' })
  for (const path of ['/logs/out', '/logs/../secret', '/logs/%2e%2e/secret', '/logs/none', '/logs/pods/a%00', '/elsewhere'])
    assert.equal((await get(path, client)).status, 404, path)
})

test('what the node and its containers use', async () => {
  const { status, text } = await get('/metrics/resource', client)
  assert.equal(status, 200)
  assert.match(text, /^container_cpu_usage_seconds_total\{container="c",namespace="default",pod="a"\} 1.5 1700000000000$/m)
  assert.match(text, /^pod_memory_working_set_bytes\{namespace="default",pod="a"\} 4096 1700000000000$/m)
  assert.match(text, /^container_start_time_seconds\{container="c",namespace="default",pod="a"\} 1767225600$/m)
  assert.match(text, /^node_cpu_usage_seconds_total 7 1700000000000$/m)
  assert.match(text, /^resource_scrape_error 0$/m)
  const summary = JSON.parse((await get('/stats/summary', client)).text)
  assert.deepEqual([summary.node.nodeName, summary.node.memory.workingSetBytes, summary.node.fs.availableBytes], ['n', 8192, 40])
  assert.deepEqual(summary.node.runtime.imageFs.usedBytes, 30)
  assert.deepEqual(summary.node.rlimit, { time: '2023-11-14T22:13:20.000Z', maxpid: 99, curproc: 5 })
  const [own] = summary.pods
  assert.deepEqual(own.podRef, { name: 'a', namespace: 'default', uid: 'u-1' })
  assert.deepEqual([own.network.rxBytes, own['ephemeral-storage'].usedBytes, own.cpu.usageNanoCores], [11, 20, 250_000_000])
  assert.equal(own.containers[0].cpu.usageCoreNanoSeconds, 1_500_000_000)
})

test('the API server sums the same up for the metrics API', async () => {
  assert.deepEqual(await node().usage!(signal), {
    atMs,
    windowMs: 10_000,
    node: { cpuNanoCores: 2e9, workingSetBytes: 8192 },
    pods: [{ namespace: 'default', name: 'a', containers: [{ name: 'c', cpuNanoCores: 250_000_000, workingSetBytes: 4096 }] }],
  })

  // A node with many containers tells more than fits into one message.
  const many = Array.from({ length: 1000 }, (_, i) => ({ ...measurement.containers[0]!, id: `x-${i}` }))
  measured = { ...measurement, containers: many }
  assert.equal((await node().usage!(signal)).pods[0]?.containers.length, 1000)
  measured = measurement
})

test('metrics of containers, of probes and of the agent', async () => {
  const cadvisor = await get('/metrics/cadvisor', client)
  const inner = 'id="/x",image="",name="x",namespace="default",pod="a"'
  assert.ok(cadvisor.text.includes(`container_cpu_usage_seconds_total{container="c",cpu="total",${inner}} 1.5 1700000000000\n`))
  assert.ok(
    cadvisor.text.includes(
      `container_network_receive_bytes_total{container="",image="",interface="eth0",namespace="default",pod="a"} 11\n`,
    ),
  )
  assert.match(cadvisor.text, /^machine_cpu_cores 2$/m)
  counters.increment('prober_probe_total', { container: 'c', pod_uid: 'u-1', result: 'failed' })
  counters.increment('prober_probe_total', { container: 'c', pod_uid: 'u-1', result: 'failed' })
  assert.match((await get('/metrics/probes', client)).text, /^prober_probe_total\{container="c",pod_uid="u-1",result="failed"\} 2$/m)
  counters.forgetPod('u-1')
  assert.equal((await get('/metrics/probes', client)).text, '')
  const own = (await get('/metrics', client)).text
  assert.match(own, /^kubelet_node_name\{node="n"\} 1$/m)
  assert.match(own, /^process_resident_memory_bytes \d+$/m)
  assert.equal((await get('/metrics/none', client)).status, 404)
})

test('volumes: made and removed by name for whom the node lets in', async () => {
  const path = '/proa/volumes/pvc-0123-abcd'
  const answers: readonly (readonly [string, string, KeyPair, number])[] = [
    ['PUT', path, client, 200],
    ['DELETE', path, client, 200],
    ['POST', path, client, 405],
    ['PUT', path, other, 403],
    ['PUT', '/proa/volumes/..', client, 404],
    ['DELETE', '/proa/volumes/pvc-a%2f..', client, 404],
    ['DELETE', '/proa/volumes/', client, 404],
  ]
  for (const [method, asked, pair, status] of answers) assert.equal((await get(asked, pair, method)).status, status, `${method} ${asked}`)
  assert.deepEqual(changes, ['make pvc-0123-abcd', 'remove pvc-0123-abcd'])
})
