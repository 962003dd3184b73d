import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node } from '../api/generated/core/v1.ts'
import { disjointRanges, familyOf, gatewayOf } from './addresses.ts'
import { bridgeName, cniConfiguration, planPodNetwork, planRoutes } from './pod-network.ts'

test('addresses: families, gateways, ranges', () => {
  const table = [
    ['10.0.0.1', 'ip'],
    ['fd00::1', 'ip6'],
    ['10.0.0.0/8', 'ip'],
    ['fe80::1%eth0', undefined],
    ['10.1', undefined],
    ['x', undefined],
    ['', undefined],
    ['10.0.0.1/x', undefined],
  ] as const
  for (const [text, family] of table) assert.equal(familyOf(text), family, text)
  assert.equal(gatewayOf('10.244.3.0/24'), '10.244.3.1/24')
  assert.equal(gatewayOf('fd00:1::/64'), 'fd00:1::1/64')
  assert.deepEqual(disjointRanges(['10.1.0.0/16', '10.9.9.9/8', '192.0.2.0/24', 'fd00::/8', '300.0.0.0/8', '192.0.2.128/25'], 'ip'), [
    '10.0.0.0/8',
    '192.0.2.0/24',
  ])
})

test('pod network: the CNI configuration', () => {
  const network = planPodNetwork({ id: 'dev', podCidr: '10.244.1.0/24' })
  const { plugins, name, cniVersion } = JSON.parse(cniConfiguration(network, '/var/lib/proa/dev/cni'))
  assert.deepEqual([name, cniVersion, plugins.length], ['proa-dev', '1.0.0', 1])
  const { type, bridge, ipMasq, isGateway, ipam } = plugins[0]
  assert.deepEqual({ type, bridge, ipMasq, isGateway }, { type: 'bridge', bridge: 'proa-dev', ipMasq: false, isGateway: true })
  assert.deepEqual(ipam.ranges, [[{ subnet: '10.244.1.0/24', gateway: '10.244.1.1' }]])
})

test('pod network: names of links fit the kernel', () => {
  assert.equal(bridgeName('0123456789'), 'proa-0123456789')
  for (const id of ['01234567890', 'a b', '', 'A']) if (id !== '') assert.throws(() => bridgeName(id), /is no name for a link/)
})

test('pod network: routes to other nodes by their internal address', () => {
  const node = (name: string, cidr: string, ...addresses: [string, string][]): Node => ({
    metadata: { name },
    spec: { podCIDR: cidr, podCIDRs: [cidr] },
    status: { addresses: addresses.map(([type, address]) => ({ type, address })) },
  })
  const nodes = [
    node('c', '10.244.2.0/24', ['Hostname', 'c'], ['InternalIP', '192.0.2.3']),
    node('a', '10.244.0.0/24', ['InternalIP', '192.0.2.1']),
    node('b', '10.244.1.0/24', ['ExternalIP', '203.0.113.1'], ['InternalIP', 'fd00::2'], ['InternalIP', '192.0.2.2']),
    node('d', '10.244.3.0/24', ['InternalIP', 'fd00::4']),
    { metadata: { name: 'new' } },
  ]
  assert.deepEqual(planRoutes(nodes, 'a'), [
    { cidr: '10.244.1.0/24', via: '192.0.2.2' },
    { cidr: '10.244.2.0/24', via: '192.0.2.3' },
  ])
})
