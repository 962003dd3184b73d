/** All built-in controllers against the real API server, each as its own account, in virtual time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Job, JobSpec } from '../api/generated/batch/v1.ts'
import { isApiError } from '../api/status.ts'
import { ends, startControllers } from './built-in.test-support.ts'
import { targetNodeOf } from './daemonset/node-fit.ts'

test('a namespace with a Deployment and a Service comes and goes', async (t) => {
  const { clock, admin, problems } = await startControllers(t)
  await admin.create('v1/Namespace', { metadata: { name: 'shop' } })
  await clock.advance(100)
  assert.ok(await admin.get('v1/ServiceAccount', { namespace: 'shop', name: 'default' }))
  assert.equal((await admin.get('v1/ConfigMap', { namespace: 'shop', name: 'kube-root-ca.crt' })).data?.['ca.crt'], 'CA')

  const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'x' }] } }
  await admin.create('v1/Service', {
    metadata: { namespace: 'shop', name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }], clusterIP: '10.96.0.9' },
  })
  await admin.create('apps/v1/Deployment', {
    metadata: { namespace: 'shop', name: 'web' },
    spec: { replicas: 5, progressDeadlineSeconds: 600, selector: { matchLabels: { app: 'web' } }, template },
  })
  await clock.advance(2000)
  const deployment = await admin.get('apps/v1/Deployment', { namespace: 'shop', name: 'web' })
  assert.equal(deployment.status?.availableReplicas, 5, problems.join('\n'))
  assert.equal(deployment.metadata?.annotations?.['deployment.kubernetes.io/revision'], '1')
  const slices = await admin.list('discovery.k8s.io/v1/EndpointSlice', { namespace: 'shop' })
  assert.deepEqual(
    slices.items.map((slice) => slice.endpoints?.filter((endpoint) => endpoint.conditions?.ready).length),
    [5],
  )
  assert.equal((await admin.get('v1/Endpoints', { namespace: 'shop', name: 'web' })).subsets?.[0]?.addresses?.length, 5)

  await admin.delete('v1/Namespace', { name: 'shop' })
  await clock.advance(20_000)
  await assert.rejects(admin.get('v1/Namespace', { name: 'shop' }), (error) => isApiError(error, 'NotFound'))
  assert.equal((await admin.list('v1/Pod')).items.length, 0)
  assert.deepEqual(problems, [])
})

test('deleting a Deployment takes its sets and pods along; at rest no timer of a controller is pending', async (t) => {
  const { clock, admin, problems } = await startControllers(t)
  await admin.create('v1/Namespace', { metadata: { name: 'a' } })
  const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'x' }] } }
  await admin.create('apps/v1/Deployment', {
    metadata: { namespace: 'a', name: 'web' },
    spec: { replicas: 3, selector: { matchLabels: { app: 'web' } }, template },
  })
  await clock.advance(2000)
  assert.equal((await admin.list('v1/Pod', { namespace: 'a' })).items.length, 3)
  await admin.delete('apps/v1/Deployment', { namespace: 'a', name: 'web' }, { propagationPolicy: 'Foreground' })
  await clock.advance(5000)
  assert.equal((await admin.list('v1/Pod', { namespace: 'a' })).items.length, 0)
  assert.equal((await admin.list('apps/v1/Deployment', { namespace: 'a' })).items.length, 0)
  assert.deepEqual(problems, [])
})

const job = (name: string, spec: Partial<JobSpec>): Job => ({
  metadata: { namespace: 'default', name },
  spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x' }] } }, ...spec },
})
const conditionsOf = (object: Job) => (object.status?.conditions ?? []).map(({ type, reason }) => `${type} ${reason}`)
const key = (name: string) => ({ namespace: 'default', name })

test('a Job runs its pods to completion and counts each once', async (t) => {
  const { clock, admin, problems } = await startControllers(t, {
    runPod: ends(() => 'Succeeded'),
  })
  await admin.create('v1/Namespace', { metadata: { name: 'default' } })
  await admin.create('batch/v1/Job', job('plain', { completions: 5, parallelism: 2 }))
  await admin.create('batch/v1/Job', job('indexed', { completions: 4, parallelism: 4, completionMode: 'Indexed' }))
  await clock.advance(5000)
  const plain = await admin.get('batch/v1/Job', key('plain'))
  assert.deepEqual(
    [plain.status?.succeeded, plain.status?.active ?? 0, conditionsOf(plain)],
    [5, 0, ['SuccessCriteriaMet CompletionsReached', 'Complete CompletionsReached']],
    problems.join('\n'),
  )
  assert.ok(plain.status?.completionTime)
  const indexed = await admin.get('batch/v1/Job', key('indexed'))
  assert.deepEqual([indexed.status?.completedIndexes, indexed.status?.succeeded], ['0-3', 4])
  const pods = (await admin.list('v1/Pod', { namespace: 'default' })).items
  assert.equal(pods.filter((pod) => pod.metadata?.finalizers?.length).length, 0, 'counted pods are free to go')
  assert.deepEqual(pods.flatMap((pod) => pod.spec?.hostname ?? []).toSorted(), ['indexed-0', 'indexed-1', 'indexed-2', 'indexed-3'])
  assert.deepEqual(problems, [])
})

test('a Job whose pods fail waits longer each time and gives up at its limit', async (t) => {
  const { clock, admin, problems } = await startControllers(t, {
    runPod: ends(() => 'Failed'),
  })
  await admin.create('v1/Namespace', { metadata: { name: 'default' } })
  await admin.create('batch/v1/Job', job('bad', { backoffLimit: 2 }))
  await clock.advance(5000)
  assert.equal((await admin.list('v1/Pod', { namespace: 'default' })).items.length, 1, 'the second waits for 10 s')
  await clock.advance(10_000)
  assert.equal((await admin.list('v1/Pod', { namespace: 'default' })).items.length, 2)
  await clock.advance(60_000)
  const bad = await admin.get('batch/v1/Job', key('bad'))
  assert.deepEqual([bad.status?.failed, conditionsOf(bad)], [3, ['FailureTarget BackoffLimitExceeded', 'Failed BackoffLimitExceeded']])
  assert.deepEqual(problems, [])
})

test('indexes have limits of their own; the others go on', async (t) => {
  const { clock, admin, problems } = await startControllers(t, {
    runPod: ends((pod) => (pod.metadata?.annotations?.['batch.kubernetes.io/job-completion-index'] === '1' ? 'Failed' : 'Succeeded')),
  })
  await admin.create('v1/Namespace', { metadata: { name: 'default' } })
  await admin.create(
    'batch/v1/Job',
    job('mixed', { completions: 3, parallelism: 3, completionMode: 'Indexed', backoffLimitPerIndex: 1, backoffLimit: 100 }),
  )
  await clock.advance(60_000)
  const mixed = await admin.get('batch/v1/Job', key('mixed'))
  assert.deepEqual(
    [mixed.status?.completedIndexes, mixed.status?.failedIndexes, mixed.status?.failed, conditionsOf(mixed)],
    ['0,2', '1', 2, ['FailureTarget FailedIndexes', 'Failed FailedIndexes']],
    problems.join('\n'),
  )
  assert.deepEqual(problems, [])
})

test('a Job is suspended, resumed, and ended by its deadline', async (t) => {
  const { clock, admin, problems } = await startControllers(t)
  await admin.create('v1/Namespace', { metadata: { name: 'default' } })
  await admin.create('batch/v1/Job', job('long', { suspend: true, activeDeadlineSeconds: 30 }))
  await clock.advance(1000)
  assert.equal((await admin.list('v1/Pod', { namespace: 'default' })).items.length, 0)
  await admin.patch('batch/v1/Job', key('long'), 'merge', { spec: { suspend: false } })
  await clock.advance(1000)
  assert.equal((await admin.get('batch/v1/Job', key('long'))).status?.active, 1)
  await clock.advance(31_000)
  const over = await admin.get('batch/v1/Job', key('long'))
  assert.deepEqual(conditionsOf(over), ['Suspended JobResumed', 'FailureTarget DeadlineExceeded', 'Failed DeadlineExceeded'])
  assert.equal((await admin.list('v1/Pod', { namespace: 'default' })).items.length, 0)
  assert.deepEqual(problems, [])
})

test('a DaemonSet runs on every node that fits, follows labels and taints, and rolls over', async (t) => {
  const { clock, admin, problems } = await startControllers(t)
  await admin.create('v1/Namespace', { metadata: { name: 'default' } })
  const ready = { conditions: [{ type: 'Ready', status: 'True' }] }
  for (const name of ['a', 'b', 'c']) {
    await admin.create('v1/Node', { metadata: { name, labels: name === 'c' ? {} : { agent: 'yes' } } })
    await admin.patch('v1/Node', { name }, 'merge', { status: ready }, { subresource: 'status' })
  }
  const template = {
    metadata: { labels: { app: 'agent' } },
    spec: { nodeSelector: { agent: 'yes' }, containers: [{ name: 'c', image: 'v1' }] },
  }
  await admin.create('apps/v1/DaemonSet', {
    metadata: { namespace: 'default', name: 'agent' },
    spec: { selector: { matchLabels: { app: 'agent' } }, template },
  })
  const targets = async () =>
    (await admin.list('v1/Pod', { namespace: 'default' })).items
      .map((pod) => `${targetNodeOf(pod.spec)} ${pod.spec?.containers[0]?.image}`)
      .toSorted()
  await clock.advance(2000)
  assert.deepEqual(await targets(), ['a v1', 'b v1'], problems.join('\n'))
  await admin.patch('v1/Node', { name: 'c' }, 'merge', { metadata: { labels: { agent: 'yes' } } })
  await admin.patch('v1/Node', { name: 'a' }, 'merge', { metadata: { labels: { agent: null } } })
  await clock.advance(2000)
  assert.deepEqual(await targets(), ['b v1', 'c v1'])
  await admin.patch('apps/v1/DaemonSet', key('agent'), 'strategic', {
    spec: { template: { spec: { containers: [{ name: 'c', image: 'v2' }] } } },
  })
  await clock.advance(5000)
  assert.deepEqual(await targets(), ['b v2', 'c v2'])
  const set = await admin.get('apps/v1/DaemonSet', key('agent'))
  assert.deepEqual([set.status?.desiredNumberScheduled, set.status?.updatedNumberScheduled, set.status?.numberAvailable], [2, 2, 2])
  const revisions = (await admin.list('apps/v1/ControllerRevision', { namespace: 'default' })).items.toSorted(
    (a, b) => a.revision - b.revision,
  )
  assert.deepEqual(
    revisions.map(({ revision }) => revision),
    [1, 2],
  )
  // Clients find the current revision by comparing bytes: the keys are in Go's order.
  assert.match(
    JSON.stringify(revisions[1]?.data),
    /^\{"spec":\{"template":\{"\$patch":"replace","metadata":\{"labels":\{"app":"agent"\}\},"spec":\{"containers":/,
  )
  assert.deepEqual(problems, [])
})

test('a StatefulSet makes its pods one after the other, keeps their claims, and rolls over from the top', async (t) => {
  const { clock, admin, problems } = await startControllers(t)
  await admin.create('v1/Namespace', { metadata: { name: 'default' } })
  const template = { metadata: { labels: { app: 'db' } }, spec: { containers: [{ name: 'c', image: 'v1' }] } }
  const volumeClaimTemplates = [
    { metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } },
  ]
  await admin.create('apps/v1/StatefulSet', {
    metadata: { namespace: 'default', name: 'db' },
    spec: { replicas: 3, serviceName: 'db', selector: { matchLabels: { app: 'db' } }, template, volumeClaimTemplates },
  })
  const images = async () =>
    (await admin.list('v1/Pod', { namespace: 'default' })).items
      .map((pod) => `${pod.metadata?.name} ${pod.spec?.containers[0]?.image}`)
      .toSorted()
  await clock.advance(2000)
  assert.deepEqual(await images(), ['db-0 v1', 'db-1 v1', 'db-2 v1'], problems.join('\n'))
  const made = (await admin.list('v1/Pod', { namespace: 'default' })).items.toSorted(
    (a, b) => Number(a.metadata!.resourceVersion) - Number(b.metadata!.resourceVersion),
  )
  assert.deepEqual(
    made.map((pod) => pod.metadata?.name),
    ['db-0', 'db-1', 'db-2'],
  )
  const claims = async () =>
    (await admin.list('v1/PersistentVolumeClaim', { namespace: 'default' })).items.map((object) => String(object.metadata?.name)).toSorted()
  assert.deepEqual(await claims(), ['data-db-0', 'data-db-1', 'data-db-2'])

  await admin.patch('apps/v1/StatefulSet', key('db'), 'merge', { spec: { updateStrategy: { rollingUpdate: { partition: 2 } } } })
  await admin.patch('apps/v1/StatefulSet', key('db'), 'strategic', {
    spec: { template: { spec: { containers: [{ name: 'c', image: 'v2' }] } } },
  })
  await clock.advance(5000)
  assert.deepEqual(await images(), ['db-0 v1', 'db-1 v1', 'db-2 v2'], 'the partition holds')
  await admin.patch('apps/v1/StatefulSet', key('db'), 'merge', { spec: { updateStrategy: { rollingUpdate: { partition: 0 } } } })
  await clock.advance(5000)
  assert.deepEqual(await images(), ['db-0 v2', 'db-1 v2', 'db-2 v2'])
  const set = await admin.get('apps/v1/StatefulSet', key('db'))
  assert.equal(set.status?.currentRevision, set.status?.updateRevision)

  await admin.patch('apps/v1/StatefulSet', key('db'), 'merge', { spec: { replicas: 1 } })
  await clock.advance(5000)
  assert.deepEqual(await images(), ['db-0 v2'])
  assert.deepEqual(await claims(), ['data-db-0', 'data-db-1', 'data-db-2'], 'claims outlive their pods')
  assert.deepEqual(problems, [])
})
