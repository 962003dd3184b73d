import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { JsonSyntaxError, parseJson } from './json.ts'
import { parseYaml, parseYamlDocuments } from './yaml.ts'

for (const [text, message] of [
  ['', 'unexpected end of JSON input'],
  ['{', 'unexpected end of JSON input'],
  ['{"a":1', 'unexpected end of JSON input'],
  ['x', "invalid character 'x' looking for beginning of value"],
  ['{a:1}', "invalid character 'a' looking for beginning of object key string"],
  ['{"a" 1}', "invalid character '1' after object key"],
  ['{"a":1 "b":2}', `invalid character '"' after object key:value pair`],
  ['[1 2]', "invalid character '2' after array element"],
  ['"a\nb"', String.raw`invalid character '\n' in string literal`],
  [String.raw`"\x"`, "invalid character 'x' in string escape code"],
  ['-a', "invalid character 'a' in numeric literal"],
  ['1.a', "invalid character 'a' after decimal point in numeric literal"],
  ['tru}', "invalid character '}' in literal true (expecting 'e')"],
  ['{} {}', "invalid character '{' after top-level value"],
] as const) {
  test(`${JSON.stringify(text)} is refused as Go does`, () => assert.throws(() => parseJson(text), { name: 'JsonSyntaxError', message }))
}

test('fields given twice are named by their paths; the last one counts', () => {
  const { value, duplicates, positions } = parseJson('{"a":1,"spec":{"b":[{"c":1,"c":2}]},"a":3}')
  assert.deepEqual(value, { a: 3, spec: { b: [{ c: 2 }] } })
  assert.deepEqual(duplicates, ['spec.b[0].c', 'a'])
  assert.deepEqual(
    [...positions!].toSorted(([, a], [, b]) => a - b).map(([path]) => path),
    ['spec', 'spec.b', 'spec.b[0].c', 'a'],
  )
  assert.deepEqual(parseJson(String.raw`{"a\":":"{:\\","b":"\\"}`).duplicates, [])
})

test('nesting without end is refused before it can exhaust the stack', () => {
  assert.throws(() => parseJson('['.repeat(100_000)), JsonSyntaxError)
  assert.throws(() => parseJson('{"a":'.repeat(2000) + '1' + '}'.repeat(2000)), /exceeded max depth/)
})

test('any JSON is parsed as it is, without duplicates', () => {
  fc.assert(fc.property(fc.json(), (text) => assert.deepEqual(parseJson(text), { value: JSON.parse(text), duplicates: [] })))
})

test('YAML is read as version 1.1, with dates as text', () => {
  const text =
    'a: yes\nb: "yes"\nc: 010\nd: 0x10\ne: 1_000\nf: 2024-01-02\ng: 2024-01-02T03:04:05Z\nh: 12:30:45\ni: ~\nj: off\nk: 1e3\n1: one\ntrue: t\nl: 1.10\n'
  assert.deepEqual(parseYaml(text).value, {
    1: 'one',
    a: true,
    b: 'yes',
    c: 8,
    d: 16,
    e: 1000,
    f: '2024-01-02',
    g: '2024-01-02T03:04:05Z',
    h: '12:30:45',
    i: null,
    j: false,
    k: 1000,
    true: 't',
    l: 1.1,
  })
})

test('YAML: anchors, merge keys, many documents, duplicates', () => {
  assert.deepEqual(parseYaml('p: &x {a: 1}\nq:\n  <<: *x\n  b: 2\ny: 3\n').value, { p: { a: 1 }, q: { a: 1, b: 2 }, true: 3 })
  assert.deepEqual(parseYamlDocuments('a: 1\n---\n---\nb: 2\n'), [{ a: 1 }, { b: 2 }])
  assert.deepEqual(parseYaml('a: 1\nb: 2\na: 3\n'), { value: { a: 3, b: 2 }, duplicates: ['line 3: key "a" already set in map'] })
  assert.throws(() => parseYaml('a: [1'), { name: 'YamlSyntaxError', message: /^yaml: line 1: / })
  const bomb = [
    'a: &a [x]',
    ...'bcdefghi'.split('').map((name, index) => `${name}: &${name} [${`*${'abcdefgh'[index]},`.repeat(9)}]`),
  ].join('\n')
  assert.throws(() => parseYaml(bomb), { name: 'YamlSyntaxError', message: /alias/i })
})
