import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../../api/generated/core/v1.ts'
import { claimKeysOf, planProtection, usesClaim, withProtection } from './plan.ts'

const FINALIZER = 'kubernetes.io/pvc-protection'
const deletionTimestamp = '2026-01-01T00:00:00Z'

test('the finalizer comes on what lives and goes from what is deleted and unused', () => {
  const rows = [
    [{}, false, 'add'],
    [{ finalizers: [FINALIZER] }, false, 'nothing'],
    [{ finalizers: [FINALIZER], deletionTimestamp }, true, 'nothing'],
    [{ finalizers: [FINALIZER], deletionTimestamp }, false, 'remove'],
    [{ deletionTimestamp }, false, 'nothing'],
  ] as const
  for (const [metadata, isUsed, expected] of rows)
    assert.equal(
      planProtection({ metadata }, FINALIZER, () => isUsed),
      expected,
    )
  const both = { metadata: { finalizers: ['x', FINALIZER] } }
  assert.deepEqual(withProtection(both, FINALIZER, 'remove').metadata.finalizers, ['x'])
  assert.deepEqual(withProtection({ metadata: {} }, FINALIZER, 'add').metadata, { finalizers: [FINALIZER] })
})

test('a pod uses the claims that it names and those made for it, once it has a node', () => {
  const volumes = [
    { name: 'a', persistentVolumeClaim: { claimName: 'data' } },
    { name: 'b', ephemeral: {} },
    { name: 'c', emptyDir: {} },
  ]
  const pod = (metadata: Pod['metadata'], nodeName?: string): Pod => ({
    metadata: { namespace: 'n', name: 'p', uid: 'u', ...metadata },
    spec: { containers: [], volumes, ...(nodeName ? { nodeName } : {}) },
  })
  assert.deepEqual(claimKeysOf(pod({})), ['n/data', 'n/p-b'])
  const made = { metadata: { name: 'p-b', ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u', controller: true }] } }
  const shutDown = { deletionTimestamp, deletionGracePeriodSeconds: 0 }
  const rows = [
    [pod({}), { metadata: { name: 'data' } }, false],
    [pod({}, 'node'), { metadata: { name: 'data' } }, true],
    [pod(shutDown, 'node'), { metadata: { name: 'data' } }, true],
    [pod({}, 'node'), made, true],
    [pod({}, 'node'), { metadata: { name: 'p-b' } }, false],
    [pod(shutDown, 'node'), made, false],
  ] as const
  for (const [user, claim, expected] of rows)
    assert.equal(usesClaim(user, claim), expected, `${claim.metadata.name} ${user.spec?.nodeName}`)
})
