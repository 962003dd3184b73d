/** All built-in controllers against the real API server, each as its own account, in virtual time. */
import assert from 'node:assert/strict'
import type { Pod } from '../api/generated/core/v1.ts'
import { isServedByDefault, resources as infos } from '../api/resources.ts'
import { isApiError } from '../api/status.ts'
import { microTimestamp, timestamp } from '../base/clock.ts'
import type { Clock } from '../base/clock.ts'
import { createLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import type { Client } from '../client/client.ts'
import { createClient } from '../client/create-client.ts'
import { createInformer } from '../client/informer.ts'
import type { Informer } from '../client/informer.ts'
import { createInformers } from '../client/informers.ts'
import { namespaceLifecycle } from '../server/admission/namespace-lifecycle.ts'
import { createApiServer } from '../server/api-server.ts'
import { createDiscoveryPaths } from '../server/discovery-paths.ts'
import { createServiceAllocator } from '../server/resources/core/service-allocator.ts'
import { resourcesWith } from '../server/resources/index.ts'
import { createVirtualClock, type VirtualClock } from '../simulation/virtual-clock.ts'
import { createMemoryStore } from '../store/memory.ts'
import type { BuiltInControllersOptions } from './index.ts'
import { builtInControllers } from './index.ts'
import { runControllers } from './run.ts'

/** What becomes of a pod when it is run. */
export type RunPod = (pod: Pod, now: string) => NonNullable<Pod['status']>
export const keepsRunning: RunPod = (_, now) => ({
  phase: 'Running',
  conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: now }],
})
export const ends =
  (phaseOf: (pod: Pod) => 'Succeeded' | 'Failed'): RunPod =>
  (pod, now) => ({ phase: phaseOf(pod), conditions: [{ type: 'Ready', status: 'False', lastTransitionTime: now }] })

/** What is under way when controllers end may wait for timers. */
const END_MS = 60_000

type Wrap = (client: Client) => Client

export interface ControllersTestOptions extends Partial<BuiltInControllersOptions> {
  readonly runPod?: RunPod
  /** What a controller's client becomes: to answer for parts that are not there. */
  readonly wrap?: Wrap
  readonly seed?: number
}

/** The controllers are killed and started anew while the API server stays. */
export interface Life {
  /** Ends them where they are. */
  end(): Promise<void>
}

interface TestContext {
  after(fn: () => Promise<void>): void
}

async function passUntil(clock: VirtualClock, end: Promise<unknown>): Promise<void> {
  let isDone = false
  const settle = () => void (isDone = true)
  end.then(settle, settle)
  assert.ok(await clock.until(() => isDone, END_MS), 'it does not end')
  await end
}

/** An API server in virtual time, somebody who runs the pods, and controllers as often as they are started. */
export async function startApi(t: TestContext, { runPod = keepsRunning, seed = 7, ...options }: Omit<ControllersTestOptions, 'wrap'> = {}) {
  const clock = createVirtualClock()
  const problems: string[] = []
  const log = createLog(
    (level, message, fields) =>
      problems.push(`${level} ${message} ${String(fields['controller'])} ${String(fields['key'])} ${String(fields['error'])}`),
    'warn',
  )
  const random = seededRandom(seed)
  const runtime = { clock, random, log }
  const served = infos.filter(isServedByDefault)
  const server = createApiServer(runtime, {
    store: createMemoryStore(),
    infos: served,
    resources: resourcesWith(createServiceAllocator({ cidr: '10.96.0.0/16', random })),
    admission: [namespaceLifecycle],
    nodeConnector: () => undefined,
    paths: [createDiscoveryPaths({ resources: () => served, onChange: () => {}, serverAddress: 'localhost:6443' })],
  })
  const stop = new AbortController()
  const running: Promise<void>[] = [server.run(stop.signal)]
  await clock.settle()
  await server.started
  const as = (name: string) =>
    createClient(
      server.transport({
        name,
        groups: name.startsWith('system:serviceaccount:') ? ['system:serviceaccounts'] : name === 'admin' ? ['system:masters'] : [],
      }),
    )
  const admin = as('admin')
  const pods = createInformer(runtime, admin, 'v1/Pod')
  runPods(admin, pods, clock, runPod, problems)
  running.push(pods.run(stop.signal))

  function live(wrap: Wrap = (client) => client): Life {
    const end = new AbortController()
    const signal = AbortSignal.any([end.signal, stop.signal])
    const informers = createInformers(runtime, as('system:kube-controller-manager'))
    const parts = builtInControllers({ rootCa: 'CA', ...options }).map((controller) => {
      const own = `system:serviceaccount:kube-system:${controller.component ?? `${controller.name}-controller`}`
      const account = controller.runsAsManager ? 'system:kube-controller-manager' : own
      return runControllers(runtime, wrap(as(account)), [controller], signal, { informers })
    })
    const done = Promise.all([informers.run(signal), ...parts])
    running.push(done.then(() => undefined))
    return {
      async end() {
        end.abort()
        await passUntil(clock, done)
      },
    }
  }

  t.after(async () => {
    stop.abort()
    await passUntil(clock, Promise.all(running))
  })
  return { clock, random, admin, pods, problems, live }
}

/** Stands in for nodes: pods run as soon as they are there, and go as soon as they are deleted. */
function runPods(admin: Client, pods: Informer<Pod>, clock: Clock, runPod: RunPod, problems: string[]): void {
  const ignoreGone = (error: unknown) => isApiError(error, 'NotFound') || problems.push(String(error))
  const end = ({ metadata }: Pod): void => {
    admin.delete('v1/Pod', { namespace: metadata!.namespace!, name: metadata!.name! }, { gracePeriodSeconds: 0 }).catch(ignoreGone)
  }
  pods.addHandlers({
    added(pod) {
      if (pod.metadata?.deletionTimestamp) return end(pod)
      if (pod.status?.phase !== undefined && pod.status.phase !== 'Pending') return
      const ip = `10.0.${Math.floor(pods.cache.size / 250)}.${pods.cache.size % 250}`
      admin
        .update('v1/Pod', { ...pod, status: { podIP: ip, podIPs: [{ ip }], ...runPod(pod, timestamp(clock)) } }, { subresource: 'status' })
        .catch(ignoreGone)
    },
    updated(pod, old) {
      if (pod.metadata?.deletionTimestamp && !old.metadata?.deletionTimestamp) end(pod)
    },
  })
}

export async function startControllers(t: TestContext, { wrap, ...options }: ControllersTestOptions = {}) {
  const api = await startApi(t, options)
  api.live(wrap)
  await api.clock.advance(1000)
  return api
}

export type Api = Awaited<ReturnType<typeof startApi>>

/** Two nodes that are well for as long as the test goes on. */
export async function createNodes({ admin, clock }: Api): Promise<void> {
  const conditions = [{ type: 'Ready', status: 'True', reason: 'KubeletReady' }]
  const namespace = 'kube-node-lease'
  await admin.create('v1/Namespace', { metadata: { name: namespace } })
  for (const name of ['n1', 'n2']) {
    const made = await admin.create('v1/Node', { metadata: { name } })
    await admin.update('v1/Node', { ...made, status: { conditions, allocatable: { pods: '110' } } }, { subresource: 'status' })
    await admin.create('coordination.k8s.io/v1/Lease', { metadata: { namespace, name }, spec: { renewTime: microTimestamp(clock) } })
    const beat = (): void => {
      clock.setTimeout(beat, 20_000)
      void admin.patch('coordination.k8s.io/v1/Lease', { namespace, name }, 'merge', { spec: { renewTime: microTimestamp(clock) } })
    }
    beat()
  }
}
