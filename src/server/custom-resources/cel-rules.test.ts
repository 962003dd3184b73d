import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JSONSchemaProps, ValidationRule } from '../../api/generated/apiextensions/v1.ts'
import type { Json } from '../../api/object.ts'
import { celRules } from './cel-rules.ts'

const rule = (text: string, more: Partial<ValidationRule> = {}): ValidationRule => ({ rule: text, ...more })

const schemaOf = (spec: JSONSchemaProps, ...rules: readonly ValidationRule[]): JSONSchemaProps => ({
  type: 'object',
  properties: { spec: { ...spec, 'x-kubernetes-validations': rules } },
})

const SPEC: JSONSchemaProps = {
  type: 'object',
  properties: {
    min: { type: 'integer' },
    max: { type: 'integer' },
    ratio: { type: 'number' },
    at: { type: 'string', format: 'date-time' },
    wait: { type: 'string', format: 'duration' },
    port: { 'x-kubernetes-int-or-string': true },
    'dashed-name': { type: 'string' },
    namespace: { type: 'string' },
    labels: { type: 'object', additionalProperties: { type: 'string' } },
    items: {
      type: 'array',
      items: { type: 'object', required: ['name'], properties: { name: { type: 'string' }, size: { type: 'integer' } } },
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    },
  },
}

const errorsOf = (schema: JSONSchemaProps, spec: Json, old?: Json): readonly string[] =>
  (celRules.compile(schema)?.({ spec }, old === undefined ? undefined : { spec: old }, '') ?? []).map(
    ({ field, detail }) => `${field}: ${detail}`,
  )

test('rules see values typed by their schema', () => {
  const holds: readonly (readonly [text: string, spec: Json])[] = [
    ['self.min <= self.max', { min: 1, max: 2 }],
    ['self.ratio < 2.5', { ratio: 2 }],
    ["self.at > timestamp('2020-01-01T00:00:00Z')", { at: '2021-01-01T00:00:00Z' }],
    ["self.wait == duration('90s')", { wait: '1m30s' }],
    ["type(self.port) == int ? self.port == 80 : self.port == 'http'", { port: 80 }],
    ["self.dashed__dash__name == 'x'", { 'dashed-name': 'x' }],
    ["self.__namespace__ == 'y'", { namespace: 'y' }],
    ["self.labels.all(key, self.labels[key] != '')", { labels: { a: 'b' } }],
    ['!has(self.max)', { min: 1 }],
    ['self.items.exists(item, item.size > 1)', { items: [{ name: 'a', size: 2 }] }],
  ]
  for (const [text, spec] of holds) {
    assert.deepEqual(errorsOf(schemaOf(SPEC, rule(text)), spec), [], text)
  }
})

test('broken rules are told where they ask for it, with their message', () => {
  const broken: readonly (readonly [rule: ValidationRule, expected: string])[] = [
    [rule('self.min <= self.max'), 'spec: Invalid value: failed rule: self.min <= self.max'],
    [rule('self.min <= self.max', { message: 'wrong way round' }), 'spec: Invalid value: wrong way round'],
    [rule('self.min <= self.max', { messageExpression: "'min is ' + string(self.min)" }), 'spec: Invalid value: min is 5'],
    [rule('self.min <= self.max', { fieldPath: '.min', reason: 'FieldValueForbidden', message: 'no' }), 'spec.min: Forbidden: no'],
    [rule('self.min <= self.max', { reason: 'FieldValueRequired', message: 'no' }), 'spec: Required value: no'],
    [rule('self.ratio > 1.0'), 'spec: Invalid value: "object": no such key: ratio evaluating rule: self.ratio > 1.0'],
  ]
  for (const [given, expected] of broken) assert.deepEqual(errorsOf(schemaOf(SPEC, given), { min: 5, max: 2 }), [expected])
})

