import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../api/generated/core/v1.ts'
import { rejectionOf } from './admission.ts'

const room = { cpuMilli: 1000, memoryBytes: 1e9, pods: 10, pressure: [], allowedSysctls: [] }
const listening = (hostPort: number, more: { readonly hostIP?: string; readonly protocol?: string } = {}): Pod => ({
  spec: { containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80, hostPort, ...more }] }] },
})

test('a pod whose host port another pod has is rejected, as the scheduler would not have placed it', () => {
  const others = [listening(8080)]
  assert.deepEqual(rejectionOf(listening(8080), others, room), {
    reason: 'NodePorts',
    message: "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
  })
  assert.equal(rejectionOf(listening(8081), others, room), undefined)
  assert.equal(rejectionOf(listening(8080, { protocol: 'UDP' }), others, room), undefined)
  assert.equal(rejectionOf(listening(9, { hostIP: '10.0.0.1' }), [listening(9, { hostIP: '10.0.0.2' })], room), undefined)
})
