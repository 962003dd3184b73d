import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ReplicaSet } from '../../api/generated/apps/v1.ts'
import { annotationsOfNewSet, REVISION, revisionOfSet } from './revisions.ts'

const set = (revision: string | undefined): ReplicaSet => ({
  metadata: { annotations: revision === undefined ? {} : { [REVISION]: revision } },
})

test('revisions are 64-bit integers, to the last digit', () => {
  assert.equal(revisionOfSet(set('3546343826724305832')), 3546343826724305832n)
  assert.equal(revisionOfSet(set(undefined)), 0n)
  assert.equal(revisionOfSet(set('9223372036854775808')), 0n)
  assert.equal(revisionOfSet(set('x')), 0n)
})

test('the new set takes the next revision; one that is higher or no number stays', () => {
  const revisionAfter = (current: string) => annotationsOfNewSet({ metadata: {} }, { [REVISION]: current }, 3546343826724305833n)[REVISION]
  assert.equal(revisionAfter('1'), '3546343826724305833')
  assert.equal(revisionAfter('3546343826724305834'), '3546343826724305834')
  assert.equal(revisionAfter('mine'), 'mine')
})
