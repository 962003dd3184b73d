import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Lines } from './watching.ts'

test('every line of a watch is counted once and the last whole one is known, however the bytes are cut', () => {
  const text = '{"a":1}\n{"b":22}\n\n{"c":333}\n{"d":'
  for (let size = 1; size <= text.length; size++) {
    const lines = new Lines()
    for (let at = 0; at < text.length; at += size) lines.add(Buffer.from(text.slice(at, at + size)))
    assert.equal(lines.count, 4, `pieces of ${size}`)
    assert.equal(lines.last(), '{"c":333}', `pieces of ${size}`)
  }
  assert.equal(new Lines().last(), undefined)
})
