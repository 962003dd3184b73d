/**
 * The node agent with real containers: containerd by CRI, runc, CNI, cgroups, mounts. The API server is in memory. Needs root.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Container, Pod, PodSpec } from '../src/api/generated/core/v1.ts'
import { isServedByDefault, resources as infos } from '../src/api/resources.ts'
import { createLog } from '../src/base/log.ts'
import { systemClock, systemRandom } from '../src/base/system.ts'
import type { Client } from '../src/client/client.ts'
import { createClient } from '../src/client/create-client.ts'
import { createNodeAgent, type NodeAgent } from '../src/node/agent.ts'
import { startContainerd, type Containerd } from '../src/node/cri/containerd.ts'
import { loadImages } from '../src/node/cri/image-load.ts'
import { buildImageArchive } from '../src/node/cri/oci-image.ts'
import { ensurePauseImage, PAUSE_IMAGE } from '../src/node/cri/pause-image.ts'
import { createLinuxHost } from '../src/node/host/linux-host.ts'
import { mountsBelow, removeTree } from '../src/node/host/mounts.ts'
import { removeCgroup } from '../src/node/host/pod-cgroups.ts'
import { containerRuntimeConformance } from '../src/node/runtime-suite.ts'
import { createApiServer } from '../src/server/api-server.ts'
import { defineResource } from '../src/server/resource.ts'
import { createMemoryStore } from '../src/store/memory.ts'
import { command, noContainers } from './harness.ts'

const missing = noContainers() || (!existsSync('/bin/busybox') && 'needs /bin/busybox (apt-get install busybox-static)')
const options = { skip: missing, timeout: 120_000 }

const lines: string[] = []
const log = createLog((level, message, fields) =>
  lines.push(`${level} ${message} ${JSON.stringify(fields)} ${String(fields['error'] ?? '')}`),
)
const runtime = { clock: systemClock, random: systemRandom, log }
const BUSYBOX = 'proa.local/busybox:1'
const cgroupRoot = `/proa-test-${process.pid}`
const bridge = `proat${process.pid % 100_000}`
const subnet = `10.${100 + (process.pid % 100)}.77.0/24`
const stop = new AbortController()
let directory: string
let containerd: Containerd
let client: Client
let agent: NodeAgent
let agentStop: AbortController
let running: Promise<void>

/** What the agent needs of pods: selection by node, and deletion that waits for it. */
const pods = defineResource({
  group: '',
  version: 'v1',
  kind: 'Pod',
  hasGeneration: true,
  fieldSelectors: { 'spec.nodeName': (pod) => pod.spec?.nodeName ?? '' },
  gracePeriodSeconds: (pod, requested) => requested ?? pod.spec?.terminationGracePeriodSeconds ?? 30,
})

function startAgent(): void {
  agentStop = new AbortController()
  agent = createNodeAgent(runtime, {
    client,
    containers: containerd.cri,
    host: createLinuxHost({ dataDirectory: join(directory, 'kubelet') }),
    nodeName: 'n1',
    addresses: [{ type: 'InternalIP', address: '192.0.2.1' }],
    podCidr: subnet,
    clusterDns: ['10.96.0.10'],
    dataDirectory: join(directory, 'kubelet'),
    cgroupRoot,
  })
  running = agent.run(AbortSignal.any([stop.signal, agentStop.signal]))
}

before(async () => {
  if (missing) return
  directory = mkdtempSync(join(tmpdir(), 'proa-node-'))
  containerd = await startContainerd(runtime, { dataDirectory: directory, sandboxImage: PAUSE_IMAGE, cniBinDirectories: ['/usr/lib/cni'] })
  const network = {
    type: 'bridge',
    bridge,
    isGateway: true,
    ipMasq: false,
    ipam: { type: 'host-local', ranges: [[{ subnet }]], dataDir: join(directory, 'ipam') },
  }
  writeFileSync(
    join(containerd.cniConfigDirectory, '10-test.conflist'),
    JSON.stringify({ cniVersion: '0.4.0', name: bridge, plugins: [network, { type: 'loopback' }] }),
  )
  const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
  await ensurePauseImage(runtime, containerd.cri, { socket: containerd.socket, architecture })
  const applets = [
    'sh',
    'sleep',
    'cat',
    'echo',
    'hostname',
    'id',
    'ls',
    'dd',
    'tail',
    'httpd',
    'touch',
    'true',
    'mount',
    'grep',
    'wc',
    'ln',
    'rm',
    'mkdir',
    'trap',
    'date',
    'seq',
  ]
  const archive = await buildImageArchive([
    {
      name: BUSYBOX,
      architecture,
      config: { Cmd: ['sh'], Env: ['PATH=/bin'] },
      files: [
        { path: 'bin/busybox', type: 'file', data: readFileSync('/bin/busybox'), mode: 0o755 },
        ...applets.map((name) => ({ path: `bin/${name}`, type: 'symlink', target: 'busybox' }) as const),
        { path: 'tmp', type: 'directory', mode: 0o1777 },
      ],
    },
  ])
  await loadImages(runtime, containerd.cri, { socket: containerd.socket, archive })
  const server = createApiServer(runtime, {
    store: createMemoryStore(),
    infos: infos.filter(isServedByDefault),
    resources: [pods],
    admission: [],
    nodeConnector: () => undefined,
  })
  void server.run(stop.signal)
  await server.started
  client = createClient(server.transport({ name: 'admin', groups: ['system:masters'] }))
  startAgent()
  await agent.ready
})

