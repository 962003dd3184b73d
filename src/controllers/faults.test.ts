/**
 * Controllers may die between any two of their writes. A scenario is played again and again; each time they are killed after one
 * more write and started anew, and the end is right every time. `PROA_FAULTS=all` takes every write, `npm test` every so many.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { COMPLETION_INDEX } from './job/job-pods.ts'
import { createNodes, ends, keepsRunning, startApi } from './built-in.test-support.ts'
import type { Api, RunPod } from './built-in.test-support.ts'
import { createMortal } from './mortal.test-support.ts'
import type { Mortal } from './mortal.test-support.ts'

const SETTLE_MS = 30_000
/** Of all writes, which are taken in `npm test`. */
const STRIDE = process.env['PROA_FAULTS'] === 'all' ? 1 : 9

const succeeds = ends(() => 'Succeeded')
const runPod: RunPod = (pod, now) => (pod.metadata?.ownerReferences?.[0]?.kind === 'Job' ? succeeds(pod, now) : keepsRunning(pod, now))

const labelled = (app: string) => ({ matchLabels: { app } })
const template = (app: string, image: string) => ({
  metadata: { labels: { app } },
  spec: { containers: [{ name: 'c', image }] },
})

async function create({ admin }: Api, namespace: string): Promise<void> {
  const named = (name: string) => ({ namespace, name })
  await admin.create('v1/Namespace', { metadata: { name: namespace } })
  await admin.create('v1/ResourceQuota', { metadata: named('quota'), spec: { hard: { pods: '100' } } })
  await admin.create('v1/Service', { metadata: named('web'), spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } })
  await admin.create('policy/v1/PodDisruptionBudget', { metadata: named('web'), spec: { minAvailable: 2, selector: labelled('web') } })
  await admin.create('apps/v1/Deployment', {
    metadata: named('web'),
    spec: { replicas: 3, selector: labelled('web'), template: template('web', 'v1') },
  })
  const claim = { metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } }
  await admin.create('apps/v1/StatefulSet', {
    metadata: named('db'),
    spec: { serviceName: 'db', replicas: 2, selector: labelled('db'), template: template('db', 'v1'), volumeClaimTemplates: [claim] },
  })
  await admin.create('apps/v1/DaemonSet', {
    metadata: named('agent'),
    spec: { selector: labelled('agent'), template: template('agent', 'v1') },
  })
  await admin.create('batch/v1/Job', {
    metadata: named('index'),
    spec: {
      completionMode: 'Indexed',
      completions: 3,
      parallelism: 2,
      template: { ...template('index', 'v1'), spec: { ...template('index', 'v1').spec, restartPolicy: 'Never' } },
    },
  })
}

async function change({ admin }: Api, namespace: string): Promise<void> {
  const image = (app: string) => ({ spec: { template: { spec: { containers: [{ name: 'c', image: `${app}:2` }] } } } })
  await admin.patch('apps/v1/Deployment', { namespace, name: 'web' }, 'strategic', { spec: { replicas: 4, ...image('web').spec } })
  await admin.patch('apps/v1/StatefulSet', { namespace, name: 'db' }, 'strategic', image('db'))
  await admin.patch('apps/v1/DaemonSet', { namespace, name: 'agent' }, 'strategic', image('agent'))
}

