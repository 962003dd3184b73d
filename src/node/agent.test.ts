import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Pod } from '../api/generated/core/v1.ts'
import { isServedByDefault, resources as infos } from '../api/resources.ts'
import { createLog, silentLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { createClient } from '../client/create-client.ts'
import { createApiServer } from '../server/api-server.ts'
import { createVirtualClock } from '../simulation/virtual-clock.ts'
import { defineResource } from '../server/resource.ts'
import { createMemoryStore } from '../store/memory.ts'
import { createNodeAgent } from './agent.ts'
import { createSimulatedHost } from './simulated/host.ts'
import { createSimulatedRuntime } from './simulated/runtime.ts'

const log = process.env['DEBUG'] ? createLog((level, message, fields) => console.log(level, message, fields), 'debug') : silentLog

/** What the agent needs of pods: selection by node, and deletion that waits for it. */
const pods = defineResource({
  group: '',
  version: 'v1',
  kind: 'Pod',
  hasGeneration: true,
  fieldSelectors: { 'spec.nodeName': (pod) => pod.spec?.nodeName ?? '' },
  gracePeriodSeconds: (pod, requested) => requested ?? pod.spec?.terminationGracePeriodSeconds ?? 30,
})

async function start(t: TestContext) {
  const clock = createVirtualClock(Date.parse('2026-01-01T00:00:00Z'))
  const runtime = { clock, random: seededRandom(1), log }
  const server = createApiServer(runtime, {
    store: createMemoryStore(),
    infos: infos.filter(isServedByDefault),
    resources: [pods],
    admission: [],
    nodeConnector: () => undefined,
  })
  const client = createClient(server.transport({ name: 'admin', groups: ['system:masters'] }))
  const stop = new AbortController()
  const serving = server.run(stop.signal)
  await clock.settle()
  const host = createSimulatedHost()
  const containers = createSimulatedRuntime(runtime, { host })
  const makeAgent = () =>
    createNodeAgent(runtime, {
      client,
      containers,
      host,
      nodeName: 'n1',
      addresses: [{ type: 'InternalIP', address: '192.168.0.1' }],
      podCidr: '10.244.1.0/24',
      clusterDns: ['10.96.0.10'],
      dataDirectory: '/data',
    })
  const agent = makeAgent()
  const agentStop = new AbortController()
  const running = agent.run(agentStop.signal)
  await clock.settle()
  t.after(async () => {
    agentStop.abort()
    stop.abort()
    await clock.advance(1000)
    await Promise.all([running, serving])
  })
  const pod = (name: string) => client.get('v1/Pod', { namespace: 'default', name })
  return { clock, client, host, containers, agent, makeAgent, agentStop, running, pod, stop }
}

const podOf = (name: string, spec: Partial<Pod['spec'] & object> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: { nodeName: 'n1', restartPolicy: 'Always', containers: [{ name: 'main', image: 'nginx' }], ...spec },
})

test('a node registers and becomes ready', async (t) => {
  const { client, clock } = await start(t)
  const node = await client.get('v1/Node', { name: 'n1' })
  assert.equal(node.status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'True')
  assert.equal(node.metadata?.labels?.['kubernetes.io/hostname'], 'n1')
  await clock.advance(25_000)
  const lease = await client.get('coordination.k8s.io/v1/Lease', { namespace: 'kube-node-lease', name: 'n1' })
  assert.equal(lease.spec?.renewTime, '2026-01-01T00:00:20.000000Z')
})

test('a pod becomes ready without time passing', async (t) => {
  const { client, clock, pod } = await start(t)
  await client.create('v1/Pod', podOf('a'))
  await clock.settle()
  const { status } = await pod('a')
  assert.equal(status?.phase, 'Running', JSON.stringify(status, null, 1))
  assert.equal(status?.podIP, '10.244.1.2')
  assert.equal(status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'True')
  assert.match(status?.containerStatuses?.[0]?.containerID ?? '', /^simulated:\/\//)
})