test('transition rules compare with the old value; what did not change is borne', () => {
  const immutable = schemaOf(SPEC, rule('self.min == oldSelf.min', { message: 'min is immutable' }))
  assert.deepEqual(errorsOf(immutable, { min: 1 }), [])
  assert.deepEqual(errorsOf(immutable, { min: 2 }, { min: 1 }), ['spec: Invalid value: min is immutable'])
  const optional = schemaOf(SPEC, rule('oldSelf.hasValue() || self.min > 3', { optionalOldSelf: true, message: 'start above 3' }))
  assert.deepEqual(errorsOf(optional, { min: 1 }), ['spec: Invalid value: start above 3'])
  assert.deepEqual(errorsOf(optional, { min: 1 }, { min: 9 }), [])
  const ordered = schemaOf(SPEC, rule('self.min <= self.max'))
  assert.deepEqual(errorsOf(ordered, { min: 5, max: 2 }, { min: 5, max: 2 }), [])
  const items: JSONSchemaProps = {
    ...SPEC.properties!.items!,
    items: {
      ...SPEC.properties!.items!.items,
      'x-kubernetes-validations': [rule('self.size >= oldSelf.size', { message: 'never smaller' })],
    },
  }
  const list = { type: 'object', properties: { spec: { type: 'object', properties: { items } } } }
  const was = {
    items: [
      { name: 'a', size: 1 },
      { name: 'b', size: 5 },
    ],
  }
  assert.deepEqual(
    errorsOf(
      list,
      {
        items: [
          { name: 'b', size: 4 },
          { name: 'a', size: 2 },
        ],
      },
      was,
    ),
    ['spec.items[0]: Invalid value: never smaller'],
  )
})

test('faults of rules are told where they are written', () => {
  const faultsOf = (given: ValidationRule, spec = SPEC) =>
    celRules.validate(schemaOf(spec, given), 'schema').map(({ field, detail }) => `${field}: ${detail}`)
  const at = 'schema.properties[spec].x-kubernetes-validations[0]'
  const [missing] = faultsOf(rule('self.none == 1'))
  assert.match(
    missing ?? '',
    /^schema\.properties\[spec\]\.x-kubernetes-validations\[0\]\.rule: Invalid value: .*compilation failed: ERROR: <input>:1:5: undefined field 'none'/s,
  )
  assert.match(faultsOf(rule('self.min'))[0] ?? '', /cel expression must evaluate to a bool$/)
  assert.deepEqual(faultsOf(rule('self.min > 1', { optionalOldSelf: true })), [
    `${at}.optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule`,
  ])
  const list: JSONSchemaProps = {
    type: 'object',
    properties: { list: { type: 'array', items: { type: 'integer', 'x-kubernetes-validations': [rule('self > oldSelf')] } } },
  }
  assert.deepEqual(
    celRules.validate(list, 'schema').map(({ detail }) => detail),
    ['Invalid value: "self > oldSelf": oldSelf cannot be used on the uncorrelatable portion of the schema within schema.properties[list]'],
  )
})

test('an object has one budget for all of its rules', () => {
  const schema = schemaOf(
    { type: 'object', properties: { list: { type: 'array', items: { type: 'integer' } } } },
    rule('self.list.all(a, self.list.all(b, self.list.all(c, a + b + c > 0)))'),
  )
  const [error] = errorsOf(schema, { list: Array.from({ length: 300 }, (_, index) => index + 1) })
  assert.match(error ?? '', /actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule/)
})

test('what rules may cost is bounded by the schema', () => {
  const hint = '(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)'
  const text: JSONSchemaProps = { type: 'string' }
  const each = rule("self.all(x, x.contains('a'))")
  const cases: readonly (readonly [schema: JSONSchemaProps, errors: readonly string[]])[] = [
    [schemaOf({ type: 'array', maxItems: 10, items: { ...text, maxLength: 100 } }, each), []],
    [
      schemaOf({ type: 'array', items: text }, each),
      [
        `spec.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x ${hint}`,
        'spec.x-kubernetes-validations[0].rule: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema',
        `: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of more than 100x ${hint}`,
      ],
    ],
    // A rule within a list is run for each item.
    [
      schemaOf({ type: 'array', items: { ...text, maxLength: 50, 'x-kubernetes-validations': [rule("self.matches('^a+$')")] } }),
      [`spec.items.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of 2.3x ${hint}`],
    ],
    [
      schemaOf(text, rule('true', { messageExpression: "self.matches(self) ? 'a' : 'b'" })),
      [
        `spec.x-kubernetes-validations[0].messageExpression: Forbidden: estimated messageExpression cost exceeds budget by factor of more than 100x ${hint}`,
        'spec.x-kubernetes-validations[0].messageExpression: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema',
        `: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of more than 100x ${hint}`,
      ],
    ],
  ]
  for (const [schema, expected] of cases) {
    const told = celRules.validate(schema, '').map(({ field, detail }) => `${field.replace('.properties[spec]', 'spec')}: ${detail}`)
    assert.deepEqual(told, expected)
  }
})
