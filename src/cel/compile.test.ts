import { test } from 'node:test'
import assert from 'node:assert/strict'
import { compile } from './compile.ts'
import { DYN, INT, objectOf, parseType, type Type } from './types.ts'
import { formatKey, isList, type Value } from './values.ts'

const object = {
  metadata: { name: 'web', labels: { app: 'web' } },
  spec: { replicas: 3, weight: 0.5, containers: [{ name: 'a', image: 'x:1' }, { name: 'b' }] },
}
const variables: Readonly<Record<string, Type>> = { object: DYN, count: INT, pod: objectOf('Pod') }
const types = {
  hasType: (name: string) => name === 'Pod',
  fieldOf: (_: string, field: string) => (field === 'phase' ? parseType('string') : undefined),
}

const show = (value: Value): string => (isList(value) ? `[${value.map(show).join(', ')}]` : formatKey(value))

function evaluate(source: string, costLimit?: number): string {
  const program = compile(source, variables, types)
  if ('errors' in program) return program.errors
  const outcome = program.evaluate({ object, count: 5n }, costLimit === undefined ? {} : { costLimit })
  return 'error' in outcome ? `error: ${outcome.error}` : show(outcome.value)
}

function costOf(source: string): number {
  const program = compile(source, variables, types)
  assert.ok('evaluate' in program, source)
  return program.evaluate({ object, count: 5n }).cost
}

test('expressions over JSON: whole numbers are ints, absent fields are errors, has() asks first', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['object.spec.replicas + 1', '4'],
    ['object.spec.weight * 2.0', '1'],
    ['object.spec.missing', 'error: no such key: missing'],
    ['has(object.spec.missing) || has(object.spec.replicas)', 'true'],
    ['object.?spec.?missing.orValue(7)', '7'],
    ["object.spec.containers.exists(c, c.image == 'x:1')", 'true'],
    ["object.spec.containers.all(c, c.image == 'x:1')", 'error: no such key: image'],
    ['object.spec.containers.filter(c, has(c.image)).map(c, c.name)', '[a]'],
    ["object.metadata.labels.exists(key, value, key == 'app' && value == 'web')", 'true'],
    ['count + 9223372036854775807', 'error: integer overflow'],
    ['1 / (count - 5)', 'error: division by zero'],
    ['object.spec.containers[2]', 'error: index out of bounds: 2'],
  ]
  for (const [source, expected] of cases) assert.equal(evaluate(source), expected, source)
})

test('what does not compile is told with its place, as upstream tells it', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['  nothing', "ERROR: <input>:1:3: undeclared reference to 'nothing' (in container '')\n |   nothing\n | ..^"],
    ["count > '1'", "ERROR: <input>:1:7: found no matching overload for '_>_' applied to '(int, string)'\n | count > '1'\n | ......^"],
    [
      "count.startsWith('a')",
      "ERROR: <input>:1:17: found no matching overload for 'startsWith' applied to 'int.(string)'\n | count.startsWith('a')\n | ................^",
    ],
    ['pod.nope', "ERROR: <input>:1:4: undefined field 'nope'\n | pod.nope\n | ...^"],
    ['count.nope', "ERROR: <input>:1:6: type 'int' does not support field selection\n | count.nope\n | .....^"],
    ['[1, true]', "ERROR: <input>:1:5: expected type 'int' but found 'bool'\n | [1, true]\n | ....^"],
    ["duration('x') < duration('1s')", "ERROR: <input>:1:10: invalid duration argument\n | duration('x') < duration('1s')\n | .........^"],
    ["'a'.matches('(')", "ERROR: <input>:1:13: invalid matches argument\n | 'a'.matches('(')\n | ............^"],
  ]
  for (const [source, expected] of cases) assert.equal(evaluate(source), expected, source)
})

test('the libraries of Kubernetes', () => {
  const cases: readonly (readonly [string, string])[] = [
    ["quantity('1Gi').isGreaterThan(quantity('1G'))", 'true'],
    ["quantity('1500m').asApproximateFloat()", '1.5'],
    ["quantity('1k').add(24).asInteger()", '1024'],
    ["quantity('x')", "error: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"],
    ["ip('2001:db8::1').family()", '6'],
    ["isIP('10.0.0.256') || isIP('::ffff:1.2.3.4')", 'false'],
    ["cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && !cidr('10.0.0.0/8').containsIP('11.0.0.1')", 'true'],
    ["string(cidr('192.168.7.9/16').masked())", '192.168.0.0/16'],
    ["url('https://user@example.com:80/a b?x=1').getHostname()", 'example.com'],
    ["url('https://[::1]:80/').getPort()", '80'],
    ["isURL('example')", 'false'],
    ["'a1b22'.findAll('[0-9]+')", '[1, 22]'],
    ["'abc'.find('x')", ''],
    ["semver('1.2.3-rc.1').isLessThan(semver('1.2.3'))", 'true'],
    ["semver('v01.2', true).minor()", '2'],
    ["format.dns1123Label().validate('fine').hasValue()", 'false'],
    ["format.named('nope').hasValue()", 'false'],
    ['[3, 1, 2].sort().isSorted()', 'true'],
    ["['ccc', 'a', 'bb'].sortBy(s, size(s))", '[a, bb, ccc]'],
    ['[1, 2, 2].sum() + [4, 7].max() + [1, 2, 1].lastIndexOf(1)', '14'],
    ['sets.contains([1, 2, 3], [3, 1])', 'true'],
    ["'%s has %d of %.2f'.format(['it', 3, 1.005])", 'it has 3 of 1.00'],
    ["'a,b,c'.split(',', 2)", '[a, b,c]'],
    ["timestamp('2024-02-29T23:30:00Z').getHours('Asia/Kathmandu')", '5'],
    ["string(timestamp('2024-01-01T00:00:00Z') + duration('90m'))", '2024-01-01T01:30:00Z'],
  ]
  for (const [source, expected] of cases) assert.equal(evaluate(source), expected, source)
})

test('costs are counted, and too much of them ends the evaluation', () => {
  assert.equal(costOf('object.spec.replicas > 2'), 4)
  assert.equal(costOf('has(object.metadata)'), 1)
  assert.equal(costOf('1 + 2'), 1)
  assert.equal(costOf('[1, 2]'), 0)
  assert.equal(costOf('[1, count]'), 11)
  const loops = '[0,1,2,3,4,5,6,7,8,9]'
  const nested = `${loops}.all(a, ${loops}.all(b, ${loops}.all(c, ${loops}.all(d, ${loops}.all(e, true)))))`
  assert.equal(evaluate(nested, 10_000), 'error: operation cancelled: actual cost limit exceeded')
  // Nothing absorbs it.
  assert.equal(evaluate(`true || ${nested}`, 10_000), 'true')
  assert.equal(evaluate(`${nested} || true`, 10_000), 'error: operation cancelled: actual cost limit exceeded')
})

test('deep and long sources are refused', () => {
  assert.match(evaluate('('.repeat(300) + '1' + ')'.repeat(300)), /expression recursion limit exceeded: 250/)
  assert.match(evaluate('1'.repeat(100_001)), /expression code point size exceeds limit/)
})
