import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeObject, strictDecodingMessage, strictFaults } from './decode.ts'
import { applyDefaults } from './defaults.ts'
import { parseJson } from './json.ts'
import type { Json } from './object.ts'
import { schemaOf } from './schema-table.ts'
import { canonicalMicroTime, canonicalTime, formatMicroTime, formatTime } from './time.ts'

const typeOf = (name: string) => {
  const type = schemaOf(name)
  assert.ok(type, name)
  return type
}
const decodePod = (value: Json) => decodeObject(value, typeOf('core/v1.Pod'))

test('an object in canonical form is not copied', () => {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'a', labels: { b: 'c' } },
    spec: { containers: [{ name: 'x', image: 'y' }] },
  }
  assert.equal(decodePod(pod).object, pod)
})

test('unknown fields are dropped and told, null is absent, what is unchanged is shared', () => {
  const labels = { b: 'c' }
  const { object, unknown } = decodePod({
    metadata: { name: 'a', labels, annotations: null },
    spec: { containers: [{ name: 'x' }, { name: 'y', imag: 'z' }], foo: 1 },
  })
  assert.deepEqual(object, { metadata: { name: 'a', labels }, spec: { containers: [{ name: 'x' }, { name: 'y' }] } })
  assert.equal(object.metadata?.labels, labels)
  assert.deepEqual(unknown, ['spec.containers[1].imag', 'spec.foo'])
  assert.equal(
    strictDecodingMessage(strictFaults(unknown, ['kind'])),
    'strict decoding error: duplicate field "kind", unknown field "spec.containers[1].imag", unknown field "spec.foo"',
  )
})

test('the faults of JSON text are told in its order', () => {
  const faultsOf = (text: string) => {
    const { value, duplicates, positions } = parseJson(text)
    return strictFaults(decodePod(value).unknown, duplicates, positions)
  }
  assert.deepEqual(faultsOf('{"spec":{"foo":1,"nodeName":"a","bar":{"x":1,"x":2},"nodeName":"b"},"kind":"Pod","kind":"Pod"}'), [
    'unknown field "spec.foo"',
    'unknown field "spec.bar"',
    'duplicate field "spec.nodeName"',
    'duplicate field "kind"',
  ])
  assert.deepEqual(faultsOf('{"kind":"Pod","kind":"Pod","spec":{"foo":1}}'), ['duplicate field "kind"', 'unknown field "spec.foo"'])
})

test('quantities and times take their canonical form', () => {
  const { object } = decodePod({
    metadata: { creationTimestamp: '2024-01-02T03:04:05.678+01:00' },
    spec: { containers: [{ name: 'x', resources: { limits: { cpu: 0.5, memory: '1024Mi' } } }] },
  })
  assert.equal(object.metadata?.creationTimestamp, '2024-01-02T02:04:05Z')
  assert.deepEqual(object.spec.containers[0].resources.limits, { cpu: '500m', memory: '1Gi' })
})

for (const [value, message] of [
  [[], 'json: cannot unmarshal array into Go value of type v1.Pod'],
  [{ spec: 'x' }, 'json: cannot unmarshal string into Go struct field Pod.spec of type v1.PodSpec'],
  [{ spec: { containers: {} } }, 'json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container'],
  [
    { spec: { containers: [{ ports: [{ containerPort: '80' }] }] } },
    'json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32',
  ],
  [
    { spec: { containers: [{ ports: [{ containerPort: 1.5 }] }] } },
    'json: cannot unmarshal number 1.5 into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32',
  ],
  [{ metadata: { labels: { a: 1 } } }, 'json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string'],
  [{ spec: { hostNetwork: 'yes' } }, 'json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool'],
  [{ spec: { overhead: { cpu: '1x' } } }, "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"],
  [{ metadata: { creationTimestamp: 'now' } }, 'parsing time "now" as "2006-01-02T15:04:05Z07:00": cannot parse "now" as "2006"'],
] as const) {
  test(`refused: ${message}`, () => assert.throws(() => decodePod(value), { name: 'DecodeError', message }))
}

test('a null within a list or map is the zero value', () => {
  const { object } = decodePod({ metadata: { labels: { a: null }, finalizers: [null] }, spec: { containers: [null] } })
  assert.deepEqual(object, { metadata: { labels: { a: '' }, finalizers: [''] }, spec: { containers: [{}] } })
})

test('a key that names the prototype stays a key', () => {
  const labels = JSON.parse('{"__proto__":"x","y":null}') as Json
  const { object } = decodePod({ metadata: { labels } })
  assert.deepEqual(Object.keys(object.metadata?.labels ?? {}), ['__proto__', 'y'])
})

test('bytes must be base64', () => {
  const decodeSecret = (a: string) => decodeObject({ data: { a } }, typeOf('core/v1.Secret'))
  assert.deepEqual(decodeSecret('YQ==').object, { data: { a: 'YQ==' } })
  assert.throws(() => decodeSecret('YQ=!'), { message: 'illegal base64 data at input byte 2' })
})

test('defaults fill what upstream always writes, and share the rest', () => {
  const pod = { metadata: { name: 'a' }, spec: { containers: [{ name: 'x', image: 'y', ports: [{ containerPort: 80 }] }] } }
  const filled = applyDefaults(pod, typeOf('core/v1.Pod')) as Record<string, unknown>
  assert.deepEqual(filled, {
    metadata: { name: 'a' },
    spec: { containers: [{ name: 'x', image: 'y', ports: [{ containerPort: 80, protocol: 'TCP' }], resources: {} }] },
    status: {},
  })
  assert.equal(applyDefaults(filled, typeOf('core/v1.Pod')), filled)
  assert.equal(filled.metadata, pod.metadata)
  assert.deepEqual(applyDefaults({}, typeOf('core/v1.Service')), { metadata: {}, spec: {}, status: { loadBalancer: {} } })
})

test('times are read and written as Go does', () => {
  assert.equal(canonicalTime('2024-02-29T12:00:00Z'), '2024-02-29T12:00:00Z')
  assert.equal(canonicalTime('2024-12-31T23:30:00-01:00'), '2025-01-01T00:30:00Z')
  assert.equal(canonicalMicroTime('2024-02-29T12:00:00.123456+02:00'), '2024-02-29T10:00:00.123456Z')
  assert.equal(formatTime(1_700_000_000_999), '2023-11-14T22:13:20Z')
  assert.equal(formatMicroTime(1_700_000_000_123), '2023-11-14T22:13:20.123000Z')
  assert.throws(() => canonicalTime('2023-02-29T12:00:00Z'), { message: 'parsing time "2023-02-29T12:00:00Z": day out of range' })
  assert.throws(() => canonicalTime('2023-02-01T25:00:00Z'), { message: 'parsing time "2023-02-01T25:00:00Z": hour out of range' })
  assert.throws(() => canonicalMicroTime('2024-02-29T12:00:00Z'), /cannot parse "Z" as "\.000000"/)
})
