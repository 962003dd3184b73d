import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { applyJsonPatch } from './json-patch.ts'
import { applyMergePatch } from './merge-patch.ts'
import type { Json } from './object.ts'
import { schemaOf } from './schema-table.ts'
import { applyStrategicMerge } from './strategic-merge.ts'

const typeOf = (name: string) => {
  const type = schemaOf(name)
  assert.ok(type, name)
  return type
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(freeze)
  return value
}

test('merge patch: the examples of RFC 7386', () => {
  for (const [original, patch, result] of [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ] as const) {
    assert.deepEqual(applyMergePatch(freeze(original), freeze(patch)), result)
  }
  const original = freeze({ a: { x: 1 }, b: { y: 2 } })
  assert.equal(applyMergePatch(original, { a: { x: 1 }, c: null }), original)
  assert.equal(applyMergePatch(original, { a: { x: 2 } }).b, original.b)
  assert.throws(() => applyMergePatch({}, []), { code: 400 })
})

const object = fc.dictionary(
  fc.stringMatching(/^[a-z]{1,3}$/),
  fc.jsonValue({ maxDepth: 3 }).filter((value) => !JSON.stringify(value).includes('__proto__')),
  { noNullPrototype: true },
) as fc.Arbitrary<Record<string, Json>>

test('a merge patch applied twice is applied once', () => {
  fc.assert(
    fc.property(object, object, (original, patch) => {
      const once = applyMergePatch(freeze(original), freeze(patch))
      assert.deepEqual(applyMergePatch(once, patch), once)
    }),
  )
})

const isRecord = (value: Json | undefined): value is Record<string, Json> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The merge patch between two objects without nulls (RFC 7386, 1). */
function mergePatchBetween(from: Record<string, Json>, to: Record<string, Json>): Record<string, Json> {
  const patch: Record<string, Json> = {}
  for (const key of Object.keys(from)) if (!Object.hasOwn(to, key)) patch[key] = null
  for (const [key, value] of Object.entries(to)) {
    const before = Object.hasOwn(from, key) ? from[key] : undefined
    if (isRecord(before) && isRecord(value)) patch[key] = mergePatchBetween(before, value)
    else patch[key] = value
  }
  return patch
}

const withoutNulls = (value: Json): Json => {
  if (!isRecord(value)) return value
  const kept = Object.entries(value).filter(([, inner]) => inner !== null)
  return Object.fromEntries(kept.map(([key, inner]) => [key, withoutNulls(inner)]))
}

test('the merge patch between two objects makes one the other', () => {
  fc.assert(
    fc.property(object, object, (from, to) => {
      const [a, b] = [withoutNulls(from), withoutNulls(to)] as [Record<string, Json>, Record<string, Json>]
      assert.deepEqual(applyMergePatch(freeze(a), freeze(mergePatchBetween(a, b))), b)
    }),
  )
})

test('JSON patch: every operation', () => {
  for (const [original, patch, result] of [
    [{ a: 1 }, [{ op: 'add', path: '/b', value: 2 }], { a: 1, b: 2 }],
    [{ a: [1, 3] }, [{ op: 'add', path: '/a/1', value: 2 }], { a: [1, 2, 3] }],
    [{ a: [1] }, [{ op: 'add', path: '/a/-', value: 2 }], { a: [1, 2] }],
    [{ a: [1, 2] }, [{ op: 'remove', path: '/a/-1' }], { a: [1] }],
    [{ 'a/b': { 'c~d': 1 } }, [{ op: 'replace', path: '/a~1b/c~0d', value: 2 }], { 'a/b': { 'c~d': 2 } }],
    [{ a: { b: 1 } }, [{ op: 'move', from: '/a/b', path: '/c' }], { a: {}, c: 1 }],
    [
      { a: { b: [1] } },
      [
        { op: 'copy', from: '/a', path: '/c' },
        { op: 'add', path: '/c/b/-', value: 2 },
      ],
      { a: { b: [1] }, c: { b: [1, 2] } },
    ],
    [
      { a: { b: [1] } },
      [
        { op: 'test', path: '/a', value: { b: [1] } },
        { op: 'test', path: '/x', value: null },
      ],
      { a: { b: [1] } },
    ],
  ] as const) {
    assert.deepEqual(applyJsonPatch(freeze(original), freeze(patch)), result)
  }
})

test('JSON patch: what does not fit changes nothing and says no more than upstream', () => {
  for (const patch of [
    [{ op: 'remove', path: '/b' }],
    [{ op: 'replace', path: '/l/1', value: 1 }],
    [{ op: 'add', path: '', value: {} }],
    [{ op: 'add', path: '/b/c', value: 1 }],
    [{ op: 'test', path: '/a', value: 2 }],
    [{ op: 'add', path: '/l/3', value: 2 }],
    [{ op: 'spin', path: '/a' }],
    [{ op: 'add', path: '/__proto__/x', value: 1 }],
    [{ op: 'add', path: 'a', value: 1 }],
  ]) {
    assert.throws(() => applyJsonPatch(freeze({ a: 1, l: [1] }), patch), {
      code: 422,
      message: 'the server rejected our request due to an error in our request',
    })
  }
  assert.throws(
    () =>
      applyJsonPatch(
        {},
        Array.from({ length: 10_001 }, () => ({ op: 'test', path: '/a', value: null })),
      ),
    { code: 413 },
  )
  const doubling = Array.from({ length: 60 }, (_, index) => ({ op: 'copy', from: '/a', path: `/a/k${index}` }))
  assert.throws(() => applyJsonPatch({ a: { x: 'x'.repeat(1000) } }, doubling), { code: 422 })
})

