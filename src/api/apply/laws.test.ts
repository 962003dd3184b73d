/** The laws of apply, tried on made-up objects with sets, maps, structs and lists of each sort. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Json, KubeObject } from '../object.ts'
import { compare } from './compare.ts'
import { difference, intersection, isEmpty, isEqual, ordered, union, type FieldSet } from './field-set.ts'
import { appliedFields } from './fields-of.ts'
import { NOBODY, ownerKey, type Owners } from './managers.ts'
import { merge } from './merge.ts'
import { readFields } from './path-element.ts'
import type { ApplyType } from './schema.ts'
import { shapeOf } from './shape.ts'
import { applyConfiguration, ownersAfterUpdate, type Applied, type Versions } from './update-owners.ts'

const TEXT: ApplyType = { scalar: 'string' }
const NUMBER: ApplyType = { scalar: 'numeric' }
const map = (element: ApplyType): ApplyType => ({ map: { isAtomic: false, fields: new Map(), element } })
const struct = (fields: Readonly<Record<string, ApplyType>>, isAtomic = false): ApplyType => ({
  map: { isAtomic, fields: new Map(Object.entries(fields).map(([name, type]) => [name, { type }])) },
})

const ITEM = struct({ name: TEXT, value: NUMBER, tags: { list: { isAtomic: false, keys: [], element: TEXT } } })
const TYPE = struct({
  id: TEXT,
  labels: map(TEXT),
  count: NUMBER,
  whole: struct({ a: NUMBER, b: NUMBER }, true),
  inner: struct({ text: TEXT, deep: struct({ n: NUMBER }) }),
  items: { list: { isAtomic: false, keys: ['name'], element: ITEM } },
  order: { list: { isAtomic: true, keys: [], element: TEXT } },
  set: { list: { isAtomic: false, keys: [], element: TEXT } },
})

const word = fc.constantFrom('a', 'b', 'c')
const digit = fc.integer({ min: 0, max: 3 })
const unique = fc.uniqueArray(word, { maxLength: 3 })
const optional = { requiredKeys: [] }
const item = fc.record({ name: word, value: digit, tags: unique }, { requiredKeys: ['name'] })

const object: fc.Arbitrary<KubeObject> = fc.record(
  {
    labels: fc.dictionary(word, word, { maxKeys: 3, noNullPrototype: true }),
    count: digit,
    whole: fc.record({ a: digit, b: digit }, optional),
    inner: fc.record({ text: word, deep: fc.record({ n: digit }, optional) }, optional),
    items: fc.uniqueArray(item, { selector: ({ name }) => name, maxLength: 3 }),
    order: fc.array(word, { maxLength: 3 }),
    set: unique,
  },
  optional,
)

const versions: Versions = {
  apiVersion: 'v1',
  convert: (value) => value,
  typeOf: () => TYPE,
  writable: (fields) => fields,
}

/** What nobody applies is always there, as the name of an object is. */
const NEW = { id: 'x' } as KubeObject

const applierOf = (manager: string) => ({ manager, operation: 'Apply', apiVersion: 'v1', subresource: '' }) as const

function apply(live: KubeObject, owners: Owners, manager: string, config: KubeObject, isForced = false): Applied {
  const applier = applierOf(manager)
  return applyConfiguration({ live, config, owners, key: ownerKey(applier), applier, isForced }, versions)
}

function forced(live: KubeObject, owners: Owners, manager: string, config: KubeObject) {
  const outcome = apply(live, owners, manager, config, true)
  assert(outcome.type === 'applied')
  return outcome
}

const fieldsOf = (value: KubeObject): FieldSet => appliedFields(value, TYPE)
const isSame = (a: Json, b: Json): boolean => Object.values(compare(a, b, TYPE)).every(isEmpty)
const isIn = (a: FieldSet, b: FieldSet): boolean => isEmpty(difference(a, b))
const holds = (live: KubeObject, config: KubeObject): boolean => {
  const merged = merge(live, config, TYPE)
  return isSame(live, merged!)
}
const check = (property: fc.IRawProperty<unknown>) => fc.assert(property, { numRuns: 300 })

test('applying the same again changes nothing', () => {
  check(
    fc.property(object, object, (live, config) => {
      const once = forced(live, NOBODY, 'me', config)
      const twice = apply(once.object, once.owners, 'me', config)
      assert(twice.type === 'applied')
      assert.deepEqual(twice.object, once.object)
      assert.deepEqual([...twice.owners], [...once.owners])
    }),
  )
})

test('the object says what was applied', () => {
  check(fc.property(object, object, (live, config) => assert(holds(forced(live, NOBODY, 'me', config).object, config))))
})

/** Without what is empty: a map or struct whose last field is taken back may be left, bare. */
function bare(value: Json): Json | undefined {
  if (value === null) return undefined
  if (Array.isArray(value)) return value.length > 0 ? value.map((inner) => bare(inner) ?? inner) : undefined
  if (typeof value !== 'object') return value
  const kept = Object.entries(value as Readonly<Record<string, Json>>).flatMap(([name, inner]) => {
    const left = bare(inner)
    return left === undefined ? [] : [[name, left] as const]
  })
  return kept.length > 0 ? Object.fromEntries(kept) : undefined
}

