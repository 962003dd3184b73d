import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from '../../cluster/cluster.ts'

const account = { namespace: 'default', name: 'robot' }
const name = 'kubernetes.io/service-account.name'
const secret = (own: string, of: string) => ({
  metadata: { namespace: 'default', name: own, annotations: { [name]: of } },
  type: 'kubernetes.io/service-account-token',
})

test('a Secret gets a token of its account, which counts until one of them goes', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual', nodes: 0 })
  const { client } = cluster
  const made = await client.create('v1/ServiceAccount', { metadata: account })
  await client.create('v1/Secret', secret('robot-token', 'robot'))
  const key = { namespace: 'default', name: 'robot-token' }
  const filled = await cluster.until('v1/Secret', key, (found) => found?.data?.['token'] !== undefined)
  assert.equal(atob(filled!.data!['namespace']!), 'default')
  assert.equal(filled!.metadata?.annotations?.['kubernetes.io/service-account.uid'], made.metadata?.uid)
  const token = atob(filled!.data!['token']!)
  const review = async () => {
    const object = { spec: { token } }
    const { status } = await client.create('authentication.k8s.io/v1/TokenReview', object)
    return [status?.authenticated ?? false, status?.user?.username]
  }
  assert.deepEqual(await review(), [true, 'system:serviceaccount:default:robot'])
  await client.delete('v1/ServiceAccount', account)
  await cluster.until('v1/Secret', key, (found) => found === undefined)
  assert.deepEqual(await review(), [false, undefined])
})

test('without its account a Secret goes', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual', nodes: 0 })
  await cluster.client.create('v1/Secret', secret('lost', 'nobody'))
  await cluster.until('v1/Secret', { namespace: 'default', name: 'lost' }, (found) => found === undefined)
})
