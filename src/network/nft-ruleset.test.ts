import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Ruleset } from './nft-ruleset.ts'
import { serviceTable, type TableOptions } from './nft-table.ts'
import type { ServiceRule as Rule } from './service-proxy.ts'

const options: TableOptions = { name: 'proa-t', family: 'ip', clusterCidrs: ['10.244.0.0/16'], nodeCidr: '10.244.0.0/24', bridge: 'proa-t' }
const make = (changes: Partial<TableOptions> = {}) => new Ruleset(serviceTable({ ...options, ...changes }))
const rule = (set: Rule['set'], key: string, value = ''): Rule => ({ set, key, value })

test('ruleset: only differences, deletions before additions', () => {
  const ruleset = make()
  ruleset.set('a', [rule('services', 'A', 'goto lb-1'), rule('hairpin', 'h')])
  assert.deepEqual(ruleset.take().commands, ['add element ip proa-t services { A : goto lb-1 }', 'add element ip proa-t hairpin { h }'])
  ruleset.set('a', [rule('services', 'A', 'goto lb-1'), rule('hairpin', 'h')])
  assert.deepEqual(ruleset.take(), { commands: [], needsLoad: false, staleFlows: [] })
  ruleset.set('a', [rule('services', 'A', 'goto lb-2')])
  assert.deepEqual(ruleset.take().commands, [
    'delete element ip proa-t services { A }',
    'delete element ip proa-t hairpin { h }',
    'add element ip proa-t services { A : goto lb-2 }',
  ])
  ruleset.set('a', [])
  assert.deepEqual(ruleset.take().commands, ['delete element ip proa-t services { A }'])
})

test('ruleset: what comes and goes between two applications is nothing', () => {
  const ruleset = make()
  ruleset.set('a', [rule('services', 'A', 'drop')])
  ruleset.set('a', [])
  assert.deepEqual(ruleset.take().commands, [])
})

test('ruleset: what several want stays until the last lets go; of two values the first holds', () => {
  const ruleset = make()
  ruleset.set('a', [rule('hairpin', 'h'), rule('services', 'X', 'goto lb-1')])
  ruleset.set('b', [rule('hairpin', 'h'), rule('services', 'X', 'goto lb-2')])
  assert.deepEqual(ruleset.take().commands, ['add element ip proa-t hairpin { h }', 'add element ip proa-t services { X : goto lb-1 }'])
  ruleset.set('a', [])
  assert.deepEqual(ruleset.take().commands, ['delete element ip proa-t services { X }', 'add element ip proa-t services { X : goto lb-2 }'])
  ruleset.set('b', [])
  assert.equal(ruleset.take().commands.length, 2)
})

test('ruleset: chains are made before what leads to them and go after it', () => {
  const ruleset = make()
  ruleset.set('a', [rule('services', 'X', 'goto c'), rule('chain', 'c', 'one\ntwo'), rule('affinity', 'e', 'three')])
  assert.deepEqual(ruleset.take().commands, [
    'add chain ip proa-t c',
    'add set ip proa-t e { type ipv4_addr; flags dynamic,timeout; size 65535; }',
    'add chain ip proa-t e',
    'add rule ip proa-t c one',
    'add rule ip proa-t c two',
    'add rule ip proa-t e three',
    'add element ip proa-t services { X : goto c }',
  ])
  ruleset.set('a', [rule('chain', 'c', 'one')])
  assert.deepEqual(ruleset.take().commands, [
    'flush chain ip proa-t c',
    'add rule ip proa-t c one',
    'delete element ip proa-t services { X }',
    'flush chain ip proa-t e',
    'delete chain ip proa-t e',
    'delete set ip proa-t e',
  ])
})

test('ruleset: UDP flows to forget', () => {
  const ruleset = make()
  ruleset.set('a', [rule('front', '10.96.0.1 53'), rule('flow', '10.96.0.1 53 10.0.0.1 5353')])
  assert.deepEqual(ruleset.take().staleFlows, [{ address: '10.96.0.1', port: 53 }])
  ruleset.set('a', [rule('front', '10.96.0.1 53'), rule('flow', '10.96.0.1 53 10.0.0.2 5353')])
  assert.deepEqual(ruleset.take().staleFlows, [{ address: '10.96.0.1', port: 53, endpoint: { address: '10.0.0.1', port: 5353 } }])
})

test('ruleset: a new large spread needs the table loaded, which then has its chain', () => {
  const ruleset = make()
  ruleset.set('a', [rule('spread', '200')])
  assert.equal(ruleset.take().needsLoad, true)
  assert.ok(ruleset.full().includes('chain local-lb-200 {'))
  assert.equal(ruleset.take().needsLoad, false)
})

test('ruleset: a whole load holds everything wanted, and leaves nothing to apply', () => {
  const ruleset = make()
  ruleset.set(
    'a',
    Array.from({ length: 40_001 }, (_, i) => rule('cluster-ips', `10.${i >> 16}.${i >> 8}.${i & 255}`)),
  )
  const text = ruleset.full()
  assert.equal(text.match(/^add element ip proa-t cluster-ips/gm)!.length, 3)
  assert.deepEqual(ruleset.take().commands, [])
})

test('ruleset: names that would be read as commands are refused', () => {
  assert.throws(() => make({ name: 'x; flush ruleset' }), { name: 'AssertionFailure' })
})
