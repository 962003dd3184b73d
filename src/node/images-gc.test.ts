import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Image } from './container-runtime.ts'
import { bytesOverMark, imagesToFree, recordImages } from './images-gc.ts'

const image = (id: string, sizeBytes = 100): Image => ({ id, tags: [], digests: [], sizeBytes })

test('the least recently used go first, those in use and new ones never', () => {
  const all = ['a', 'b', 'c', 'd'].map((id) => image(id))
  let known = recordImages(new Map(), all, ({ id }) => id === 'a' || id === 'b', 1000)
  known = recordImages(known, all, ({ id }) => id === 'b', 2000)
  known = recordImages(known, [...all, image('new')], ({ id }) => id === 'd', 10_000)
  const freed = (bytes: number, minimumAgeMs = 5000) => imagesToFree(known.values(), bytes, 10_000, minimumAgeMs).map(({ id }) => id)
  assert.deepEqual(freed(Infinity), ['c', 'a', 'b'])
  assert.deepEqual(freed(101), ['c', 'a'])
  assert.deepEqual(freed(0), [])
  assert.deepEqual(freed(Infinity, 0).toSorted(), ['a', 'b', 'c', 'new'])
})

test('how much is to go', () => {
  const over = (availableBytes: number) => bytesOverMark({ capacityBytes: 1000, availableBytes }, { high: 85, low: 80 })
  assert.deepEqual([over(300), over(160), over(151), over(20)], [0, 0, 49, 180])
})
