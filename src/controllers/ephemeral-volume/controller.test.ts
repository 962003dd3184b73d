import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../../api/generated/core/v1.ts'
import { isApiError } from '../../api/status.ts'
import { Cluster } from '../../cluster/cluster.ts'
import { planEphemeralClaims } from './plan.ts'

const spec = { accessModes: ['ReadWriteOnce'], storageClassName: 'none', resources: { requests: { storage: '1Gi' } } }
const volumes = [
  { name: 'scratch', ephemeral: { volumeClaimTemplate: { metadata: { labels: { a: 'b' } }, spec } } },
  { name: 'other', emptyDir: {} },
]

test('a claim for each ephemeral volume, unless somebody else has its name', () => {
  const pod: Pod = { metadata: { namespace: 'n', name: 'p', uid: 'u' }, spec: { containers: [], volumes } }
  const { create, problems } = planEphemeralClaims(pod, () => undefined)
  assert.deepEqual([create.map(({ claim }) => claim.metadata?.name), problems], [['p-scratch'], []])
  assert.deepEqual(create[0]?.claim.metadata?.labels, { a: 'b' })
  assert.deepEqual(
    planEphemeralClaims(pod, () => create[0]?.claim),
    { create: [], problems: [] },
  )
  const foreign = planEphemeralClaims(pod, () => ({ metadata: { name: 'p-scratch' } }))
  assert.deepEqual(foreign, {
    create: [],
    problems: [{ volume: 'scratch', why: 'PVC n/p-scratch was not created for pod n/p (pod is not owner)' }],
  })
  assert.deepEqual(planEphemeralClaims({ ...pod, metadata: { ...pod.metadata, deletionTimestamp: 'x' } }, () => undefined).create, [])
})

test('the claim comes with the pod and goes with it', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual' })
  const { client } = cluster
  const key = { namespace: 'default', name: 'p' }
  await client.create('v1/Pod', { metadata: key, spec: { containers: [{ name: 'c', image: 'x' }], volumes } })
  const claim = { namespace: 'default', name: 'p-scratch' }
  await cluster.until('v1/PersistentVolumeClaim', claim, (object) => object?.metadata?.ownerReferences?.[0]?.name === 'p')
  await client.delete('v1/Pod', key, { gracePeriodSeconds: 0 })
  await cluster.until('v1/PersistentVolumeClaim', claim, (object) => object === undefined)
  await assert.rejects(client.get('v1/PersistentVolumeClaim', claim), (error) => isApiError(error, 'NotFound'))
})