test('what one manager applied and takes back goes', () => {
  check(
    fc.property(object, object, (config, less) => {
      const first = forced(NEW, NOBODY, 'me', config)
      const then = forced(first.object, first.owners, 'me', less)
      assert(isSame(bare(then.object)!, bare({ ...NEW, ...less })!))
    }),
  )
})

const only = (path: readonly string[]): FieldSet => path.reduceRight<FieldSet>((under, element) => ({ [element]: under }), {})

test('what another owns stays when one takes everything back', () => {
  check(
    fc.property(object, object, (mine, yours) => {
      const first = forced(NEW, NOBODY, 'me', mine)
      const both = forced(first.object, first.owners, 'you', yours)
      const left = forced(both.object, both.owners, 'me', {})
      assert(holds(bare(left.object) as KubeObject, (bare(yours) ?? {}) as KubeObject))
      assert(!left.owners.has(ownerKey(applierOf('me'))))
    }),
  )
})

test('managers of different fields never conflict', () => {
  check(
    fc.property(object, object, (mine, yours) => {
      if (!isEmpty(intersection(fieldsOf(mine), fieldsOf(yours)))) return
      const first = forced(NEW, NOBODY, 'me', mine)
      assert.equal(apply(first.object, first.owners, 'you', yours).type, 'applied')
    }),
  )
})

/** Lists by their items: which manager came first only shows in the order. */
function unordered(value: Json): Json {
  if (Array.isArray(value))
    return value.map((inner: Json) => unordered(inner)).toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value as Readonly<Record<string, Json>>).map(([name, inner]) => [name, unordered(inner)]))
}

test('managers of different fields may come in either order', () => {
  check(
    fc.property(object, object, (mine, yours) => {
      if (!isEmpty(intersection(fieldsOf(mine), fieldsOf(yours)))) return
      const [me, you] = [forced(NEW, NOBODY, 'me', mine), forced(NEW, NOBODY, 'you', yours)]
      const meFirst = forced(me.object, me.owners, 'you', yours)
      const youFirst = forced(you.object, you.owners, 'me', mine)
      assert.deepEqual(unordered(meFirst.object as Json), unordered(youFirst.object as Json))
      for (const manager of ['me', 'you']) {
        const key = ownerKey(applierOf(manager))
        assert(isEqual(meFirst.owners.get(key)?.fields ?? {}, youFirst.owners.get(key)?.fields ?? {}))
      }
    }),
  )
})

test('force takes what conflicts, and only that', () => {
  check(
    fc.property(object, object, (mine, yours) => {
      const first = forced(NEW, NOBODY, 'me', mine)
      const asked = apply(first.object, first.owners, 'you', yours)
      const after = forced(first.object, first.owners, 'you', yours)
      const own = after.owners.get(ownerKey(applierOf('me')))?.fields ?? {}
      const conflicts = asked.type === 'conflicts' ? asked.conflicts : []
      for (const { path } of conflicts) assert(isEmpty(intersection(own, only(path))))
      const taken = conflicts.reduce<FieldSet>((set, { path }) => union(set, only(path)), {})
      assert(isEqual(own, difference(fieldsOf(mine), taken)))
    }),
  )
})

test('an update gives what it changes to the writer and takes it from all others', () => {
  check(
    fc.property(object, object, (mine, next) => {
      const first = forced(NEW, NOBODY, 'me', mine)
      const { owners, changed } = ownersAfterUpdate(first.object, next, first.owners, versions)
      const own = owners.get(ownerKey(applierOf('me')))?.fields ?? {}
      assert(isEmpty(intersection(own, changed)))
      assert(isIn(own, fieldsOf(mine)))
      const { added, modified } = compare(first.object, next, TYPE)
      assert(isEqual(changed, union(modified, added)))
    }),
  )
})

/** The same but for values that are no keys: counted up, lengthened. */
function otherValues(value: Json, name = ''): Json {
  if (Array.isArray(value))
    return name === 'order' && value.length > 0
      ? [...value, 'more']
      : value.map((inner) => (typeof inner === 'object' ? otherValues(inner) : inner))
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value as Readonly<Record<string, Json>>).map(([key, inner]) => [key, otherValues(inner, key)]))
  }
  if (name === 'name') return value
  return typeof value === 'number' ? (value === 0 ? 0 : value + 1) : `${String(value)}!`
}

test('new objects of one shape have the same fields', () => {
  const zero: Json = { id: '', count: 0, inner: {} }
  check(
    fc.property(object, (one) => {
      const other = otherValues(one)
      assert.equal(shapeOf(other, TYPE), shapeOf(one, TYPE))
      assert.deepEqual(compare(zero, other, TYPE), compare(zero, one, TYPE))
    }),
  )
})

test('sets are their JSON, and have the laws of sets', () => {
  check(
    fc.property(object, object, (left, right) => {
      const [a, b] = [fieldsOf(left), fieldsOf(right)]
      assert.deepEqual(readFields(JSON.parse(JSON.stringify(a))), a)
      assert(isEqual(ordered(union(a, b)), ordered(union(b, a))))
      assert(isEqual(ordered(intersection(a, b)), ordered(intersection(b, a))))
      assert(isEqual(ordered(union(difference(a, b), intersection(a, b))), ordered(a)))
      assert(isEmpty(difference(a, a)))
      assert(isEmpty(intersection(difference(a, b), b)))
    }),
  )
})
