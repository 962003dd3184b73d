import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JSONSchemaProps } from '../../api/generated/apiextensions/v1.ts'
import type { Json } from '../../api/object.ts'
import { formatCheck } from './formats.ts'
import { compileSchema } from './structural.ts'
import { Findings, NEW, runChild, type Old } from './value-check.ts'

function errorsOf(schema: JSONSchemaProps, value: Json, old: Old = NEW): readonly string[] {
  const findings = new Findings()
  const root = compileSchema({ type: 'object', properties: { a: schema } })
  runChild(root.check, { a: value }, old === NEW ? NEW : { a: old }, findings)
  return findings.errors().map(({ type, field, detail }) => `${type.replace('FieldValue', '')} ${field}: ${detail}`)
}

test('each keyword in the words of upstream', () => {
  const cases: readonly (readonly [schema: JSONSchemaProps, value: Json, ...expected: string[]])[] = [
    [{ type: 'boolean' }, 'x', 'TypeInvalid a: Invalid value: "string": a in body must be of type boolean: "string"'],
    [{ type: 'string' }, null, 'TypeInvalid a: Invalid value: "null": a in body must be of type string: "null"'],
    [{ type: 'string', nullable: true }, null],
    [{ type: 'number' }, 1],
    [
      { type: 'integer' },
      1.5,
      'TypeInvalid a: Invalid value: "number": a in body must be of type integer: "number"',
      'Invalid <nil>: Invalid value: "": Checked value must be of type integer (default format) in a',
    ],
    [
      { type: 'integer', format: 'int32' },
      2 ** 31,
      'Invalid <nil>: Invalid value: "": Checked value must be of type integer with format int32 in a',
    ],
    [{ type: 'integer', maximum: 5, exclusiveMaximum: true }, 5, 'Invalid a: Invalid value: 5: a in body should be less than 5'],
    [{ type: 'integer', minimum: 5 }, 4, 'Invalid a: Invalid value: 4: a in body should be greater than or equal to 5'],
    [{ type: 'number', multipleOf: 0.1 }, 0.3],
    [{ type: 'number', multipleOf: 0.1 }, 0.35, 'Invalid a: Invalid value: 0.35: a in body should be a multiple of 0.1'],
    [{ type: 'string', minLength: 2 }, 'é', 'Invalid a: Invalid value: "é": a in body should be at least 2 chars long'],
    [{ type: 'string', maxLength: 1 }, '😀'],
    [{ type: 'string', pattern: '^a' }, 'b', 'Invalid a: Invalid value: "b": a in body should match \'^a\''],
    [{ type: 'string', format: 'ipv4' }, '1.2.3', 'TypeInvalid a: Invalid value: "1.2.3": a in body must be of type ipv4: "1.2.3"'],
    [{ type: 'string', format: 'date-time' }, 1, 'TypeInvalid a: Invalid value: "int64": a in body must be of type date-time: "int64"'],
    [{ type: 'string', format: 'of-my-own' }, 'x'],
    [
      { type: 'array', items: { type: 'integer' }, maxItems: 1 },
      [1, 'x'],
      'TypeInvalid a[1]: Invalid value: "string": a[1] in body must be of type integer: "string"',
      'TooMany a: Too many: 2: must have at most 1 item',
    ],
    [{ type: 'array', items: { type: 'integer' }, minItems: 1 }, [], 'Invalid a: Invalid value: 0: a in body should have at least 1 items'],
    [
      { type: 'object', additionalProperties: { type: 'string' }, maxProperties: 1 },
      { x: 'a', y: 2 },
      'TooMany a: Too many: 2: must have at most 1 item',
      'TypeInvalid a.y: Invalid value: "integer": a.y in body must be of type string: "integer"',
    ],
    [{ type: 'object', properties: { b: { type: 'string' } }, required: ['b'] }, {}, 'Required a.b: Required value'],
    [{ type: 'integer', enum: [1, 2] }, 3, 'NotSupported a: Unsupported value: 3: supported values: "1", "2"'],
    [
      { 'x-kubernetes-int-or-string': true },
      true,
      'TypeInvalid a: Invalid value: "boolean": a in body must be of type integer,string: "boolean"',
    ],
    [{ type: 'string', not: { enum: ['x'] } }, 'x', 'Invalid <nil>: Invalid value: "": "a" must not validate the schema (not)'],
    [
      { type: 'string', anyOf: [{ minLength: 3 }, { pattern: '^a' }] },
      'b',
      'Invalid <nil>: Invalid value: "": "a" must validate at least one schema (anyOf)',
      'Invalid a: Invalid value: "b": a in body should be at least 3 chars long',
    ],
    [
      { type: 'string', oneOf: [{ minLength: 1 }, { maxLength: 3 }] },
      'b',
      'Invalid <nil>: Invalid value: "": "a" must validate one and only one schema (oneOf). Found 2 valid alternatives',
    ],
    [
      { type: 'string', allOf: [{ minLength: 3 }, { maxLength: 3 }] },
      'b',
      'Invalid a: Invalid value: "b": a in body should be at least 3 chars long',
      'Invalid <nil>: Invalid value: "": "a" must validate all the schemas (allOf)',
    ],
  ]
  for (const [schema, value, ...expected] of cases) assert.deepEqual(errorsOf(schema, value), expected, JSON.stringify([schema, value]))
})