after(async () => {
  if (missing) return
  stop.abort()
  await running
  await containerd.stop()
  await removeCgroup(cgroupRoot)
  await removeTree(join(directory, 'kubelet'))
  await command('ip', ['link', 'delete', bridge])
  rmSync(directory, { recursive: true, force: true })
  const problems = lines.filter((line) => line.startsWith('error'))
  assert.deepEqual(problems, [])
})

const main = (script: string, more: Partial<Container> = {}): Container => ({
  name: 'main',
  image: BUSYBOX,
  imagePullPolicy: 'Never',
  command: ['sh', '-c', script],
  ...more,
})

const create = (name: string, spec: Partial<PodSpec>, labels = {}): Promise<Pod> =>
  client.create('v1/Pod', {
    metadata: { name, namespace: 'default', labels },
    spec: { nodeName: 'n1', restartPolicy: 'Never', terminationGracePeriodSeconds: 5, dnsPolicy: 'ClusterFirst', ...spec } as PodSpec,
  })

const get = (name: string): Promise<Pod> => client.get('v1/Pod', { namespace: 'default', name })

async function until(name: string, isSo: (pod: Pod) => boolean, seconds = 20): Promise<Pod> {
  const end = Date.now() + seconds * 1000
  for (;;) {
    const pod = await get(name)
    if (isSo(pod)) return pod
    if (Date.now() >= end)
      lines.push(...(await client.list('v1/Event', { namespace: 'default' })).items.map(({ reason, message }) => `${reason}: ${message}`))
    assert.ok(Date.now() < end, `pod ${name} after ${seconds} s: ${JSON.stringify(pod.status, null, 1)}\n${lines.slice(-20).join('\n')}`)
    await delay(20)
  }
}

const isReady = (pod: Pod) => pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true
const hasEnded = (pod: Pod) => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
const refOf = (pod: Pod) => ({ namespace: 'default', name: pod.metadata!.name!, uid: pod.metadata!.uid! })

async function logsOf(pod: Pod, more = {}): Promise<string> {
  let text = ''
  for await (const chunk of await agent.service.logs(refOf(pod), { container: 'main', ...more }, stop.signal))
    text += new TextDecoder().decode(chunk)
  return text
}

async function gone(name: string): Promise<void> {
  const end = Date.now() + 20_000
  while (Date.now() < end) {
    try {
      await get(name)
    } catch {
      return
    }
    await delay(20)
  }
  assert.fail(`pod ${name} is still there: ${JSON.stringify(await get(name), null, 1)}`)
}

async function remove(...names: string[]): Promise<void> {
  await Promise.all(names.map((name) => client.delete('v1/Pod', { namespace: 'default', name })))
  await Promise.all(names.map(gone))
}

containerRuntimeConformance(
  'containerd',
  async () => {
    const logDirectory = join(directory, 'suite-logs')
    mkdirSync(logDirectory)
    return {
      containers: containerd.cri,
      image: BUSYBOX,
      logDirectory,
      cgroupParent: `${cgroupRoot}/suite`,
      readLog: async (path) => readFileSync(path, 'utf8'),
      pass: (ms) => delay(ms),
    }
  },
  { skip: missing },
)

