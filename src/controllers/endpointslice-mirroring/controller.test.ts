import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from '../../cluster/cluster.ts'

test('Endpoints by hand are shown as slices, and no longer when the Service selects pods', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual' })
  const { client } = cluster
  const metadata = { namespace: 'default', name: 'outside' }
  const slices = async () =>
    (await client.list('discovery.k8s.io/v1/EndpointSlice', { namespace: 'default', labelSelector: 'kubernetes.io/service-name=outside' }))
      .items
  await client.create('v1/Service', { metadata, spec: { ports: [{ port: 80 }] } })
  await client.create('v1/Endpoints', { metadata, subsets: [{ ports: [{ port: 80 }], addresses: [{ ip: '10.1.2.3' }] }] })
  await cluster.advance(1000)
  const [first] = await slices()
  assert.deepEqual(first?.endpoints, [{ addresses: ['10.1.2.3'], conditions: { ready: true } }])
  await client.patch('v1/Endpoints', metadata, 'merge', { subsets: [{ ports: [{ port: 80 }], addresses: [{ ip: '10.2.3.4' }] }] })
  await cluster.advance(1000)
  assert.deepEqual(
    (await slices()).map((slice) => [slice.metadata?.name, slice.endpoints?.[0]?.addresses]),
    [[first?.metadata?.name, ['10.2.3.4']]],
  )
  await client.delete('v1/Endpoints', metadata)
  await cluster.advance(1000)
  assert.deepEqual(await slices(), [])
})