/** Everything that must be so after the changes, as one value: it reads better than a hundred assertions. */
async function endState({ admin }: Api, namespace: string): Promise<unknown> {
  const scope = { namespace }
  const pods = (await admin.list('v1/Pod', scope)).items
  const imagesOf = (app: string) =>
    pods.filter(({ metadata }) => metadata?.labels?.['app'] === app).map(({ spec }) => spec!.containers[0]!.image)
  const deployment = await admin.get('apps/v1/Deployment', { namespace, name: 'web' })
  const sets = (await admin.list('apps/v1/ReplicaSet', scope)).items
  const stateful = await admin.get('apps/v1/StatefulSet', { namespace, name: 'db' })
  const daemons = await admin.get('apps/v1/DaemonSet', { namespace, name: 'agent' })
  const job = await admin.get('batch/v1/Job', { namespace, name: 'index' })
  const slices = (await admin.list('discovery.k8s.io/v1/EndpointSlice', scope)).items
  const budget = (await admin.get('policy/v1/PodDisruptionBudget', { namespace, name: 'web' })).status
  const quota = (await admin.get('v1/ResourceQuota', { namespace, name: 'quota' })).status
  return {
    web: imagesOf('web'),
    sets: sets.map(({ spec, status }) => [spec?.replicas, status?.replicas ?? 0]).toSorted(),
    deployment: [
      deployment.status?.readyReplicas,
      deployment.status?.updatedReplicas,
      deployment.status?.conditions?.find(({ type }) => type === 'Progressing')?.reason,
    ],
    db: imagesOf('db'),
    dbNames: pods.filter(({ metadata }) => metadata?.labels?.['app'] === 'db').map(({ metadata }) => metadata?.name),
    stateful: [
      stateful.status?.readyReplicas,
      stateful.status?.updatedReplicas,
      stateful.status?.currentRevision === stateful.status?.updateRevision,
    ],
    claims: (await admin.list('v1/PersistentVolumeClaim', scope)).items.map(({ metadata }) => metadata?.name),
    agents: imagesOf('agent'),
    daemons: [daemons.status?.numberReady, daemons.status?.updatedNumberScheduled],
    job: [job.status?.succeeded, job.status?.failed ?? 0, job.status?.completedIndexes, job.status?.conditions?.at(-1)?.type],
    indexes: pods
      .filter(({ metadata }) => metadata?.labels?.['app'] === 'index')
      .map(({ metadata }) => metadata?.annotations?.[COMPLETION_INDEX])
      .toSorted(),
    finalizers: pods.flatMap(({ metadata }) => metadata?.finalizers ?? []),
    endpoints: slices.flatMap(({ endpoints }) => endpoints ?? []).length,
    addresses: (await admin.get('v1/Endpoints', { namespace, name: 'web' })).subsets?.[0]?.addresses?.length,
    budget: [budget?.expectedPods, budget?.currentHealthy, budget?.disruptionsAllowed],
    quota: quota?.used?.['pods'],
  }
}

const EXPECTED = {
  web: ['web:2', 'web:2', 'web:2', 'web:2'],
  sets: [
    [0, 0],
    [4, 4],
  ],
  deployment: [4, 4, 'NewReplicaSetAvailable'],
  db: ['db:2', 'db:2'],
  dbNames: ['db-0', 'db-1'],
  stateful: [2, 2, true],
  claims: ['data-db-0', 'data-db-1'],
  agents: ['agent:2', 'agent:2'],
  daemons: [2, 2],
  job: [3, 0, '0-2', 'Complete'],
  indexes: ['0', '1', '2'],
  finalizers: [],
  endpoints: 4,
  addresses: 4,
  budget: [4, 4, 2],
  quota: '8',
}

async function play(api: Api, mortal: Mortal, namespace: string): Promise<void> {
  await create(api, namespace)
  await mortal.pass(SETTLE_MS)
  await change(api, namespace)
  await mortal.pass(SETTLE_MS)
  assert.deepEqual(await endState(api, namespace), EXPECTED, `killed in ${namespace}`)
  await api.admin.delete('v1/Namespace', { name: namespace })
  await mortal.pass(SETTLE_MS)
  const left = (await api.admin.list('v1/Namespace')).items.map(({ metadata }) => metadata?.name)
  assert.ok(!left.includes(namespace), `${namespace} is not gone`)
  const pods = (await api.admin.list('v1/Pod')).items.filter(({ metadata }) => metadata?.namespace === namespace)
  assert.deepEqual(pods, [])
}

test('killed after any of their writes, the controllers bring everything to the same end', async (t) => {
  const api = await startApi(t, { runPod })
  await createNodes(api)
  const whole = createMortal(api)
  await whole.pass(1000)
  const before = whole.writes
  await play(api, whole, 'whole')
  const total = whole.writes - before
  assert.ok(total > 50, `only ${total} writes`)
  await whole.end()
  let kills = 0
  for (let n = 1; n <= total; n += STRIDE) {
    const mortal = createMortal(api, n)
    await play(api, mortal, `killed-${n}`)
    if (mortal.wasKilled) kills++
    await mortal.end()
  }
  // Writes differ a little from run to run: the last few may not come about.
  assert.ok(kills > (0.9 * total) / STRIDE, `killed ${kills} times in ${total} writes`)
})
