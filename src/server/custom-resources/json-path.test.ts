import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseJsonPath } from './json-path.ts'

const object = {
  spec: { replicas: 3, 'dotted.name': 'x', list: [{ a: 1, on: true }, { a: 2 }, { a: 3, on: false }] },
  status: {
    conditions: [
      { type: 'Ready', status: 'True' },
      { type: 'Synced', status: 'False' },
    ],
  },
}

test('paths', () => {
  const cases: readonly (readonly [path: string, ...expected: unknown[]])[] = [
    ['.spec.replicas', 3],
    ['.spec.none.deeper'],
    ["['spec']['dotted.name']", 'x'],
    [String.raw`.spec.dotted\.name`, 'x'],
    ['.spec.list[0].a', 1],
    ['.spec.list[-1].a', 3],
    ['.spec.list[1:].a', 2, 3],
    ['.spec.list[*].a', 1, 2, 3],
    ['.status.conditions[?(@.type=="Ready")].status', 'True'],
    ["$.status.conditions[?(@.type!='Ready')].status".slice(1), 'False'],
    ['.spec.list[?(@.a>1)].a', 2, 3],
    ['.spec.list[?(@.on)].a', 1, 3],
    ['..status', object.status, 'True', 'False'],
  ]
  for (const [path, ...expected] of cases) assert.deepEqual(parseJsonPath(path)?.(object), expected, path)
  for (const path of ['.spec[', '.spec[x]', '.spec[?(]']) assert.equal(parseJsonPath(path), undefined, path)
})
