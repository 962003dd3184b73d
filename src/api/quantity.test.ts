import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  addQuantities,
  canonicalQuantity,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  quantityFault,
  quantityOf,
  quantityOfMilli,
  subtractQuantities,
  toFloat,
  toMilli,
  toNumber,
  type Amount,
} from './quantity.ts'

for (const [text, canonical] of [
  ['0', '0'],
  ['0.0', '0'],
  ['0Gi', '0'],
  ['5', '5'],
  ['+5', '+5'],
  ['-5', '-5'],
  ['1000', '1k'],
  ['0.5', '500m'],
  ['.5', '500m'],
  ['1.', '1.'],
  ['100m', '100m'],
  ['1000m', '1'],
  ['1500m', '1500m'],
  ['0.1', '100m'],
  ['1e3', '1e3'],
  ['1000e3', '1e6'],
  ['1Ki', '1Ki'],
  ['1024Ki', '1Mi'],
  ['1000Ki', '1000Ki'],
  ['1.5Gi', '1536Mi'],
  ['0.5Ki', '512'],
  ['0.3Ki', '307200m'],
  ['1.1Mi', '1153433600m'],
  ['1n', '1n'],
  ['0.1n', '1n'],
  ['1.0000000001', '1000000001n'],
  ['10E', '10E'],
  ['9Ei', '9223372036854775807'],
  ['-0.5', '-500m'],
  ['123456789k', '123456789k'],
] as const) {
  test(`${text} is written ${canonical}`, () => assert.equal(canonicalQuantity(text), canonical))
}

for (const [text, fault] of [
  ['', 'quantities must match the regular expression'],
  ['1x', 'quantities must match the regular expression'],
  ['1.1.1', 'quantities must match the regular expression'],
  ['1 Gi', 'quantities must match the regular expression'],
  ['1mm', "unable to parse quantity's suffix"],
  ['1K', "unable to parse quantity's suffix"],
  ['1e', "unable to parse quantity's suffix"],
  ['1e999999999', "unable to parse quantity's suffix"],
] as const) {
  test(`"${text}" is refused`, () => {
    assert.match(quantityFault(text) ?? '', new RegExp(`^${fault}`))
    assert.throws(() => parseQuantity(text), RangeError)
  })
}

test('readers round away from zero', () => {
  assert.equal(toMilli('100m'), 100)
  assert.equal(toMilli('1'), 1000)
  assert.equal(toMilli('1u'), 1)
  assert.equal(toNumber('1Gi'), 2 ** 30)
  assert.equal(toNumber('1m'), 1)
  assert.equal(toNumber('-1m'), -1)
  assert.equal(toFloat('250m'), 0.25)
})

test('sums keep the format of what was there first', () => {
  assert.equal(addQuantities('1Gi', '1G'), '2073741824')
  assert.equal(addQuantities('0', '1Gi'), '1Gi')
  assert.equal(subtractQuantities('1', '100m'), '900m')
  assert.equal(compareQuantities('1Ki', '1k'), 1)
  assert.equal(compareQuantities('1000m', '1'), 0)
  assert.equal(quantityOf(2 ** 20, 'BinarySI'), '1Mi')
  assert.equal(quantityOfMilli(1500), '1500m')
})

const amount: fc.Arbitrary<Amount> = fc.record(
  {
    nano: fc.bigInt({ min: -(10n ** 27n), max: 10n ** 27n }),
    format: fc.constantFrom('DecimalSI' as const, 'BinarySI' as const, 'DecimalExponent' as const),
  },
  { noNullPrototype: true },
)

test('the canonical form is a fixed point and keeps the value', () => {
  fc.assert(
    fc.property(amount, (value) => {
      const text = formatQuantity(value)
      assert.equal(parseQuantity(text).nano, value.nano)
      const canonical = canonicalQuantity(text)
      assert.equal(parseQuantity(canonical).nano, value.nano)
      assert.equal(canonicalQuantity(canonical), canonical)
    }),
  )
})

test('what is added can be taken away', () => {
  const text = amount.map(formatQuantity)
  fc.assert(fc.property(text, text, (a, b) => compareQuantities(subtractQuantities(addQuantities(a, b), b), a) === 0))
})
