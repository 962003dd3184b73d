import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { decodeObject } from './decode.ts'
import type { Json, KubeObject } from './object.ts'
import { decodeProtobuf } from './protobuf-decode.ts'
import { encodeProtobuf, encodeProtobufWatchFrame } from './protobuf-encode.ts'
import { hasProtobuf } from './protobuf-layout.ts'
import { ProtobufError } from './protobuf-reader.ts'
import { resources } from './resources.ts'
import { apiVersionOf, parseApiVersion, type Field, type TypeSchema } from './schema.ts'
import { schemaOf, schemaOfKind } from './schema-table.ts'
import { formatMicroTime, formatTime } from './time.ts'

/** What upstream's own code wrote, where its modules are at hand: the judge of this one. */
const FIXTURES = ['api@v0.36.3/testdata/HEAD', 'apiextensions-apiserver@v0.36.3/pkg/apis/testdata/HEAD']
  .map((path) => join(process.env.GOMODCACHE ?? join(homedir(), 'go/pkg/mod'), 'k8s.io', path))
  .filter(existsSync)

test(
  "upstream's documents are read as its JSON says, and written as it wrote them",
  { skip: FIXTURES.length === 0 && "upstream's modules are not on this machine" },
  () => {
    let compared = 0
    for (const directory of FIXTURES) {
      for (const name of readdirSync(directory).filter((file) => file.endsWith('.pb') && !file.includes('after_roundtrip'))) {
        const json = JSON.parse(readFileSync(join(directory, name.replace('.pb', '.json')), 'utf8')) as KubeObject
        const type = json.apiVersion && json.kind ? schemaOfKind({ ...parseApiVersion(json.apiVersion), kind: json.kind }) : undefined
        if (!type) continue
        const bytes = new Uint8Array(readFileSync(join(directory, name)))
        const object = decodeProtobuf(bytes)
        assert.deepEqual(object, decodeObject(json as Json, type).object, name)
        // Go writes zeros that our JSON does not hold; only this fixture has some.
        if (json.kind === 'CustomResourceDefinition') assert.deepEqual(decodeProtobuf(encodeProtobuf(object)), object)
        else assert.deepEqual(encodeProtobuf(object), bytes, name)
        compared++
      }
    }
    assert.ok(compared > 50)
  },
)

const SCALARS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  string: fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }),
  int32: fc.integer().filter((value) => value !== 0),
  int64: fc.maxSafeInteger().filter((value) => value !== 0),
  double: fc.double({ noNaN: true }),
  boolean: fc.constant(true),
  bytes: fc.uint8Array({ minLength: 1 }).map((bytes) => bytes.toBase64()),
  time: fc.integer({ min: -(10 ** 10), max: 10 ** 11 }).map((seconds) => formatTime(seconds * 1000)),
  microTime: fc.integer({ min: 0, max: 10 ** 14 }).map(formatMicroTime),
  quantity: fc.constantFrom('0', '100m', '1Gi'),
  intOrString: fc.oneof(
    fc.integer().filter((value) => value !== 0),
    fc.string({ minLength: 1 }),
  ),
  json: fc.constantFrom({ a: [1, 'b', null] }, 'x', 5, [true]),
}

function valueOf(field: Field, depth: number): fc.Arbitrary<unknown> {
  if (field.type !== 'message')
    return field.ref?.includes('JSONSchemaPropsOr') ? fc.constant({ type: 'string' }) : (SCALARS[field.type] ?? fc.constant('x'))
  const type = schemaOf(field.ref ?? '')
  assert.ok(type)
  return objectOf(type, depth - 1)
}

function fieldOf(field: Field, depth: number): fc.Arbitrary<unknown> {
  const value = valueOf(field, depth)
  const key = fc.string({ minLength: 1, maxLength: 8 }).filter((name) => name !== '__proto__')
  switch (field.container) {
    case 'list':
      return fc.array(value, { minLength: 1, maxLength: 2 })
    case 'map':
      return fc.dictionary(key, value, { minKeys: 1, maxKeys: 2, noNullPrototype: true })
    case 'mapOfLists':
      return fc.dictionary(key, fc.array(value, { minLength: 1, maxLength: 2 }), { minKeys: 1, maxKeys: 2, noNullPrototype: true })
    default:
      return value
  }
}

