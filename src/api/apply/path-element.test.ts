import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareElements, isMember, paths, setOf } from './field-set.ts'
import { FieldsError, keyElement, pathText, readFields, valueElement } from './path-element.ts'

test('elements stand in upstream order: fields, keys by their values, values, indexes', () => {
  const sorted = ['f:a', 'f:b', 'k:{"port":80}', 'k:{"port":443}', 'k:{"port":8080}', 'v:2', 'v:10', 'v:"1"', 'v:true', 'i:0', 'i:3']
  assert.deepEqual(sorted.toReversed().toSorted(compareElements), sorted)
})

test('paths are told as upstream tells them', () => {
  const port = keyElement([
    ['containerPort', 80],
    ['protocol', 'TCP'],
  ])
  assert.equal(
    pathText(['f:spec', 'f:containers', keyElement([['name', 'a"b']]), 'f:ports', port]),
    '.spec.containers[name="a\\"b"].ports[containerPort=80,protocol="TCP"]',
  )
  assert.equal(pathText(['f:metadata', 'f:finalizers', valueElement('x/y')]), '.metadata.finalizers[="x/y"]')
  assert.equal(pathText(['f:a', 'i:3', valueElement(true)]), '.a[3][=true]')
})

test('what clients send is read into the canonical form', () => {
  assert.deepEqual(readFields({ 'f:b': {}, 'f:a': { 'k:{ "z": 1, "b": "x" }': { '.': {} } }, 'x:later': {} }), {
    'f:a': { 'k:{"b":"x","z":1}': {} },
    'f:b': {},
  })
  assert.equal(valueElement('a<b'), 'v:"a\\u003cb"', 'as Go writes JSON')
  for (const bad of [{ f: {} }, { foo: {} }, { 'k:1': {} }, { 'v:x': {} }, { 'i:x': {} }, { 'f:a': 1 }, [], null])
    assert.throws(() => readFields(bad), FieldsError, JSON.stringify(bad))
})

test('a field is in a set by itself, or with what is within it', () => {
  const set = setOf(['f:a', 'f:b'], ['f:a'], ['f:c', 'f:d'])
  assert.deepEqual(set, { 'f:a': { '.': {}, 'f:b': {} }, 'f:c': { 'f:d': {} } })
  assert.deepEqual([...paths(set)], [['f:a'], ['f:a', 'f:b'], ['f:c', 'f:d']])
  assert.equal(isMember(set['f:c']), false)
})
