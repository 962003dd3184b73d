/** All built-in controllers against the real API server, each as its own account, in virtual time. */
import type { Pod } from '../api/generated/core/v1.ts'
import { isServedByDefault, resources as infos } from '../api/resources.ts'
import { isApiError } from '../api/status.ts'
import { timestamp } from '../base/clock.ts'
import { createLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import type { Client } from '../client/client.ts'
import { createClient } from '../client/create-client.ts'
import { createInformers } from '../client/informers.ts'
import { namespaceLifecycle } from '../server/admission/namespace-lifecycle.ts'
import { createApiServer } from '../server/api-server.ts'
import { createDiscoveryPaths } from '../server/discovery-paths.ts'
import { createServiceAllocator } from '../server/resources/core/service-allocator.ts'
import { resourcesWith } from '../server/resources/index.ts'
import { createVirtualClock } from '../simulation/virtual-clock.ts'
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

export interface ControllersTestOptions extends Partial<BuiltInControllersOptions> {
  readonly runPod?: RunPod
  /** What a controller's client becomes: to answer for parts that are not there. */
  readonly wrap?: (client: Client) => Client
}

export async function startControllers(
  t: { after(fn: () => Promise<void>): void },
  { runPod = keepsRunning, wrap = (client) => client, ...options }: ControllersTestOptions = {},
) {
  const clock = createVirtualClock()
  const problems: string[] = []
  const log = createLog(
    (level, message, fields) =>
      problems.push(`${level} ${message} ${String(fields['controller'])} ${String(fields['key'])} ${String(fields['error'])}`),
    'warn',
  )
  const random = seededRandom(7)
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
  const informers = createInformers(runtime, as('system:kube-controller-manager'))
  running.push(informers.run(stop.signal))
  for (const controller of builtInControllers({ rootCa: 'CA', ...options })) {
    const own = `system:serviceaccount:kube-system:${controller.component ?? `${controller.name}-controller`}`
    const account = controller.runsAsManager ? 'system:kube-controller-manager' : own
    running.push(runControllers(runtime, wrap(as(account)), [controller], stop.signal, { informers }))
  }
  const podInformer = informers.of('v1/Pod')
  const ignoreGone = (error: unknown) => isApiError(error, 'NotFound') || problems.push(String(error))
  podInformer.addHandlers({
    added(pod: Pod) {
      if (pod.status?.phase !== undefined && pod.status.phase !== 'Pending') return
      const ip = `10.0.0.${podInformer.cache.size}`
      admin
        .update('v1/Pod', { ...pod, status: { podIP: ip, podIPs: [{ ip }], ...runPod(pod, timestamp(clock)) } }, { subresource: 'status' })
        .catch(ignoreGone)
    },
    updated(pod) {
      if (pod.metadata?.deletionTimestamp)
        admin
          .delete('v1/Pod', { namespace: pod.metadata.namespace!, name: pod.metadata.name! }, { gracePeriodSeconds: 0 })
          .catch(ignoreGone)
    },
  })
  await clock.advance(1000)
  t.after(async () => {
    stop.abort()
    await clock.advance(0)
    await Promise.all(running)
  })
  return { clock, admin, problems }
}
