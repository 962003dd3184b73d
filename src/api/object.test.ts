import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { Kinds } from './generated/kinds.ts'
import { keyOf, parseKey, type KubeObject } from './object.ts'

/** Compiles only while every generated kind can be used where any object can. */
const anyKind = (object: Kinds[keyof Kinds]): KubeObject => object

test('keys name an object within its kind, both ways', () => {
  const pod = anyKind({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', namespace: 'b' } })
  assert.equal(keyOf(pod), 'b/a')
  assert.deepEqual(parseKey('b/a'), { namespace: 'b', name: 'a' })
  assert.equal(keyOf({ metadata: { name: 'node-1' } }), 'node-1')
  assert.deepEqual(parseKey('node-1'), { name: 'node-1' })
})
