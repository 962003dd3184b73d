import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PersistentVolume, PersistentVolumeClaim } from '../../api/generated/core/v1.ts'
import { mismatch } from './matching.ts'
import { boundClaim, boundVolume, claimStatus, planClaim, volumePhase } from './plan.ts'

const accessModes = ['ReadWriteOnce']
const claim = (spec: PersistentVolumeClaim['spec'] = {}, annotations?: Record<string, string>): PersistentVolumeClaim => ({
  metadata: { namespace: 'n', name: 'c', uid: 'u', ...(annotations ? { annotations } : {}) },
  spec: { accessModes, resources: { requests: { storage: '1Gi' } }, ...spec },
})
const volume = (spec: PersistentVolume['spec'] = {}, phase = 'Available'): PersistentVolume => ({
  metadata: { name: 'v' },
  spec: { accessModes, capacity: { storage: '1Gi' }, ...spec },
  status: { phase },
})
const mine = { namespace: 'n', name: 'c', uid: 'u' }
const other = { namespace: 'n', name: 'd', uid: 'w' }
const done = { 'pv.kubernetes.io/bind-completed': 'yes' }

test('what a claim needs next', () => {
  const rows: readonly [name: string, PersistentVolumeClaim, PersistentVolume | undefined, expected: string][] = [
    ['a free volume', claim(), volume(), 'bind'],
    ['one that is not available yet', claim(), volume({}, 'Pending'), 'wait FailedBinding'],
    ['one kept for it', claim(), volume({ claimRef: { namespace: 'n', name: 'c' } }), 'bind'],
    ['one kept for another', claim(), volume({ claimRef: other }), 'wait FailedBinding'],
    ['the one that it names', claim({ volumeName: 'v' }), volume(), 'bind'],
    ['the one that it names is not there', claim({ volumeName: 'v' }), undefined, 'wait '],
    ['the one that it names is small', claim({ volumeName: 'v' }), volume({ capacity: { storage: '1Mi' } }), 'wait VolumeMismatch'],
    ['the one that it names is taken', claim({ volumeName: 'v' }), volume({ claimRef: other }), 'wait FailedBinding'],
    ['bound and well', claim({ volumeName: 'v' }, done), volume({ claimRef: mine }), 'bind'],
    ['bound, and the volume is gone', claim({ volumeName: 'v' }, done), undefined, 'lost ClaimLost'],
    ["bound, and the volume is another's", claim({ volumeName: 'v' }, done), volume({ claimRef: other }), 'lost ClaimMisbound'],
  ]
  for (const [name, object, candidate, expected] of rows) {
    const plan = planClaim({
      claim: object,
      volumeNamed: () => candidate,
      candidates: candidate ? [candidate] : [],
      storageClass: undefined,
    })
    assert.equal(plan.type === 'bind' ? 'bind' : `${plan.type} ${plan.event?.[1] ?? ''}`, expected, name)
  }
})

test('why a volume does not fit', () => {
  assert.equal(mismatch(volume(), claim()), undefined)
  assert.equal(mismatch(volume({ storageClassName: 'x' }), claim()), 'storageClassName does not match')
  assert.equal(mismatch(volume({ volumeMode: 'Block' }), claim()), 'incompatible volumeMode')
  assert.equal(mismatch(volume(), claim({ accessModes: ['ReadWriteMany'] })), 'incompatible accessMode')
})

test('binding is written once, on both', () => {
  const first = boundVolume(volume(), claim())
  assert.deepEqual([first.spec?.claimRef?.uid, first.metadata?.annotations], ['u', { 'pv.kubernetes.io/bound-by-controller': 'yes' }])
  assert.equal(boundVolume(first, claim()), first)
  const bound = boundClaim(claim(), 'v')
  assert.equal(bound.spec?.volumeName, 'v')
  assert.equal(boundClaim(bound, 'v'), bound)
  const status = claimStatus(claim(), 'Bound', volume())
  assert.deepEqual(status, { phase: 'Bound', accessModes, capacity: { storage: '1Gi' } })
  const grown = { ...status, capacity: { storage: '2Gi' } }
  assert.equal(claimStatus({ ...claim(), status: grown }, 'Bound', volume()), grown)
  assert.deepEqual(claimStatus({ status }, 'Lost', undefined), { phase: 'Lost' })
})

test('phases of a volume', () => {
  assert.equal(volumePhase(volume(), undefined), 'Available')
  assert.equal(volumePhase(volume({ claimRef: { name: 'c' } }), undefined), 'Available')
  assert.equal(volumePhase(volume({ claimRef: mine }), claim({ volumeName: 'v' })), 'Bound')
  assert.equal(volumePhase(volume({ claimRef: mine }), claim()), undefined)
  assert.equal(volumePhase(volume({ claimRef: mine }), undefined), 'Released')
})
