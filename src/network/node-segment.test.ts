import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodePodRange, planNodeSegment, segmentAddress, segmentTableText } from './node-segment.ts'

const options = { id: '0123abcd', cidr: '172.30.7.0/24', podCidr: '10.244.0.0/16', nodeCount: 3, mtu: 1400 }

test('each node has its address and its range of pods', () => {
  assert.deepEqual(
    [1, 2, 3].map((index) => [segmentAddress(options.cidr, index), nodePodRange(options.podCidr, index)]),
    [
      ['172.30.7.1', '10.244.0.0/24'],
      ['172.30.7.2', '10.244.1.0/24'],
      ['172.30.7.3', '10.244.2.0/24'],
    ],
  )
  assert.equal(nodePodRange('200.1.0.0/16', 256), '200.1.255.0/24')
  assert.throws(() => nodePodRange('10.244.0.0/16', 257), /no place/)
})

test('links have names that the kernel takes, and that no other cluster looks for', () => {
  const segment = planNodeSegment(options)
  assert.deepEqual([segment.bridge, segment.gateway, segment.mtu], ['pn-0123abcd', '172.30.7.1/24', 1400])
  assert.deepEqual(segment.members, [
    { namespace: 'proa-0123abcd-2', link: 'pn2-0123abcd', address: '172.30.7.2/24' },
    { namespace: 'proa-0123abcd-3', link: 'pn3-0123abcd', address: '172.30.7.3/24' },
  ])
  assert.throws(() => planNodeSegment({ ...options, id: '0123456789abc' }), /too long/)
})

test('only what leaves the cluster is hidden behind the machine', () => {
  const text = segmentTableText(planNodeSegment(options))
  assert.match(
    text,
    /ip saddr 172\.30\.7\.0\/24 ip daddr != \{ 172\.30\.7\.0\/24, 10\.244\.0\.0\/16 \} oifname != "pn-0123abcd" masquerade/,
  )
})
