import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { test } from 'node:test'
import { dataDirectory, type ClusterRecord } from './data-directory.ts'
import { nodeAddress } from './machine.ts'
import { nodeLayouts, nodeSegment } from './node-layout.ts'

const record: ClusterRecord = {
  id: '0123abcd',
  name: 'default',
  port: 6443,
  runtime: 'containerd',
  nodes: 1,
  podCidr: '10.244.0.0/16',
  serviceCidr: '10.96.0.0/16',
  dnsAddress: '10.96.0.10',
  store: 'sqlite',
}
const directory = dataDirectory('/data')
const machine = hostname().toLowerCase()

test('a single node is the machine, at the machine’s address', () => {
  const [only, ...others] = nodeLayouts(directory, record)
  assert.equal(nodeSegment(record), undefined)
  assert.deepEqual(others, [])
  assert.deepEqual(
    [only?.name, only?.address, only?.directory, only?.cgroupRoot, only?.netns, only?.podNetwork.podCidr],
    [machine, nodeAddress(), '/data/node', '/proa-0123abcd', undefined, '10.244.0.0/24'],
  )
})

test('several nodes are on one segment, the others in namespaces with directories and cgroups of their own', () => {
  const layouts = nodeLayouts(directory, { ...record, nodes: 3, nodeCidr: '172.30.7.0/24' })
  assert.deepEqual(
    layouts.map(({ name, address, directory: path, cgroupRoot, netns, podNetwork }) => [
      name,
      address,
      path,
      cgroupRoot,
      netns,
      podNetwork.gateway,
    ]),
    [
      [machine, '172.30.7.1', '/data/node', '/proa-0123abcd', undefined, '10.244.0.1/24'],
      [`${machine}-2`, '172.30.7.2', '/data/nodes/2', '/proa-0123abcd/node-2', '/run/netns/proa-0123abcd-2', '10.244.1.1/24'],
      [`${machine}-3`, '172.30.7.3', '/data/nodes/3', '/proa-0123abcd/node-3', '/run/netns/proa-0123abcd-3', '10.244.2.1/24'],
    ],
  )
})
