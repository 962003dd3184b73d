import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node, NodeSelectorRequirement } from './generated/core/v1.ts'
import { matchesRequiredNodeAffinity, matchesTerm } from './node-selector.ts'

const node: Node = { metadata: { name: 'n1', labels: { disk: 'ssd', cores: '8' } } }
const meets = (requirement: NodeSelectorRequirement): boolean => matchesTerm({ matchExpressions: [requirement] }, node)

test('requirements on labels, numbers among them', () => {
  assert.equal(meets({ key: 'disk', operator: 'In', values: ['ssd', 'nvme'] }), true)
  assert.equal(meets({ key: 'disk', operator: 'NotIn', values: ['ssd'] }), false)
  assert.equal(meets({ key: 'cores', operator: 'Gt', values: ['7'] }), true)
  assert.equal(meets({ key: 'disk', operator: 'Gt', values: ['7'] }), false)
  assert.equal(meets({ key: 'disk', operator: 'Near', values: ['ssd'] }), false)
})

test('labels are those of the node alone, not what every JavaScript object has', () => {
  assert.equal(meets({ key: 'constructor', operator: 'Exists' }), false)
  assert.equal(meets({ key: 'toString', operator: 'DoesNotExist' }), true)
})

test('a pod wants its node selector and one of the terms; a term without requirements matches nothing', () => {
  const required = (...nodeSelectorTerms: Parameters<typeof matchesTerm>[0][]) => ({
    nodeSelector: { disk: 'ssd' },
    affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } },
  })
  const named = (name: string) => ({ matchFields: [{ key: 'metadata.name', operator: 'In', values: [name] }] })
  assert.equal(matchesRequiredNodeAffinity(required(named('n2'), named('n1')), node), true)
  assert.equal(matchesRequiredNodeAffinity(required(named('n2')), node), false)
  assert.equal(matchesRequiredNodeAffinity(required({}), node), false)
  assert.equal(matchesRequiredNodeAffinity({ nodeSelector: { disk: 'hdd' } }, node), false)
})