/** An object of a type with some of its fields, never an empty struct that JSON would leave out. */
function objectOf(type: TypeSchema, depth: number): fc.Arbitrary<Record<string, unknown>> {
  const fields = [...type.fields.values()].filter((field) => field.number > 0 && (depth > 0 || field.type !== 'message'))
  const entries = Object.fromEntries(fields.map((field) => [field.name, fieldOf(field, depth)]))
  return fc.record(entries, { requiredKeys: fields.slice(0, 1).map((field) => field.name), noNullPrototype: true })
}

const stripEmpty = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(stripEmpty)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, item]) => [key, stripEmpty(item)] as const)
  return Object.fromEntries(entries.filter(([, item]) => typeof item !== 'object' || item === null || Object.keys(item).length > 0))
}

test('any object of any kind survives the way there and back', () => {
  for (const info of resources) {
    const type = schemaOfKind(info)
    assert.ok(type)
    fc.assert(
      fc.property(objectOf(type, 3), (body) => {
        const object = { kind: info.kind, apiVersion: apiVersionOf(info), ...body }
        assert.deepEqual(stripEmpty(decodeProtobuf(encodeProtobuf(object))), stripEmpty(object))
      }),
      { numRuns: 3 },
    )
  }
})

test('a pointer keeps its zero, a plain field does not', () => {
  const deployment = { kind: 'Deployment', apiVersion: 'apps/v1', spec: { replicas: 0, minReadySeconds: 0, paused: false } }
  assert.deepEqual((decodeProtobuf(encodeProtobuf(deployment)) as typeof deployment).spec.replicas, 0)
  assert.ok(!('minReadySeconds' in decodeProtobuf(encodeProtobuf(deployment)).spec))
})

test('negative numbers, and options under the name of a resource', () => {
  const options = { kind: 'DeleteOptions', apiVersion: 'apps/v1', gracePeriodSeconds: -1 }
  assert.deepEqual(decodeProtobuf(encodeProtobuf(options)), options)
})

test('a watch frame is a length and an event', () => {
  const object = encodeProtobuf({ kind: 'Namespace', apiVersion: 'v1', metadata: { name: 'a' } })
  const frame = encodeProtobufWatchFrame('ADDED', object)
  assert.equal(new DataView(frame.buffer).getUint32(0), frame.length - 4)
  assert.equal(new TextDecoder().decode(frame.subarray(6, 11)), 'ADDED')
})

test('what is no document is refused, whatever it is', () => {
  assert.throws(() => decodeProtobuf(Uint8Array.of(1, 2, 3, 4)), ProtobufError)
  assert.throws(() => encodeProtobuf({ kind: 'Widget', apiVersion: 'example.com/v1' }), ProtobufError)
  assert.equal(hasProtobuf('example.com/v1', 'Widget'), false)
  const pod = encodeProtobuf({
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: { name: 'a', labels: { b: 'c' } },
    spec: { containers: [{ name: 'x' }] },
  })
  fc.assert(
    fc.property(fc.nat(pod.length - 5), fc.nat(255), (at, byte) => {
      const broken = pod.slice()
      broken[at + 4] = byte
      try {
        decodeProtobuf(broken)
      } catch (error) {
        assert.ok(error instanceof ProtobufError, String(error))
      }
    }),
  )
  for (let length = 4; length < pod.length; length++) {
    try {
      decodeProtobuf(pod.subarray(0, length))
    } catch (error) {
      assert.ok(error instanceof ProtobufError, String(error))
    }
  }
})

test('objects and frames of any length are whole, also where the writer has to grow', () => {
  for (let pad = 0; pad < 4200; pad++) {
    const object = { kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: 'a' }, data: { key: 'x'.repeat(pad) }, immutable: true }
    const bytes = encodeProtobuf(object)
    const read = decodeProtobuf(bytes) as typeof object
    assert.equal(read.immutable && read.data.key.length, pad)
    const frame = encodeProtobufWatchFrame('ADDED', bytes)
    assert.equal(new DataView(frame.buffer, frame.byteOffset).getUint32(0), frame.length - 4, `${pad}`)
  }
})
