import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { sha256 } from './sha256.ts'

test('SHA-256 as OpenSSL computes it, around the length of a block', () => {
  for (const text of ['', 'abc', 'apps/v1/Deployment', 'ü', ...[55, 56, 63, 64, 65, 1000].map((length) => 'x'.repeat(length))]) {
    assert.deepEqual(Buffer.from(sha256(text)).toString('hex'), createHash('sha256').update(text).digest('hex'), text)
  }
})
