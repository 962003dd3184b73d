import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../../api/generated/core/v1.ts'
import { selectPodsToDelete } from './deletion-order.ts'

const nowMs = Date.UTC(2026, 0, 2)
interface Shape {
  readonly node?: string
  readonly phase?: string
  readonly readyFor?: number
  readonly cost?: string
  readonly restarts?: number
  readonly age?: number
}
const time = (secondsAgo: number) => new Date(nowMs - secondsAgo * 1000).toISOString()

function pod(name: string, { node = 'n1', phase = 'Running', readyFor = 100, cost, restarts = 0, age = 1000 }: Shape = {}): Pod {
  return {
    metadata: {
      name,
      uid: name,
      creationTimestamp: time(age),
      ...(cost ? { annotations: { 'controller.kubernetes.io/pod-deletion-cost': cost } } : {}),
    },
    spec: { nodeName: node, containers: [] },
    status: {
      phase,
      conditions: readyFor < 0 ? [] : [{ type: 'Ready', status: 'True', lastTransitionTime: time(readyFor) }],
      containerStatuses: [{ name: 'c', restartCount: restarts, ready: true, image: '', imageID: '' }],
    },
  }
}

test('what serves least goes first', () => {
  const rows: readonly [string, Pod, Pod, (readonly Pod[])?][] = [
    ['unassigned before assigned', pod('b', { node: '', readyFor: -1 }), pod('a')],
    ['pending before running', pod('b', { phase: 'Pending' }), pod('a')],
    ['not ready before ready', pod('b', { readyFor: -1 }), pod('a')],
    ['the cheaper first', pod('b', { cost: '-5' }), pod('a', { cost: '1' })],
    ['on a crowded node first', pod('b', { node: 'n2' }), pod('a'), [pod('x', { node: 'n2' }), pod('y', { node: 'n2' }), pod('z')]],
    ['ready for a shorter time first', pod('b', { readyFor: 1 }), pod('a', { readyFor: 1000 })],
    ['more restarts first', pod('b', { readyFor: 5, restarts: 3 }), pod('a', { readyFor: 5 })],
    ['younger first', pod('b', { readyFor: 5, age: 10 }), pod('a', { readyFor: 5, age: 5000 })],
    ['ages of one magnitude are decided by the uid', pod('a', { readyFor: 5, age: 1010 }), pod('b', { readyFor: 5, age: 1000 })],
  ]
  for (const [name, first, second, related = []] of rows) {
    assert.equal(selectPodsToDelete([second, first], related, 1, nowMs)[0], first, name)
    assert.equal(selectPodsToDelete([first, second], related, 1, nowMs)[0], first, `${name}, the other way round`)
  }
})
