/** An agent on a simulated node before a real API server, in virtual time. */
import type { TestContext } from 'node:test'
import type { Pod } from '../api/generated/core/v1.ts'
import { isServedByDefault, resources as infos } from '../api/resources.ts'
import { createLog, silentLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import type { KubeObject } from '../api/object.ts'
import type { Client } from '../client/client.ts'
import { createClient } from '../client/create-client.ts'
import { createApiServer } from '../server/api-server.ts'
import { createVirtualClock } from '../simulation/virtual-clock.ts'
import { defineResource } from '../server/resource.ts'
import { createMemoryStore } from '../store/memory.ts'
import { createNodeAgent } from './agent.ts'
import type { KubeletConfiguration } from './configuration.ts'
import type { ContainerRuntime } from './container-runtime.ts'
import { createSimulatedHost, type SimulatedHost, type SimulatedHostOptions } from './simulated/host.ts'
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

// oxlint-disable-next-line typescript/no-explicit-any -- a TokenRequest as the client sends it
type AnswerToken = (request: any) => KubeObject

export interface Differences {
  readonly configuration?: KubeletConfiguration
  host?(host: SimulatedHost): SimulatedHost
  containers?(containers: ContainerRuntime): ContainerRuntime
}

export async function start(
  t: TestContext,
  hostOptions: SimulatedHostOptions = {},
  answerToken?: AnswerToken,
  differences: Differences = {},
) {
  const clock = createVirtualClock(Date.parse('2026-01-01T00:00:00Z'))
  const runtime = { clock, random: seededRandom(1), log }
  const server = createApiServer(runtime, {
    store: createMemoryStore(),
    infos: infos.filter(isServedByDefault),
    resources: [pods],
    admission: [],
    nodeConnector: () => undefined,
  })
  const real = createClient(server.transport({ name: 'admin', groups: ['system:masters'] }))
  const client: Client = answerToken ? { ...real, createSubresource: async (_kind, _key, _subresource, body) => answerToken(body) } : real
  const stop = new AbortController()
  const serving = server.run(stop.signal)
  await clock.settle()
  const plainHost = createSimulatedHost(hostOptions)
  const host = differences.host?.(plainHost) ?? plainHost
  const plainContainers = createSimulatedRuntime(runtime, { host })
  const containers = differences.containers?.(plainContainers) ?? plainContainers
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
      ...(differences.configuration ? { configuration: differences.configuration } : {}),
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

export const podOf = (name: string, spec: Partial<Pod['spec'] & object> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: { nodeName: 'n1', restartPolicy: 'Always', containers: [{ name: 'main', image: 'nginx' }], ...spec },
})

export const eventsOf = async (client: Awaited<ReturnType<typeof start>>['client'], name: string): Promise<readonly string[]> =>
  (await client.list('v1/Event', { namespace: 'default' })).items
    .filter((event) => event.involvedObject.name === name)
    .map((event) => `${event.reason}: ${event.message}`)