test('what did not change is not told', () => {
  const item: JSONSchemaProps = { type: 'object', properties: { name: { type: 'string' }, size: { type: 'integer', maximum: 1 } } }
  const atomic: JSONSchemaProps = { type: 'array', items: item }
  const keyed: JSONSchemaProps = { ...atomic, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] }
  const old = [{ name: 'x', size: 9 }]
  const more = [
    { name: 'y', size: 0 },
    { name: 'x', size: 9 },
  ]
  assert.deepEqual(errorsOf(keyed, more, old), [])
  assert.equal(errorsOf(atomic, more, old).length, 1)
  assert.deepEqual(errorsOf(atomic, structuredClone(old), old), [])
  assert.equal(errorsOf(keyed, [{ name: 'x', size: 8 }], old).length, 1)
})

test('formats', () => {
  const cases: Readonly<Record<string, readonly [right: readonly string[], wrong: readonly string[]]>> = {
    ipv6: [
      ['::1', 'fe80::1', '::ffff:1.2.3.4', '1:2:3:4:5:6:7:8'],
      ['1.2.3.4', '1::2::3', ':', '1:2:3:4:5:6:7:8:9'],
    ],
    cidr: [
      ['10.0.0.0/8', 'fd00::/64'],
      ['10.0.0.0', '10.0.0.0/33'],
    ],
    hostname: [
      ['a', 'a.example.com'],
      ['-a', 'a..b', 'a_b'],
    ],
    email: [
      ['a@b.c', 'Jo <jo@example.com>'],
      ['a', 'a@', '@b'],
    ],
    uri: [
      ['https://a/b?c=d', '/path'],
      ['', 'a b', 'relative'],
    ],
    uuid: [['123e4567-e89b-12d3-a456-426614174000'], ['123e4567']],
    date: [['2024-02-29'], ['2023-02-29', '2024-13-01']],
    'date-time': [
      ['2024-01-02T03:04:05Z', '2024-01-02T03:04:05.6+01:00'],
      ['2024-01-02', '2024-01-02 03:04:05Z'],
    ],
    duration: [
      ['1h2m', '0', '5 minutes', '1.5s'],
      ['soon', ''],
    ],
    byte: [
      ['aGk=', 'aGlo'],
      ['a', 'a==='],
    ],
    mac: [['01:23:45:67:89:ab'], ['01:23']],
    isbn: [['0321751043', '978-0321751041'], ['123']],
    creditcard: [['4111-1111-1111-1111'], ['4111-1111-1111-1112']],
    'k8s-short-name': [['a-b'], ['a.b', 'A']],
    'k8s-long-name': [['a.b-c'], ['a..b']],
  }
  for (const [format, [right, wrong]] of Object.entries(cases)) {
    for (const value of right) assert.ok(formatCheck(format)?.(value), `${format} ${value}`)
    for (const value of wrong) assert.ok(!formatCheck(format)?.(value), `not ${format} ${value}`)
  }
})
