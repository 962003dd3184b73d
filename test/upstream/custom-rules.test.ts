/** CEL rules of CustomResourceDefinitions as upstream takes them: what does not compile, what costs too much, what they tell. */
import type { JSONSchemaProps, ValidationRule } from '../../src/api/generated/apiextensions/v1.ts'
import { compare, type Step } from './compare.ts'

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

function define(name: string, spec: JSONSchemaProps, more: Partial<JSONSchemaProps> = {}): object {
  const schema = { type: 'object', properties: { spec }, ...more }
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${name}s.{name}.test` },
    spec: {
      group: '{name}.test',
      scope: 'Namespaced',
      names: { plural: `${name}s`, kind: `K${name}`, singular: name, listKind: `K${name}List` },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }],
    },
  }
}

const text = (maxLength?: number): JSONSchemaProps => ({ type: 'string', ...(maxLength === undefined ? {} : { maxLength }) })
const list = (items: JSONSchemaProps, maxItems?: number, more: Partial<JSONSchemaProps> = {}): JSONSchemaProps => ({
  type: 'array',
  items,
  ...(maxItems === undefined ? {} : { maxItems }),
  ...more,
})
const map = (additionalProperties: JSONSchemaProps, maxProperties?: number): JSONSchemaProps => ({
  type: 'object',
  additionalProperties,
  ...(maxProperties === undefined ? {} : { maxProperties }),
})
const object = (properties: Readonly<Record<string, JSONSchemaProps>>, more: Partial<JSONSchemaProps> = {}): JSONSchemaProps => ({
  type: 'object',
  properties,
  ...more,
})
const ruled = (schema: JSONSchemaProps, ...rules: readonly (string | ValidationRule)[]): JSONSchemaProps => ({
  ...schema,
  'x-kubernetes-validations': rules.map((rule) => (typeof rule === 'string' ? { rule } : rule)),
})

const person = object({ name: text(), nick: text(8) }, { required: ['name'] })
const SPECS: readonly JSONSchemaProps[] = [
  ruled(list(text()), 'self.all(x, x.contains("a"))'),
  ruled(list(text(), 10), 'self.all(x, x.contains("a"))'),
  ruled(list(text(), 100), 'self.all(x, self.all(y, x != y))'),
  ruled(list(text(20), 100), 'self.all(x, self.all(y, x != y))', 'self.exists_one(x, x == "a")', 'self.map(x, x.size()).sum() > 3'),
  ruled(list({ type: 'integer' }), 'self.all(x, x > 1)'),
  ruled(list({ type: 'integer' }), 'self.all(x, self.all(y, x + y > 1))'),
  list(ruled(text(50), 'self.matches("^a+$")')),
  list(ruled(text(), 'self.matches("^a+$")'), 5),
  map(ruled(text(), 'self.startsWith("a")')),
  map(ruled(text(9), 'self.startsWith("a") && self.size() < 5'), 30),
  ruled(map(text()), 'self.all(k, self[k] != "")', 'self.all(k, k.matches("a*b"))'),
  list(map(ruled(object({ a: text(3), b: { type: 'integer' } }, { required: ['b'] }), 'self.a == "x" || self.b > 3'), 100)),
  ruled(list(person), 'self.all(p, p.name.matches("^[a-z]+$"))', 'self.exists_one(p, p.nick == "a")'),
  ruled(list(person, 16), 'self.all(p, self.exists_one(q, p.name == q.name))'),
  ruled(text(), { rule: 'true', messageExpression: 'self.matches(self) ? "a" : "b"' }, 'self.split(",").all(x, x.matches(self))'),
  ruled(text(), 'self.replace("a", "aaaa").matches("x")', 'self.upperAscii() == self.lowerAscii()'),
  ruled(
    text(),
    'url(self).getHost() == "a"',
    'isIP(self)',
    'quantity(self).isInteger()',
    'format.dns1123Label().validate(self).hasValue()',
  ),
  ruled(
    object({ when: { type: 'string', format: 'date-time' }, port: { 'x-kubernetes-int-or-string': true } }),
    'string(self.port).matches("a")',
  ),
  ruled({ type: 'object', properties: { e: { type: 'string', enum: ['one', 'three'] } } }, 'self.e.matches("one|two")'),
  object({ l: list(object({ l: list(object({ l: list(ruled(text(), 'self != "a"')) })) })) }),
  ruled(text(10), 'self.nope', 'self == 1', 'self', 'nope(self)', 'self +', 'int("a") == 1', 'duration("x") > duration("1s")'),
  ruled(text(10), { rule: 'true', messageExpression: 'self +' }, { rule: 'true', messageExpression: '1' }, { rule: 'self == oldSelf' }),
  ruled(text(10), { rule: 'self == "a"', optionalOldSelf: true }, { rule: 'oldSelf == self', optionalOldSelf: true }),
  list(ruled(text(10), 'self == oldSelf'), 5),
  list(ruled(object({ k: text(3) }, { required: ['k'] }), 'self == oldSelf'), 5, {
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['k'],
  }),
  ruled({ type: 'object', 'x-kubernetes-preserve-unknown-fields': true }, 'self.a == 1'),
  list(ruled({ 'x-kubernetes-int-or-string': true }, 'self == 5 || self == "a"')),
  ruled(
    object({ a: text(), 'b-c': text(), namespace: text() }),
    'self.a == self.b__dash__c',
    'self.namespace == "a"',
    'self.__namespace__ == ""',
  ),
]

const refused = SPECS.map((spec, index): Step => ({
  method: 'POST',
  path: `${definitions}?dryRun=All`,
  body: define(`a${index}`, spec),
  except: ['body.status', 'body.metadata.uid'],
}))

const runs = ruled(
  object({
    n: { type: 'integer' },
    s: text(20),
    l: list(text(5), 10),
    m: map({ type: 'integer' }, 5),
    at: { type: 'string', format: 'date-time' },
    nested: ruled(object({ min: { type: 'integer' }, max: { type: 'integer' } }), { rule: 'self.min <= self.max', fieldPath: '.max' }),
    kept: ruled(text(9), { rule: 'self == oldSelf', message: 'is kept' }),
    first: ruled(text(9), { rule: '!oldSelf.hasValue() || self != oldSelf.value()', optionalOldSelf: true, message: 'must change' }),
    keyed: list(ruled(object({ k: text(3), v: { type: 'integer' } }, { required: ['k'] }), 'self.v >= oldSelf.v'), 5, {
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['k'],
    }),
  }),
  { rule: '!has(self.n) || self.n < 10', messageExpression: "self.n > 10 ? 'n is huge' : 'n is ten'", reason: 'FieldValueForbidden' },
  { rule: '!has(self.s) || int(self.s) > 0', message: 's is a number' },
  { rule: "!has(self.l) || self.l[0] != 'x'", reason: 'FieldValueDuplicate' },
  { rule: "!has(self.m) || self.m['a'] / self.m['b'] == 1", reason: 'FieldValueRequired', message: ' spaced ' },
  "!has(self.at) || self.at < timestamp('2030-01-01T00:00:00Z')",
)
const objects = '/apis/{name}.test/v1/namespaces/{name}/cs'
const own = (name: string, spec: object): object => ({ apiVersion: '{name}.test/v1', kind: 'Kc', metadata: { name }, spec })
const made = (name: string, spec: object): Step => ({ method: 'POST', path: objects, body: own(name, spec) })
const patched = (name: string, spec: object): Step => ({
  method: 'PATCH',
  path: `${objects}/${name}`,
  type: 'application/merge-patch+json',
  body: { spec },
})

compare('rules of definitions', [
  {
    name: 'run on objects',
    steps: [
      { method: 'POST', path: definitions, body: define('c', runs), except: ['body.status', 'body.metadata.uid', 'body.spec.group'] },
      ...Array.from({ length: 3 }, () => ({ path: `${definitions}?watch=1&timeoutSeconds=1`, except: ['body'] })),
      ...[
        { n: 1 },
        { n: 10 },
        { n: 11, s: '0' },
        { s: 'x' },
        { l: [] },
        { l: ['x'] },
        { m: { a: 1 } },
        { m: { a: 1, b: 0 } },
        { m: { a: 2, b: 1 } },
        { at: '2031-01-01T00:00:00Z' },
        { at: 'x' },
        { nested: { min: 2, max: 1 } },
        { nested: { min: 2 } },
        { kept: 'a', first: 'a', keyed: [{ k: 'a', v: 1 }] },
      ].map((spec, index) => made(`o${index}`, spec)),
      patched('o13', { kept: 'b', first: 'b' }),
      made('o14', { n: 1 }),
      { method: 'POST', path: objects.replace('{name}.test', 'none.test'), body: own('a', {}) },
      patched('o13', { n: 3, first: 'b' }),
      patched('o13', { first: 'b' }),
      patched('o13', { n: 4 }),
      patched('o13', {
        first: 'c',
        keyed: [
          { k: 'b', v: 0 },
          { k: 'a', v: 0 },
        ],
      }),
      patched('o13', {
        first: 'd',
        keyed: [
          { k: 'b', v: 0 },
          { k: 'a', v: 2 },
        ],
      }),
      patched('o13', { first: 'e', keyed: [{ k: 'b' }] }),
      { path: `${objects}/o13`, except: ['body.metadata.managedFields'] },
    ],
  },
  { name: 'are compiled, and what they may cost is bounded', steps: refused },
  {
    name: 'may not cost too much together',
    steps: [
      {
        method: 'POST',
        path: `${definitions}?dryRun=All`,
        // Each of another cost: those that are named come in its order.
        body: define(
          'b',
          ruled(list(text(), 60), ...Array.from({ length: 15 }, (_, i) => `self.all(x, x.contains("${'a'.repeat(10 * i + 1)}"))`)),
        ),
        except: ['body.status', 'body.metadata.uid'],
      },
    ],
  },
])
