/** Against a whole cluster, where the API server charges and the controller counts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isApiError } from '../../api/status.ts'
import { Cluster } from '../../cluster/cluster.ts'

const key = { namespace: 'default', name: 'q' }
const isUsed = (name: string, amount: string) => (quota: { readonly status?: { readonly used?: Record<string, string> } } | undefined) =>
  quota?.status?.used?.[name] === amount

test('a quota counts what is there, what comes and what goes', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual' })
  const { client } = cluster
  const secret = (name: string) => ({ metadata: { namespace: 'default', name } })
  await client.create('v1/Secret', secret('before'))
  await client.create('v1/ResourceQuota', {
    metadata: key,
    spec: { hard: { secrets: '2', 'count/deployments.apps': '1', 'requests.cpu': '1' } },
  })
  const first = await cluster.until('v1/ResourceQuota', key, isUsed('secrets', '1'))
  assert.deepEqual(first?.status?.used, { secrets: '1', 'count/deployments.apps': '0', 'requests.cpu': '0' })

  await client.create('v1/Secret', secret('second'))
  await assert.rejects(client.create('v1/Secret', secret('third')), (error) => isApiError(error, 'Forbidden'))
  await cluster.advance(5000)
  assert.equal((await client.get('v1/ResourceQuota', key)).status?.used?.['secrets'], '2')
  await client.delete('v1/Secret', { namespace: 'default', name: 'before' })
  await cluster.until('v1/ResourceQuota', key, isUsed('secrets', '1'), { timeoutMs: 1000 })

  await client.patch('v1/ResourceQuota', key, 'merge', { status: { hard: { secrets: '9' }, used: null } }, { subresource: 'status' })
  const put = await cluster.until('v1/ResourceQuota', key, (quota) => quota?.status?.hard?.['secrets'] === '2')
  assert.deepEqual(
    put?.status?.used,
    { secrets: '1', 'count/deployments.apps': '0', 'requests.cpu': '0' },
    'what others write is put right',
  )

  await client.patch('v1/ResourceQuota', key, 'merge', { spec: { hard: { configmaps: '10', secrets: null } } })
  const changed = await cluster.until('v1/ResourceQuota', key, isUsed('configmaps', '1'))
  assert.deepEqual(changed?.status?.hard, { 'count/deployments.apps': '1', 'requests.cpu': '1', configmaps: '10' })
  assert.equal(changed?.status?.used?.['secrets'], undefined)
})

test('a ReplicationController says that a quota holds it up', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual' })
  await cluster.client.create('v1/ResourceQuota', { metadata: key, spec: { hard: { pods: '2' } } })
  await cluster.until('v1/ResourceQuota', key, isUsed('pods', '0'))
  const template = { metadata: { labels: { app: 'a' } }, spec: { containers: [{ name: 'c', image: 'x' }] } }
  await cluster.client.create('v1/ReplicationController', {
    metadata: { namespace: 'default', name: 'rc' },
    spec: { replicas: 3, selector: { app: 'a' }, template },
  })
  const rc = { namespace: 'default', name: 'rc' }
  const held = await cluster.until('v1/ReplicationController', rc, (object) => object?.status?.conditions?.[0]?.status === 'True')
  assert.match(held?.status?.conditions?.[0]?.message ?? '', /exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2/)
  await cluster.client.patch('v1/ReplicationController', rc, 'merge', { spec: { replicas: 2 } })
  await cluster.until('v1/ReplicationController', rc, (object) => !object?.status?.conditions?.length && object?.status?.replicas === 2)
})