const pod = freeze({
  metadata: { name: 'p', labels: { a: '1', b: '2' }, finalizers: ['x', 'y'] },
  spec: {
    containers: [
      { name: 'a', image: 'a:1', ports: [{ containerPort: 80, name: 'http' }], env: [{ name: 'E', value: '1' }] },
      { name: 'b', image: 'b:1' },
    ],
    tolerations: [{ key: 't1' }],
    volumes: [{ name: 'v', emptyDir: {} }],
  },
})

const image = fc.constantFrom('i:1', 'i:2')
const named = fc.constantFrom('a', 'b', 'c')
const variable = fc.record({ name: named, value: image }, { noNullPrototype: true })
const patchedContainer = fc.record(
  { name: named, image, env: fc.uniqueArray(variable, { selector: (one) => one.name, maxLength: 3 }) },
  { noNullPrototype: true, requiredKeys: ['name'] },
)
const podPatch = fc.record(
  {
    metadata: fc.record({ labels: fc.dictionary(named, fc.option(image), { noNullPrototype: true }) }, { noNullPrototype: true }),
    spec: fc.record(
      { containers: fc.uniqueArray(patchedContainer, { selector: (one) => one.name, maxLength: 3 }) },
      { noNullPrototype: true },
    ),
  },
  { noNullPrototype: true, requiredKeys: [] },
)

test('a strategic merge applied twice is applied once, and says what it said', () => {
  fc.assert(
    fc.property(podPatch, (patch) => {
      const once = applyStrategicMerge(pod, freeze(patch) as Json, typeOf('core/v1.Pod'))
      assert.deepEqual(applyStrategicMerge(once, patch as Json, typeOf('core/v1.Pod')), once)
      const merged = new Map(once.spec.containers.map((one) => [one.name, one]))
      for (const { name, image: wanted } of patch.spec?.containers ?? []) {
        if (wanted !== undefined) assert.equal(merged.get(name)?.image, wanted)
      }
    }),
  )
})

for (const [what, patch, expected] of [
  [
    'a map merges, null deletes',
    { metadata: { labels: { a: null, c: '3' } } },
    { metadata: { ...pod.metadata, labels: { b: '2', c: '3' } } },
  ],
  [
    'a list with a merge key merges by it; new elements go first, as the patch orders',
    {
      spec: {
        containers: [
          { name: 'c', image: 'c:1' },
          { name: 'b', image: 'b:2' },
        ],
      },
    },
    { spec: { ...pod.spec, containers: [{ name: 'c', image: 'c:1' }, pod.spec.containers[0], { name: 'b', image: 'b:2' }] } },
  ],
  [
    '$patch: delete removes one element',
    { spec: { containers: [{ name: 'a', $patch: 'delete' }] } },
    { spec: { ...pod.spec, containers: [pod.spec.containers[1]] } },
  ],
  [
    '$patch: replace replaces the list',
    { spec: { containers: [{ $patch: 'replace' }, { name: 'z', image: 'z' }] } },
    { spec: { ...pod.spec, containers: [{ name: 'z', image: 'z' }] } },
  ],
  [
    '$patch: replace replaces the map',
    { metadata: { labels: { $patch: 'replace', z: '9' } } },
    { metadata: { ...pod.metadata, labels: { z: '9' } } },
  ],
  ['an atomic list is replaced', { spec: { tolerations: [{ key: 't2' }] } }, { spec: { ...pod.spec, tolerations: [{ key: 't2' }] } }],
  [
    'a primitive list with strategy merge is united',
    { metadata: { finalizers: ['z', 'x'] } },
    { metadata: { ...pod.metadata, finalizers: ['z', 'x', 'y'] } },
  ],
  [
    '$deleteFromPrimitiveList',
    { metadata: { '$deleteFromPrimitiveList/finalizers': ['x'] } },
    { metadata: { ...pod.metadata, finalizers: ['y'] } },
  ],
  [
    '$retainKeys clears the other members of a union',
    { spec: { volumes: [{ name: 'v', $retainKeys: ['name', 'hostPath'], hostPath: { path: '/x' } }] } },
    { spec: { ...pod.spec, volumes: [{ name: 'v', hostPath: { path: '/x' } }] } },
  ],
  [
    '$setElementOrder orders',
    { spec: { '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }], containers: [{ name: 'b', image: 'b:2' }] } },
    { spec: { ...pod.spec, containers: [{ name: 'b', image: 'b:2' }, pod.spec.containers[0]] } },
  ],
] as const) {
  test(`strategic merge: ${what}`, () => {
    assert.deepEqual(applyStrategicMerge(pod, freeze(patch as Json), typeOf('core/v1.Pod')), { ...pod, ...expected })
  })
}

test('strategic merge: refusals', () => {
  const apply = (patch: Json) => applyStrategicMerge(pod, patch, typeOf('core/v1.Pod'))
  assert.throws(() => apply({ spec: { containers: [{ image: 'x' }] } }), {
    message: 'map: map[image:x] does not contain declared merge key: name',
  })
  assert.throws(() => apply({ spec: { volumes: [{ name: 'v', $retainKeys: ['name'], hostPath: { path: '/x' } }] } }), {
    code: 400,
    message: 'invalid patch format of retainKeys',
  })
  assert.throws(() => apply({ metadata: { '$setElementOrder/finalizers': 'x' } }), {
    code: 400,
    message: 'invalid patch format of setElementOrder list',
  })
  assert.throws(() => apply({ metadata: { $patch: 'melt' } }), { message: 'unknown patch type: melt in map: map[$patch:melt]' })
})

test('strategic merge shares what the patch does not touch', () => {
  const result = applyStrategicMerge(pod, { metadata: { labels: { c: '3' } } }, typeOf('core/v1.Pod'))
  assert.equal(result.spec, pod.spec)
  assert.equal(result.metadata.finalizers, pod.metadata.finalizers)
})
