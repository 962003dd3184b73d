/** The cases of the CEL specification (cel-spec's conformance data), without those about protocol buffer messages. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { tests as specification } from '@bufbuild/cel-spec/testdata/conformance.js'
import { compile } from './compile.ts'
import { parseType, type Type } from './types.ts'
import { CelMap, EntryMap, equalValues, formatKey, isList, TypeValue, Uint, type Value } from './values.ts'

const MIXED_LITERAL = /^ERROR: <input>:1:\d+: expected type '.+' but found '.+'\n/

type Json = Readonly<Record<string, unknown>>
interface Suite {
  readonly name: string
  readonly suites?: readonly Suite[]
  readonly tests?: readonly { readonly original: Json & { readonly expr: string; readonly name?: string } }[]
}

const SUITES = [
  'basic',
  'comparisons',
  'conversions',
  'fp_math',
  'integer_math',
  'lists',
  'logic',
  'macros',
  'macros2',
  'parse',
  'plumbing',
  'string',
  'string_ext',
  'timestamps',
  'optionals',
]
/** Messages, containers and enumerations are of protocol buffers; Kubernetes does not enable names in backticks, nor reverse() and strings.quote of later versions. */
const OUT_OF_SCOPE = /`|TestAllTypes|google\.protobuf\.(?!Timestamp|Duration)|NestedEnum|proto\d|\.reverse\(\)|com\.example|cel\.expr/

function fromSpecification(json: Json): Value {
  const [kind = '', content] = Object.entries(json)[0] ?? []
  switch (kind) {
    case 'int64Value':
      return BigInt(content as string)
    case 'uint64Value':
      return new Uint(BigInt(content as string))
    case 'doubleValue':
      return Number(content)
    case 'bytesValue':
      return Uint8Array.fromBase64(content as string)
    case 'nullValue':
      return null
    case 'typeValue':
      return new TypeValue(content as string)
    case 'listValue':
      return ((content as { values?: Json[] }).values ?? []).map(fromSpecification)
    case 'mapValue': {
      const entries = (content as { entries?: { key: Json; value: Json }[] }).entries ?? []
      return new EntryMap(entries.map(({ key, value }) => [fromSpecification(key), fromSpecification(value)]))
    }
    case 'stringValue':
    case 'boolValue':
      return content as string | boolean
    default:
      throw new Error(`${kind} is out of scope`)
  }
}

function typeOfDeclaration(json: Json): Type {
  const [kind, content] = Object.entries(json)[0] ?? []
  if (kind === 'primitive') return parseType(String(content).toLowerCase().replace('64', ''))
  if (kind === 'wellKnown') return parseType(String(content).toLowerCase())
  const inner = content as { elemType?: Json; keyType?: Json; valueType?: Json }
  if (kind === 'listType') return { kind: 'list', name: 'list', params: [typeOfDeclaration(inner.elemType ?? {})] }
  if (kind === 'mapType') {
    return { kind: 'map', name: 'map', params: [typeOfDeclaration(inner.keyType ?? {}), typeOfDeclaration(inner.valueType ?? {})] }
  }
  return parseType('dyn')
}

/** Equal, and of the same types: 1 is not 1.0 here; NaN is itself. */
function isSame(a: Value, b: Value): boolean {
  if (isList(a) && isList(b)) return a.length === b.length && a.every((item, i) => isSame(item, b[i]!))
  if (a instanceof CelMap && b instanceof CelMap) return equalValues(a, b)
  return typeof a === typeof b && (equalValues(a, b) || (Number.isNaN(a) && Number.isNaN(b)))
}

function* casesOf(suite: Suite): Generator<Json & { readonly expr: string }> {
  for (const { original } of suite.tests ?? []) yield original
  for (const inner of suite.suites ?? []) yield* casesOf(inner)
}

/** What version 2 of the string extension, which Kubernetes enables, does otherwise: see recorded.test.ts. */
const FORMATS = /"%d"\.format\(\[double|ndexOf\('a', 30\)|str_var\.format|%(?:\.6)?e|Infinity|"%s"\.format\(\[(?:\[|\{|dyn\(\[)/

function isInScope(original: Json & { readonly expr: string }): boolean {
  const text = JSON.stringify(original)
  return (
    !OUT_OF_SCOPE.test(text) &&
    !FORMATS.test(original.expr) &&
    original['container'] === undefined &&
    original['disableCheck'] !== true &&
    !text.includes('objectValue')
  )
}

function verdictOn(original: Json & { readonly expr: string }): string | undefined {
  const declarations = (original['typeEnv'] ?? []) as { name: string; ident?: { type?: Json }; function?: unknown }[]
  if (declarations.some((declaration) => declaration.function !== undefined)) return undefined
  const variables = Object.fromEntries(declarations.map(({ name, ident }) => [name, typeOfDeclaration(ident?.type ?? {})]))
  const program = compile(original.expr, variables)
  const expectsError = original['evalError'] !== undefined
  // Kubernetes asks for literals of one type (cel.HomogeneousAggregateLiterals), the specification does not.
  if ('errors' in program) return expectsError || MIXED_LITERAL.test(program.errors) ? undefined : program.errors
  const bindings = Object.entries((original['bindings'] ?? {}) as Record<string, { value: Json }>)
  const outcome = program.evaluate(Object.fromEntries(bindings.map(([name, binding]) => [name, fromSpecification(binding.value)])))
  if ('error' in outcome) return expectsError ? undefined : `failed: ${outcome.error}`
  if (expectsError) return `is ${formatKey(outcome.value)} but should fail`
  const expected = fromSpecification((original['value'] ?? { boolValue: true }) as Json)
  return isSame(outcome.value, expected) ? undefined : `is ${formatKey(outcome.value)} but should be ${formatKey(expected)}`
}

for (const suite of specification.suites as readonly Suite[]) {
  if (!SUITES.includes(suite.name)) continue
  test(`the specification's cases: ${suite.name}`, () => {
    const cases = [...casesOf(suite)].filter(isInScope)
    assert.ok(cases.length > 0)
    const wrong = cases.flatMap((original) => {
      const verdict = verdictOn(original)
      return verdict === undefined ? [] : [`${original.expr}: ${verdict}`]
    })
    assert.deepEqual(wrong, [])
  })
}
