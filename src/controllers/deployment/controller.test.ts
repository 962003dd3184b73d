import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Deployment, ReplicaSet } from '../../api/generated/apps/v1.ts'
import type { Event, Pod } from '../../api/generated/core/v1.ts'
import { replicaSetController } from '../replicaset/controller.ts'
import { startTestCluster } from '../test-cluster.test-support.ts'
import { deploymentController } from './controller.ts'

const deployment = (replicas: number): Deployment => ({
  metadata: { namespace: 'n', name: 'web' },
  spec: {
    replicas,
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600,
    selector: { matchLabels: { app: 'web' } },
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
    template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'v1' }] } },
  },
})

test('a Deployment rolls out, is updated, scaled and rolled back, and then nothing is written any more', async (t) => {
  const { clock, server, client, problems } = await startTestCluster(t, [deploymentController, replicaSetController], {
    pods: 'become ready',
  })
  const key = { namespace: 'n', name: 'web' }
  const images = () => (server.objects('v1/Pod') as Pod[]).map((pod) => String(pod.spec!.containers[0]!.image)).toSorted()
  const status = () => (server.objects('apps/v1/Deployment')[0] as Deployment).status

  await client.create('apps/v1/Deployment', deployment(4))
  await clock.advance(1000)
  assert.deepEqual(images(), ['v1', 'v1', 'v1', 'v1'])
  assert.equal(status()?.availableReplicas, 4)
  assert.equal(status()?.conditions?.find((condition) => condition.type === 'Progressing')?.reason, 'NewReplicaSetAvailable')

  const update = async (image: string) => {
    const current = await client.get('apps/v1/Deployment', key)
    await client.update('apps/v1/Deployment', {
      ...current,
      spec: { ...current.spec!, template: { ...current.spec!.template, spec: { containers: [{ name: 'c', image }] } } },
    })
    await clock.advance(1000)
  }
  await update('v2')
  assert.deepEqual(images(), ['v2', 'v2', 'v2', 'v2'])
  await client.patch('apps/v1/Deployment', key, 'merge', { spec: { replicas: 6 } })
  await clock.advance(1000)
  assert.equal(images().length, 6)
  await update('v1')
  assert.deepEqual(
    images(),
    Array.from({ length: 6 }, () => 'v1'),
  )
  const sets = server.objects('apps/v1/ReplicaSet') as ReplicaSet[]
  assert.equal(sets.length, 2, 'rolling back uses the old set')
  const current = await client.get('apps/v1/Deployment', key)
  assert.equal(current.metadata?.annotations?.['deployment.kubernetes.io/revision'], '3')
  assert.equal(current.status?.observedGeneration, current.metadata?.generation)

  const messages = (server.objects('v1/Event') as Event[]).map((event) => event.message)
  assert.ok(messages.some((message) => /^Scaled up replica set web-\w+ from 0 to 4$/.test(message!)))
  assert.ok(messages.some((message) => /^Created pod: web-\w+-\w+$/.test(message!)))
  const { length } = server.requests
  await clock.advance(3_600_000)
  assert.equal(server.requests.length, length, 'nothing happens at rest')
  assert.equal(clock.pendingTimers, 0)
  assert.deepEqual(problems, [])
})

test('a ReplicaSet replaces pods that end, adopts matching orphans and lets go of those that no longer match', async (t) => {
  const { clock, server, client } = await startTestCluster(t, [replicaSetController], { pods: 'become ready' })
  const template = { metadata: { labels: { app: 'a' } }, spec: { containers: [{ name: 'c', image: 'x' }] } }
  await client.create('v1/Pod', { metadata: { namespace: 'n', name: 'orphan', labels: { app: 'a' } }, spec: template.spec })
  await client.create('apps/v1/ReplicaSet', {
    metadata: { namespace: 'n', name: 's' },
    spec: { replicas: 2, selector: { matchLabels: { app: 'a' } }, template },
  })
  await clock.advance(1000)
  const pods = () => server.objects('v1/Pod') as Pod[]
  assert.equal(pods().length, 2)
  assert.equal(pods().find((pod) => pod.metadata?.name === 'orphan')?.metadata?.ownerReferences?.[0]?.name, 's')

  const [other] = pods().filter((pod) => pod.metadata?.name !== 'orphan')
  await client.update('v1/Pod', { ...other!, status: { phase: 'Failed' } }, { subresource: 'status' })
  await clock.advance(1000)
  assert.equal(pods().length, 3, 'the pod that failed is replaced')
  assert.equal((server.objects('apps/v1/ReplicaSet')[0] as ReplicaSet).status?.readyReplicas, 2)
})
