/** All built-in controllers against the real API server, each as its own account, in virtual time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Deployment } from '../api/generated/apps/v1.ts'
import type { Pod } from '../api/generated/core/v1.ts'
import { isServedByDefault, resources as infos } from '../api/resources.ts'
import { isApiError } from '../api/status.ts'
import { timestamp } from '../base/clock.ts'
import { createLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { createClient } from '../client/create-client.ts'
import { createInformers } from '../client/informers.ts'
import { namespaceLifecycle } from '../server/admission/namespace-lifecycle.ts'
import { createApiServer } from '../server/api-server.ts'
import { createDiscoveryPaths } from '../server/discovery-paths.ts'
import { deployments } from '../server/resources/apps/deployment.ts'
import { replicaSets } from '../server/resources/apps/replica-set.ts'
import { namespaces } from '../server/resources/core/namespace.ts'
import { nodes } from '../server/resources/core/node.ts'
import { pods } from '../server/resources/core/pod.ts'
import { createVirtualClock } from '../simulation/virtual-clock.ts'
import { createMemoryStore } from '../store/memory.ts'
import { builtInControllers } from './index.ts'
import { runControllers } from './run.ts'

async function startCluster(t: { after(fn: () => Promise<void>): void }) {
  const clock = createVirtualClock()
  const problems: string[] = []
  const log = createLog((level, message, fields) => problems.push(`${level} ${message} ${fields['controller']} ${fields['key']} ${String(fields['error'])}`), 'warn')
  const runtime = { clock, random: seededRandom(7), log }
  const served = infos.filter(isServedByDefault)
  const server = createApiServer(runtime, { store: createMemoryStore(), infos: served, resources: [namespaces, pods, nodes, deployments, replicaSets], admission: [namespaceLifecycle], nodeConnector: () => undefined, paths: [createDiscoveryPaths({ resources: () => served, onChange: () => {}, serverAddress: 'localhost:6443' })] })
  const stop = new AbortController()
  const running: Promise<void>[] = [server.run(stop.signal)]
  await clock.settle()
  await server.started
  const as = (name: string) => createClient(server.transport({ name, groups: name.startsWith('system:serviceaccount:') ? ['system:serviceaccounts'] : name === 'admin' ? ['system:masters'] : [] }))
  const admin = as('admin')
  const informers = createInformers(runtime, as('system:kube-controller-manager'))
  running.push(informers.run(stop.signal))
  for (const controller of builtInControllers({ rootCa: 'CA' })) {
    const account = `system:serviceaccount:kube-system:${controller.component ?? `${controller.name}-controller`}`
    running.push(runControllers(runtime, as(account), [controller], stop.signal, { informers }))
  }
  const podInformer = informers.of('v1/Pod')
  podInformer.addHandlers({
    added(pod: Pod) {
      const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime: timestamp(clock) }]
      const status = { phase: 'Running', podIP: `10.0.0.${podInformer.cache.size}`, podIPs: [{ ip: `10.0.0.${podInformer.cache.size}` }], conditions }
      admin.update('v1/Pod', { ...pod, status }, { subresource: 'status' }).catch((error: unknown) => problems.push(String(error)))
    },
    updated(pod) {
      if (pod.metadata?.deletionTimestamp) admin.delete('v1/Pod', { namespace: pod.metadata.namespace!, name: pod.metadata.name! }, { gracePeriodSeconds: 0 }).catch((error: unknown) => isApiError(error, 'NotFound') || problems.push(String(error)))
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

test('a namespace with a Deployment and a Service comes and goes', async (t) => {
  const { clock, admin, problems } = await startCluster(t)
  await admin.create('v1/Namespace', { metadata: { name: 'shop' } })
  await clock.advance(100)
  assert.ok(await admin.get('v1/ServiceAccount', { namespace: 'shop', name: 'default' }))
  assert.equal((await admin.get('v1/ConfigMap', { namespace: 'shop', name: 'kube-root-ca.crt' })).data?.['ca.crt'], 'CA')

  const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'x' }] } }
  await admin.create('v1/Service', { metadata: { namespace: 'shop', name: 'web' }, spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }], clusterIP: '10.96.0.9' } })
  await admin.create('apps/v1/Deployment', { metadata: { namespace: 'shop', name: 'web' }, spec: { replicas: 5, progressDeadlineSeconds: 600, selector: { matchLabels: { app: 'web' } }, template } } as Deployment)
  await clock.advance(2000)
  const deployment = await admin.get('apps/v1/Deployment', { namespace: 'shop', name: 'web' })
  assert.equal(deployment.status?.availableReplicas, 5, problems.join('\n'))
  assert.equal(deployment.metadata?.annotations?.['deployment.kubernetes.io/revision'], '1')
  const slices = await admin.list('discovery.k8s.io/v1/EndpointSlice', { namespace: 'shop' })
  assert.deepEqual(slices.items.map((slice) => slice.endpoints?.filter((endpoint) => endpoint.conditions?.ready).length), [5])
  assert.equal((await admin.get('v1/Endpoints', { namespace: 'shop', name: 'web' })).subsets?.[0]?.addresses?.length, 5)

  await admin.delete('v1/Namespace', { name: 'shop' })
  await clock.advance(20_000)
  await assert.rejects(admin.get('v1/Namespace', { name: 'shop' }), (error) => isApiError(error, 'NotFound'))
  assert.equal((await admin.list('v1/Pod')).items.length, 0)
  assert.deepEqual(problems, [])
})

test('deleting a Deployment takes its sets and pods along; at rest no timer of a controller is pending', async (t) => {
  const { clock, admin, problems } = await startCluster(t)
  await admin.create('v1/Namespace', { metadata: { name: 'a' } })
  const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'x' }] } }
  await admin.create('apps/v1/Deployment', { metadata: { namespace: 'a', name: 'web' }, spec: { replicas: 3, selector: { matchLabels: { app: 'web' } }, template } } as Deployment)
  await clock.advance(2000)
  assert.equal((await admin.list('v1/Pod', { namespace: 'a' })).items.length, 3)
  await admin.delete('apps/v1/Deployment', { namespace: 'a', name: 'web' }, { propagationPolicy: 'Foreground' })
  await clock.advance(5000)
  assert.equal((await admin.list('v1/Pod', { namespace: 'a' })).items.length, 0)
  assert.equal((await admin.list('apps/v1/Deployment', { namespace: 'a' })).items.length, 0)
  assert.deepEqual(problems, [])
})
