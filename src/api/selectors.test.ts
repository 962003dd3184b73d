import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  compileLabelSelector,
  formatFieldSelector,
  formatLabelSelector,
  formatRequirements,
  parseFieldSelector,
  parseLabelRequirements,
  parseLabelSelector,
  type FieldRequirement,
  type Labels,
  type LabelRequirement,
} from './selectors.ts'

const labels = { app: 'web', tier: 'front', n: '12', empty: '' }

for (const [text, isMatch] of [
  ['', true],
  ['app=web', true],
  ['app==web,tier in (front,back)', true],
  ['app!=web', false],
  ['missing!=x', true],
  ['tier notin (front)', false],
  ['missing notin (front)', true],
  ['app', true],
  ['!app', false],
  ['!missing', true],
  ['n>11,n<13', true],
  ['n>12', false],
  ['app>1', false],
  ['empty=', true],
  ['empty in ()', true],
  ['empty in (a,)', true],
  ['in in (in,notin)', false],
  ['  app = web , tier ', true],
  ['toString', false],
] as const) {
  test(`label selector "${text}" ${isMatch ? 'matches' : 'does not match'}`, () => assert.equal(parseLabelSelector(text)(labels), isMatch))
}

for (const [text, message] of [
  ['a=b,', "found '', expected: identifier after ','"],
  ['=', "found '=', expected: !, identifier, or 'end of string'"],
  ['a b', "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"],
  ['a in b', "unable to parse requirement: found 'b' expected: '('"],
  ['a=b c', "found 'c', expected: ',' or 'end of string'"],
  ['a in (b', "unable to parse requirement: found '', expected: ',' or ')'"],
  ['n>x', "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer"],
] as const) {
  test(`label selector "${text}" is refused`, () => assert.throws(() => parseLabelSelector(text), { name: 'ApiError', message, code: 400 }))
}

test('a bad key and a bad value name the form that they should have', () => {
  assert.throws(() => parseLabelSelector('-a=b'), /unable to parse requirement: <nil>: Invalid value: "-a": name part must consist of/)
  assert.throws(
    () => parseLabelSelector('a=-b'),
    /unable to parse requirement: values\[0\]\[a\]: Invalid value: "-b": a valid label must be/,
  )
})

test('selector objects: absent matches nothing, empty everything', () => {
  assert.equal(compileLabelSelector(undefined)(labels), false)
  assert.equal(compileLabelSelector({})(labels), true)
  const selector = { matchLabels: { tier: 'front' }, matchExpressions: [{ key: 'app', operator: 'In', values: ['web', 'api'] }] }
  assert.equal(compileLabelSelector(selector)(labels), true)
  assert.equal(compileLabelSelector(selector)({ tier: 'front' }), false)
  assert.equal(formatLabelSelector(selector), 'app in (api,web),tier=front')
  assert.throws(
    () => compileLabelSelector({ matchExpressions: [{ key: 'a', operator: 'Is' }] }),
    /"Is" is not a valid label selector operator/,
  )
})

const name = fc.stringMatching(/^[a-z]([a-z0-9]{0,8}[a-z0-9])?$/)
const requirement: fc.Arbitrary<LabelRequirement> = fc.oneof(
  fc.record({ key: name, operator: fc.constantFrom('exists' as const, '!' as const), values: fc.constant([]) }, { noNullPrototype: true }),
  fc.record(
    { key: name, operator: fc.constantFrom('=' as const, '==' as const, '!=' as const), values: fc.tuple(name) },
    { noNullPrototype: true },
  ),
  fc.record(
    {
      key: name,
      operator: fc.constantFrom('in' as const, 'notin' as const),
      values: fc.uniqueArray(name, { minLength: 1, maxLength: 4 }).map((all) => all.toSorted()),
    },
    { noNullPrototype: true },
  ),
  fc.record(
    { key: name, operator: fc.constantFrom('gt' as const, 'lt' as const), values: fc.tuple(fc.nat().map(String)) },
    { noNullPrototype: true },
  ),
)

test('what is formatted parses to the same requirements', () => {
  fc.assert(
    fc.property(fc.uniqueArray(requirement, { selector: ({ key }) => key, maxLength: 5 }), (requirements) => {
      const sorted = requirements.toSorted((a, b) => (a.key < b.key ? -1 : 1))
      assert.deepEqual(parseLabelRequirements(formatRequirements(sorted)), sorted)
    }),
  )
})

const anyLabels = fc.dictionary(name, name, { maxKeys: 4, noNullPrototype: true })
const matches = (requirements: readonly LabelRequirement[], given: Labels): boolean =>
  parseLabelSelector(formatRequirements(requirements))(given)
const OPPOSITES = { exists: '!', '!': 'exists', '=': '!=', '==': '!=', '!=': '=', in: 'notin', notin: 'in' } as const

test('a selector selects what all of its requirements do, and its opposite the rest', () => {
  fc.assert(
    fc.property(fc.array(requirement, { maxLength: 4 }), anyLabels, (requirements, given) => {
      assert.equal(
        matches(requirements, given),
        requirements.every((one) => matches([one], given)),
      )
      for (const one of requirements) {
        if (one.operator === 'gt' || one.operator === 'lt') continue
        assert.equal(matches([{ ...one, operator: OPPOSITES[one.operator] }], given), !matches([one], given))
      }
    }),
  )
})

test('field selectors split, unescape and compare', () => {
  assert.deepEqual(parseFieldSelector('status.phase!=Running,metadata.name==a\\,b'), [
    { field: 'metadata.name', operator: '=', value: 'a,b' },
    { field: 'status.phase', operator: '!=', value: 'Running' },
  ])
  assert.deepEqual(parseFieldSelector(''), [])
  assert.deepEqual(parseFieldSelector('a=,,b=c'), [
    { field: 'a', operator: '=', value: '' },
    { field: 'b', operator: '=', value: 'c' },
  ])
  assert.throws(() => parseFieldSelector('a'), { message: "invalid selector: 'a'; can't understand 'a'" })
  assert.throws(() => parseFieldSelector('a=\\x'), { message: 'invalid field selector: invalid escape sequence: \\x' })
  assert.throws(() => parseFieldSelector('a=b=c'), { message: 'invalid field selector: unescaped character in value: 61' })
})

test('any field value survives its escape', () => {
  const one: fc.Arbitrary<FieldRequirement> = fc.record(
    { field: name, operator: fc.constantFrom('=' as const, '!=' as const), value: fc.string() },
    { noNullPrototype: true },
  )
  fc.assert(fc.property(one, (wanted) => assert.deepEqual(parseFieldSelector(formatFieldSelector([wanted])), [wanted])))
})
