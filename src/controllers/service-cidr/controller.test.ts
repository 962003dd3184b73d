import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { IPAddress, ServiceCIDR } from '../../api/generated/networking/v1.ts'
import { startControllers } from '../built-in.test-support.ts'
import { contains, parseNetwork } from './networks.ts'
import { canGo } from './plan.ts'

test('what lies within what', () => {
  const within = (outer: string, inner: string) => contains(parseNetwork(outer), parseNetwork(inner))
  assert.ok(within('10.96.0.0/16', '10.96.3.1'))
  assert.ok(within('0.0.0.0/0', '10.96.0.0/16'))
  assert.ok(!within('10.96.0.0/16', '10.97.0.0'))
  assert.ok(!within('10.96.0.0/24', '10.96.0.0/16'))
  assert.ok(within('fd00::/108', 'fd00::f:1234'))
  assert.ok(!within('fd00::/112', 'fd00::1:0'))
  assert.ok(within('::ffff:10.0.0.0/104', '::ffff:10.1.2.3'))
  assert.ok(!within('0.0.0.0/0', '::1'))
})

test('a network may go when no address would be left outside', () => {
  const cidr = (name: string, ...cidrs: string[]): ServiceCIDR => ({ metadata: { name }, spec: { cidrs } })
  const address = (name: string, manager = 'ipallocator.k8s.io'): IPAddress => ({
    metadata: { name, labels: { 'ipaddress.kubernetes.io/managed-by': manager } },
    spec: { parentRef: { resource: 'services', name: 's' } },
  })
  const small = cidr('small', '10.1.0.0/24')
  assert.ok(canGo(small, [small], []))
  assert.ok(!canGo(small, [small], [address('10.1.0.7')]))
  assert.ok(canGo(small, [small], [address('10.2.0.7'), address('10.1.0.7', 'me')]))
  assert.ok(canGo(small, [small, cidr('large', '10.1.0.0/16')], [address('10.1.0.7')]))
})

test('a network is said to be ready, and kept while addresses come from it', async (t) => {
  const { admin, clock, problems } = await startControllers(t)
  const kind = 'networking.k8s.io/v1/ServiceCIDR'
  await admin.create(kind, { metadata: { name: 'extra' }, spec: { cidrs: ['10.5.0.0/24'] } })
  const labels = { 'ipaddress.kubernetes.io/managed-by': 'ipallocator.k8s.io' }
  const parentRef = { resource: 'services', namespace: 'default', name: 's' }
  await admin.create('networking.k8s.io/v1/IPAddress', { metadata: { name: '10.5.0.9', labels }, spec: { parentRef } })
  await clock.advance(100)
  const ready = async () => (await admin.get(kind, { name: 'extra' })).status?.conditions?.[0]
  assert.deepEqual([(await ready())?.status, (await ready())?.message], ['True', 'Kubernetes Service CIDR is ready'])
  await admin.delete(kind, { name: 'extra' })
  await clock.advance(20_000)
  assert.deepEqual([(await ready())?.status, (await ready())?.reason], ['False', 'Terminating'])
  await admin.delete('networking.k8s.io/v1/IPAddress', { name: '10.5.0.9' })
  await clock.advance(20_000)
  assert.equal((await admin.list(kind)).items.length, 0)
  assert.deepEqual(problems, [])
})
