/** Definitions of the size of prometheus-operator's: thousands of fields, most of them a pod template's. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JSONSchemaProps } from '../../api/generated/apiextensions/v1.ts'
import type { Json, KubeObject } from '../../api/object.ts'
import { customRules } from './custom-rules.ts'
import { compileSchema } from './structural.ts'

const WIDTH = 6
const DEPTH = 5

/** 6^5 leaves with the keywords that real schemas are full of. */
function tree(depth: number): JSONSchemaProps {
  if (depth === 0) return { type: 'string', description: 'A leaf.', pattern: '^[a-z]*$', maxLength: 20, default: 'leaf' }
  const fields = Object.fromEntries(Array.from({ length: WIDTH }, (_, index) => [`f${index}`, tree(depth - 1)]))
  return { type: 'object', description: 'A branch.', properties: fields, required: ['f0'] }
}

function full(depth: number): Json {
  if (depth === 0) return 'abc'
  return Object.fromEntries(Array.from({ length: WIDTH }, (_, index) => [`f${index}`, full(depth - 1)]))
}

test('a large schema is compiled once, and objects that lack nothing are shared, not copied', () => {
  const schema = compileSchema({ type: 'object', properties: { spec: tree(DEPTH) } })
  assert.equal(schema, compileSchema(schema.props))
  const rules = customRules({ schema, hasStatus: false, scale: undefined, ruleCheck: undefined })
  const whole: KubeObject = { apiVersion: 'example.com/v1', kind: 'Large', metadata: { name: 'a' }, spec: full(DEPTH) }
  const { object, strict } = rules.decode(whole)
  assert.equal(object, whole)
  assert.equal(rules.defaults(object), whole)
  assert.deepEqual([strict, rules.validate?.(object)], [[], []])
  const part: KubeObject = { ...whole, spec: { f0: { f0: { f0: { f0: { f0: 'x', odd: 1 } } } } } }
  const decoded = rules.decode(part)
  assert.deepEqual(decoded.strict, ['unknown field "spec.f0.f0.f0.f0.odd"'])
  assert.deepEqual(rules.defaults(decoded.object).spec.f0.f0.f0.f0, { f0: 'x', f1: 'leaf', f2: 'leaf', f3: 'leaf', f4: 'leaf', f5: 'leaf' })
  const wrong = { ...whole, spec: { f0: { f0: { f0: { f0: { f0: 'A' } } } } } }
  assert.deepEqual(
    rules.validate?.(wrong).map(({ field, detail }) => `${field}: ${detail}`),
    ['spec.f0.f0.f0.f0.f0: Invalid value: "A": spec.f0.f0.f0.f0.f0 in body should match \'^[a-z]*$\''],
  )
})