test('a pod runs to its end: environment, host name, hosts, resolver, termination message', options, async () => {
  await create('whole', {
    hostname: 'box',
    subdomain: 'sub',
    containers: [
      main('echo "$GREETING $NODE"; hostname; cat /etc/hosts /etc/resolv.conf; echo -n finished > /dev/termination-log; exit 7', {
        env: [
          { name: 'GREETING', value: 'hello' },
          { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
        ],
      }),
    ],
  })
  const pod = await until('whole', hasEnded)
  const ended = pod.status?.containerStatuses?.[0]?.state?.terminated
  assert.equal(pod.status?.phase, 'Failed')
  assert.equal(ended?.exitCode, 7)
  assert.equal(ended.message, 'finished')
  const text = await logsOf(pod)
  assert.match(text, /^hello n1\nbox\n# Kubernetes-managed hosts file.\n/)
  assert.match(text, new RegExp(`${pod.status?.podIP}\tbox.sub.default.svc.cluster.local\tbox\n`))
  assert.match(text, /search default.svc.cluster.local svc.cluster.local cluster.local/)
  assert.match(text, /nameserver 10.96.0.10/)
  await remove('whole')
})

test('volumes: emptyDir shared, ConfigMap that changes, Secret in memory, subPath, fsGroup', options, async () => {
  await client.create('v1/ConfigMap', { metadata: { name: 'settings', namespace: 'default' }, data: { color: 'red' } })
  await client.create('v1/Secret', {
    metadata: { name: 'keys', namespace: 'default' },
    data: { key: Buffer.from('s3cret').toString('base64') },
  })
  await create('volumes', {
    securityContext: { fsGroup: 2000 },
    volumes: [
      { name: 'shared', emptyDir: {} },
      { name: 'ram', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
      { name: 'config', configMap: { name: 'settings' } },
      { name: 'secret', secret: { secretName: 'keys', defaultMode: 0o400 } },
    ],
    initContainers: [
      { ...main('mkdir -p /shared/a; echo deep > /shared/a/file'), name: 'init', volumeMounts: [{ name: 'shared', mountPath: '/shared' }] },
    ],
    containers: [
      main(
        'cat /part/file /secret/key; grep -c "/ram tmpfs" /proc/mounts; ls -ld /shared; while ! grep -q blue /config/color; do sleep 0.05; done; echo changed',
        {
          securityContext: { runAsUser: 1000 },
          volumeMounts: [
            { name: 'shared', mountPath: '/shared' },
            { name: 'shared', mountPath: '/part', subPath: 'a' },
            { name: 'shared', mountPath: '/made', subPath: 'new/dir' },
            { name: 'ram', mountPath: '/ram' },
            { name: 'config', mountPath: '/config' },
            { name: 'secret', mountPath: '/secret' },
          ],
        },
      ),
    ],
  })
  const pod = await until('volumes', (one) => one.status?.containerStatuses?.[0]?.state?.running !== undefined)
  await client.patch('v1/ConfigMap', { namespace: 'default', name: 'settings' }, 'merge', { data: { color: 'blue' } })
  await until('volumes', hasEnded)
  assert.match(await logsOf(pod), /^deep\ns3cret1\ndrwxrws.* 0 +2000 .*\/shared\nchanged\n$/)
  await remove('volumes')
  assert.deepEqual(await mountsBelow(join(directory, 'kubelet', 'pods')), [])
})

test('a subPath that is a link out of the volume is refused', options, async () => {
  await create('escape', {
    volumes: [{ name: 'shared', emptyDir: {} }],
    initContainers: [{ ...main('ln -s /etc /shared/link'), name: 'init', volumeMounts: [{ name: 'shared', mountPath: '/shared' }] }],
    containers: [main('cat /etc2/shadow', { volumeMounts: [{ name: 'shared', mountPath: '/etc2', subPath: 'link' }] })],
  })
  const pod = await until('escape', (one) => one.status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CreateContainerConfigError')
  assert.equal(
    pod.status?.containerStatuses?.[0]?.state?.waiting?.message,
    'failed to prepare subPath for volumeMount "shared" of container "main"',
  )
  await remove('escape')
})

test('probes, hooks, exec, and a graceful end', options, async () => {
  await create('served', {
    restartPolicy: 'Always',
    containers: [
      main(
        'trap "echo terminated; exit 0" TERM; mkdir /www; echo fine > /www/index.html; httpd -p 8080 -h /www; sleep 0.3; touch /tmp/ready; while true; do sleep 0.1; done',
        {
          ports: [{ name: 'web', containerPort: 8080 }],
          startupProbe: { exec: { command: ['cat', '/tmp/ready'] }, periodSeconds: 1, failureThreshold: 30 },
          readinessProbe: { httpGet: { port: 'web', path: '/index.html' }, periodSeconds: 1 },
          livenessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
          lifecycle: {
            postStart: { exec: { command: ['touch', '/tmp/started'] } },
            preStop: { exec: { command: ['sh', '-c', 'echo stopping > /proc/1/fd/1'] } },
          },
        },
      ),
    ],
  })
  const pod = await until('served', isReady)
  let output = ''
  const stdout = new WritableStream<Uint8Array>({ write: (chunk) => void (output += new TextDecoder().decode(chunk)) })
  const stdin = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('from outside'))
      controller.close()
    },
  })
  const outcome = await agent.service.exec(
    refOf(pod),
    { container: 'main', command: ['sh', '-c', 'ls /tmp/started; cat; exit 3'], tty: false },
    { stdin, stdout, signal: stop.signal },
  )
  assert.deepEqual(outcome, { exitCode: 3 })
  assert.equal(output, '/tmp/started\nfrom outside')
  const followed = logsOf(pod, { follow: true })
  await remove('served')
  assert.equal(await followed, 'stopping\nterminated\n')
})

