import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allocateBlock, parseCidr } from './plan.ts'

test('blocks are given in turn, round the network, until all are taken', () => {
  const network = parseCidr('10.244.252.0/22')
  const used = new Set(['10.244.253.0/24'])
  const given: string[] = []
  let next = 2
  for (let found = allocateBlock(network, 24, (block) => used.has(block), next); found;) {
    given.push(found.block)
    used.add(found.block)
    next = found.next
    found = allocateBlock(network, 24, (block) => used.has(block), next)
  }
  assert.deepEqual(given, ['10.244.254.0/24', '10.244.255.0/24', '10.244.252.0/24'])
  used.delete('10.244.253.0/24')
  assert.equal(allocateBlock(network, 24, (block) => used.has(block), next)?.block, '10.244.253.0/24')
})
