import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMemoryStore } from './memory.ts'
import { storeConformance } from './suite.test.ts'

storeConformance('memory', async (options) => createMemoryStore(options))

test('memory: a commit is applied before the call returns', () => {
  const store = createMemoryStore()
  void store.commit([{ key: '/a', value: new Uint8Array(1) }])
  assert.equal(store.revision, 1)
})

test('memory: a key may be written once a commit', async () => {
  const change = { key: '/a', value: new Uint8Array(1) }
  await assert.rejects(createMemoryStore().commit([change, change]), { name: 'AssertionFailure' })
})
