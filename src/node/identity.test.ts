import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../api/generated/core/v1.ts'
import { containerAnnotations, RUNS_TO_COMPLETION_ANNOTATION } from './identity.ts'

test('what is meant to end: init containers and the pods of Jobs, not all that are never restarted', () => {
  const main = { name: 'main', image: 'i' }
  const init = { name: 'init', image: 'i' }
  const roleOf = (container: typeof main, owner?: string, restartPolicy = 'Never') => {
    const ownerReferences = owner ? [{ apiVersion: 'v1', kind: owner, name: 'o', uid: 'u', controller: true }] : []
    const pod: Pod = { metadata: { name: 'p', ownerReferences }, spec: { restartPolicy, containers: [main], initContainers: [init] } }
    return containerAnnotations(pod, container, 0, undefined)[RUNS_TO_COMPLETION_ANNOTATION]
  }
  assert.equal(roleOf(main), undefined)
  assert.equal(roleOf(main, 'Job'), 'regular')
  assert.equal(roleOf(main, 'ReplicaSet', 'Always'), undefined)
  assert.equal(roleOf(init, undefined, 'Always'), 'init')
})
