import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startControllers } from '../built-in.test-support.ts'
import type { LoadBalancers } from './controller.ts'

test('a load balancer is made by the provider, follows the nodes, and goes before its Service does', async (t) => {
  const made = new Map<string, readonly string[]>()
  let failures = 1
  const loadBalancers: LoadBalancers = {
    async ensure({ metadata }, nodes) {
      if (failures-- > 0) throw new Error('the cloud is busy')
      made.set(metadata!.name!, nodes.map((node) => node.metadata!.name!).toSorted())
      return { ingress: [{ ip: '192.0.2.7', ipMode: 'VIP' }] }
    },
    async remove({ metadata }) {
      made.delete(metadata!.name!)
    },
  }
  const { admin, clock, problems } = await startControllers(t, { loadBalancers })
  await admin.create('v1/Namespace', { metadata: { name: 'shop' } })
  const key = { namespace: 'shop', name: 'web' }
  await admin.create('v1/Node', { metadata: { name: 'n1' } })
  await admin.create('v1/Node', { metadata: { name: 'hidden', labels: { 'node.kubernetes.io/exclude-from-external-load-balancers': '' } } })
  await admin.create('v1/Service', { metadata: key, spec: { type: 'LoadBalancer', selector: { a: 'b' }, ports: [{ port: 80 }] } })
  await clock.advance(1000)
  const service = await admin.get('v1/Service', key)
  assert.deepEqual(service.status?.loadBalancer, { ingress: [{ ip: '192.0.2.7', ipMode: 'VIP' }] })
  assert.deepEqual(service.metadata?.finalizers, ['service.kubernetes.io/load-balancer-cleanup'])
  await admin.create('v1/Node', { metadata: { name: 'n2' } })
  await clock.advance(1000)
  assert.deepEqual(made.get('web'), ['n1', 'n2'])
  await admin.delete('v1/Service', key)
  await clock.advance(1000)
  assert.equal(made.size, 0)
  assert.equal((await admin.list('v1/Service', { namespace: 'shop' })).items.length, 0)
  const told = (await admin.list('v1/Event', { namespace: 'shop' })).items.filter(
    ({ source }) => source?.component === 'service-controller',
  )
  assert.deepEqual([...new Set(told.map(({ reason, message }) => `${reason}: ${message}`))].toSorted(), [
    'DeletedLoadBalancer: Deleted load balancer',
    'DeletingLoadBalancer: Deleting load balancer',
    'EnsuredLoadBalancer: Ensured load balancer',
    'EnsuringLoadBalancer: Ensuring load balancer',
    'SyncLoadBalancerFailed: Error syncing load balancer: failed to ensure load balancer: the cloud is busy',
  ])
  assert.deepEqual(
    problems.map((line) => line.replace(/ undefined$/, '')),
    ['warn reconciliation failed service-lb shop/web Error: failed to ensure load balancer: the cloud is busy'],
  )
})
