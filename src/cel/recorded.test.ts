/**
 * Some 3,700 expressions (upstream's published cases, those of the specification, and each function on fields of every kind) with
 * what the environment of Kubernetes v1.36 makes of them, recorded from apiserver v0.36.3 and cel-go v0.26.0: value, error, fault,
 * cost, and the estimate of the cost.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { JSONSchemaProps } from '../api/generated/apiextensions/v1.ts'
import type { Json } from '../api/object.ts'
import { declareType, typedBy } from './json-schema.ts'
import { compile } from './compile.ts'
import { AUTHORIZER, authorizerValue } from './library/authz.ts'
import { formatDuration, formatTimestamp } from './library/time-text.ts'
import { DYN, INT, objectOf } from './types.ts'
import { CelMap, Duration, isList, Optional, Timestamp, typeNameOf, TypeValue, Uint, type Value } from './values.ts'

interface Recorded {
  readonly schema: JSONSchemaProps
  readonly self: Json
  /** A fault; or the bounds of the estimate, the cost, and a value or an error. */
  readonly cases: readonly (
    | readonly [source: string, fault: string]
    | readonly [source: string, min: number, max: number, cost: number, value: string | null, error?: string]
  )[]
  /** What is other here, with the reason: nothing else may be. */
  readonly different: Readonly<Record<string, readonly string[]>>
}

const { schema, self, cases, different } = JSON.parse(readFileSync(new URL('testdata/recorded.json', import.meta.url), 'utf8')) as Recorded
const declared = declareType(schema, false)!
const variables = { self: declared.type, authorizer: objectOf(AUTHORIZER), x: INT, d: DYN }
const authorizer = authorizerValue(({ verb }) =>
  verb === 'get' ? { isAllowed: true, reason: 'fine' } : { isAllowed: false, reason: 'no way' },
)
const activation = { self: typedBy(schema, false)(self), authorizer, x: 5n, d: self }

/** As the recorder shows it. */
function show(value: Value): string {
  if (isList(value)) return `[${value.map(show).join(',')}]`
  if (value instanceof Optional) return value.value === undefined ? 'none' : `some(${show(value.value)})`
  if (value instanceof Uint8Array) return `b${value.toHex()}`
  if (value instanceof Uint) return `${value.value}u`
  if (typeof value === 'number' && Number.isFinite(value)) return `d${Object.is(value, -0) ? '-0' : JSON.stringify(value)}`
  if (typeof value === 'number') return String(value).replace(/^I/, '+I').replace('inity', '')
  if (typeof value === 'string') return JSON.stringify(value)
  if (value instanceof Duration) return formatDuration(value)
  if (value instanceof Timestamp) return formatTimestamp(value)
  if (value instanceof TypeValue) return `type ${value.name}`
  if (!(value instanceof CelMap)) return value === null || typeof value !== 'object' ? String(value) : typeNameOf(value)
  const entries = value.keys().map((key) => [show(key), show(value.get(key)!)] as const)
  return JSON.stringify(Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1))))
}

function outcomeOf(source: string): readonly unknown[] {
  const program = compile(source, variables, declared.provider, { sizes: declared.sizes })
  if ('errors' in program) return [source, program.isConstant ? `program: ${program.errors}` : program.errors]
  const outcome = program.evaluate(activation)
  const { min, max } = program.estimatedCost!
  const common = [source, min, max]
  return 'error' in outcome ? [...common, 0, null, outcome.error] : [...common, outcome.cost, show(outcome.value)]
}

test('what upstream makes of expressions', () => {
  const known = new Set(Object.values(different).flat())
  const wrong: unknown[] = []
  const mended: string[] = []
  for (const expected of cases) {
    const got = outcomeOf(expected[0])
    const isSame = JSON.stringify(got) === JSON.stringify(expected)
    if (isSame && known.has(expected[0])) mended.push(expected[0])
    if (!isSame && !known.has(expected[0])) wrong.push({ got, expected })
  }
  assert.deepEqual({ wrong, mended }, { wrong: [], mended: [] })
})
