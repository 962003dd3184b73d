/** Against a whole cluster, where evictions ask the budget. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiError } from '../../api/status.ts'
import { Cluster } from '../../cluster/cluster.ts'

const key = { namespace: 'default', name: 'web' }
const labels = { app: 'web' }
const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'x' }] } }

test('evictions are granted as far as the budget goes', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual' })
  const { client } = cluster
  await client.create('apps/v1/Deployment', { metadata: key, spec: { replicas: 3, selector: { matchLabels: labels }, template } })
  await client.create('policy/v1/PodDisruptionBudget', { metadata: key, spec: { maxUnavailable: 1, selector: { matchLabels: labels } } })
  const counted = await cluster.until('policy/v1/PodDisruptionBudget', key, (budget) => budget?.status?.disruptionsAllowed === 1)
  assert.deepEqual([counted?.status?.expectedPods, counted?.status?.currentHealthy, counted?.status?.desiredHealthy], [3, 3, 2])

  const [first, second] = (await client.list('v1/Pod', { namespace: 'default' })).items
  const evict = (name: string) =>
    client.createSubresource('v1/Pod', { namespace: 'default', name }, 'eviction', {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name, namespace: 'default' },
    })
  await evict(first!.metadata!.name!)
  await assert.rejects(evict(second!.metadata!.name!), (error: ApiError) => {
    assert.equal(error.code, 429)
    assert.equal(error.status.details?.causes?.[0]?.reason, 'DisruptionBudget')
    return true
  })
  const recovered = await cluster.until(
    'policy/v1/PodDisruptionBudget',
    key,
    (budget) => budget?.status?.disruptionsAllowed === 1 && budget.status.currentHealthy === 3,
    { timeoutMs: 120_000 },
  )
  assert.equal(recovered?.status?.disruptedPods, undefined)
  assert.equal(recovered?.status?.conditions?.[0]?.reason, 'SufficientPods')
})

test('pods that nothing scales forbid a relative budget', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual' })
  const { client } = cluster
  const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'kube-root-ca.crt', uid: 'u', controller: true }
  await client.create('v1/Pod', {
    metadata: {
      namespace: 'default',
      name: 'p',
      labels,
      ownerReferences: [{ ...owner, uid: (await client.get('v1/ConfigMap', { namespace: 'default', name: owner.name })).metadata!.uid! }],
    },
    spec: template.spec,
  })
  await client.create('policy/v1/PodDisruptionBudget', { metadata: key, spec: { maxUnavailable: 1, selector: { matchLabels: labels } } })
  const failed = await cluster.until(
    'policy/v1/PodDisruptionBudget',
    key,
    (budget) => budget?.status?.conditions?.[0]?.reason === 'SyncFailed',
  )
  assert.equal(failed?.status?.conditions?.[0]?.message, 'configmaps does not implement the scale subresource')
  assert.equal(failed?.status?.disruptionsAllowed, 0)
})
