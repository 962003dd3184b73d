import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createHeap } from './heap.ts'

test('a heap pops in order, whatever was pushed and removed', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 50 }), fc.boolean())), (steps) => {
      const heap = createHeap<{ value: number }>((a, b) => a.value < b.value)
      const model: { value: number }[] = []
      for (const [value, isRemoval] of steps) {
        if (isRemoval && model.length > 0) {
          const [victim] = model.splice(value % model.length, 1)
          assert.equal(heap.remove(victim!), true)
          assert.equal(heap.remove(victim!), false)
        } else {
          const item = { value }
          model.push(item)
          heap.push(item)
        }
      }
      const popped: number[] = []
      for (let item = heap.pop(); item; item = heap.pop()) popped.push(item.value)
      assert.deepEqual(
        popped,
        model.map((item) => item.value).toSorted((a, b) => a - b),
      )
    }),
  )
})
