import assert from 'node:assert/strict'
import { test } from 'node:test'
import { randomInt, seededRandom } from '../base/random.ts'
import { SortedMap } from './sorted-map.ts'

const walked = (map: SortedMap<number>, prefix: string, after?: string): string[] => {
  const keys: string[] = []
  map.walk(prefix, after, (_value, key) => void keys.push(key))
  return keys
}

test('is what a sorted list of the same keys is, whatever is done to it', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seededRandom(seed)
    const map = new SortedMap<number>()
    const model = new Map<string, number>()
    for (let step = 0; step < 4000; step++) {
      const key = `${'ab'[randomInt(random, 2)]}/${randomInt(random, 1500)}`
      if (random.next() < 0.3) assert.equal(map.delete(key), model.delete(key), `seed ${seed}`)
      else {
        map.set(key, step)
        model.set(key, step)
      }
    }
    const keys = [...model.keys()].toSorted()
    assert.deepEqual(walked(map, ''), keys, `seed ${seed}`)
    assert.equal(map.size, model.size)
    for (const key of keys) assert.equal(map.get(key), model.get(key))
    assert.deepEqual(
      walked(map, 'b/'),
      keys.filter((key) => key.startsWith('b/')),
    )
    const middle = keys[Math.floor(keys.length / 3)]!
    assert.deepEqual(
      walked(map, 'a/', middle),
      keys.filter((key) => key.startsWith('a/') && key > middle),
    )
    assert.deepEqual(
      walked(map, 'b/', middle),
      keys.filter((key) => key.startsWith('b/') && key > middle),
    )
  }
})

test('keys that come in order are found, and the walk stops when told', () => {
  const map = new SortedMap<number>()
  for (let i = 0; i < 5000; i++) map.set(String(i).padStart(5, '0'), i)
  assert.equal(map.get('04999'), 4999)
  let seen = 0
  map.walk('', '00010', () => ++seen < 3)
  assert.equal(seen, 3)
  assert.equal(map.get('x'), undefined)
  assert.equal(map.delete('x'), false)
})