test('memory beyond the limit kills, and is told as such', options, async () => {
  await create('greedy', {
    containers: [main('x=a; while true; do x=$x$x; done', { resources: { limits: { memory: '32Mi', cpu: '500m' } } })],
  })
  const pod = await until('greedy', hasEnded)
  assert.equal(pod.status?.containerStatuses?.[0]?.state?.terminated?.reason, 'OOMKilled')
  assert.equal(pod.status.containerStatuses[0].state.terminated.exitCode, 137)
  await remove('greedy')
})

test('a running container gets other limits, and its pod room for them', options, async () => {
  const resources = { requests: { cpu: '50m', memory: '32Mi' }, limits: { cpu: '100m', memory: '32Mi' } }
  await create('resized', { containers: [main('sleep 1000', { resources })] })
  const pod = await until('resized', isReady)
  const more = { requests: { cpu: '100m', memory: '64Mi' }, limits: { cpu: '200m', memory: '64Mi' } }
  await client.patch('v1/Pod', { namespace: 'default', name: 'resized' }, 'strategic', {
    spec: { containers: [{ name: 'main', resources: more }] },
  })
  await until('resized', (one) => one.status?.containerStatuses?.[0]?.resources?.limits?.['memory'] === '64Mi')
  let output = ''
  const stdout = new WritableStream<Uint8Array>({ write: (chunk) => void (output += new TextDecoder().decode(chunk)) })
  const files = existsSync('/sys/fs/cgroup/cgroup.controllers')
    ? ['memory.max', 'cpu.max']
    : ['memory/memory.limit_in_bytes', 'cpu/cpu.cfs_quota_us', 'cpu/cpu.shares']
  await agent.service.exec(
    refOf(pod),
    { container: 'main', command: ['cat', ...files.map((file) => `/sys/fs/cgroup/${file}`)], tty: false },
    { stdout, signal: stop.signal },
  )
  assert.equal(output, files.length === 2 ? '67108864\n20000 100000\n' : '67108864\n20000\n102\n')
  if (files.length === 3)
    assert.equal(
      readFileSync(`/sys/fs/cgroup/memory${cgroupRoot}/kubepods/burstable/pod${pod.metadata?.uid}/memory.limit_in_bytes`, 'utf8'),
      '67108864\n',
    )
  await client.patch('v1/Pod', { namespace: 'default', name: 'resized' }, 'strategic', {
    spec: { containers: [{ name: 'main', resources }] },
  })
  const back = await until('resized', (one) => one.status?.containerStatuses?.[0]?.resources?.limits?.['memory'] === '32Mi')
  assert.equal(back.status?.containerStatuses?.[0]?.restartCount, 0)
  await remove('resized')
})

test('a restarted agent adopts what runs and reports what ended', options, async () => {
  await create('stays', { containers: [main('sleep 1000')], restartPolicy: 'Always' })
  await create('ends', { containers: [main('sleep 1; exit 4')] })
  const before = await until('stays', isReady)
  await until('ends', (pod) => pod.status?.phase === 'Running')
  agentStop.abort()
  await running
  await delay(1200)
  startAgent()
  await agent.ready
  const ended = await until('ends', hasEnded)
  assert.equal(ended.status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 4)
  const after = await get('stays')
  assert.equal(after.status?.containerStatuses?.[0]?.containerID, before.status?.containerStatuses?.[0]?.containerID)
  assert.equal(after.status?.containerStatuses?.[0]?.restartCount, 0)
  await remove('stays', 'ends')
})

test('thirty pods start together, and leave nothing behind', options, async (t) => {
  const names = Array.from({ length: 30 }, (_, index) => `many-${index}`)
  const start = Date.now()
  for (const name of names) await create(name, { containers: [main('sleep 1000')], terminationGracePeriodSeconds: 1 })
  await Promise.all(names.map((name) => until(name, isReady, 60)))
  t.diagnostic(`30 pods ready after ${Date.now() - start} ms`)
  const ending = Date.now()
  await remove(...names)
  t.diagnostic(`30 pods gone after ${Date.now() - ending} ms`)
  const end = Date.now() + 5000
  while ((await containerd.cri.listPodSandboxes()).length > 0 && Date.now() < end) await delay(50)
  assert.deepEqual(await containerd.cri.listPodSandboxes(), [])
  assert.equal(
    existsSync(`/sys/fs/cgroup/memory${cgroupRoot}/kubepods`)
      ? (await command('find', [`/sys/fs/cgroup/memory${cgroupRoot}/kubepods`, '-name', 'pod*'])).stdout
      : '',
    '',
  )
  assert.deepEqual(await createLinuxHost({ dataDirectory: directory }).listDirectory(join(directory, 'kubelet', 'pods')), [])
})
