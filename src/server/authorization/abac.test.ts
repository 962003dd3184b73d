import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAbacAuthorizer, parseAbacPolicy } from './abac.ts'
import type { Attributes } from './authorizer.ts'

const line = (spec: object): string => JSON.stringify({ apiVersion: 'abac.authorization.kubernetes.io/v1beta1', kind: 'Policy', spec })
const authorizer = createAbacAuthorizer(
  parseAbacPolicy(
    'p',
    [
      '# who may what',
      line({ user: 'alice', namespace: '*', resource: '*', apiGroup: '*' }),
      line({ user: 'bob', namespace: 'team', resource: 'pods', readonly: true }),
      line({ group: 'ops', nonResourcePath: '/logs/*', readonly: true }),
      line({ user: '*', nonResourcePath: '/version' }),
      line({ namespace: '*', resource: '*', apiGroup: '*', nonResourcePath: '*' }),
      '',
      '{"user":"old","namespace":"team"}',
      '{"group":"*","resource":"events","readonly":true}',
    ].join('\n'),
  ),
)

const resource = (verb: string, of: string, namespace = 'team', group = ''): Partial<Attributes> => ({
  verb,
  isResource: true,
  resource: of,
  namespace,
  group,
})
const path = (verb: string, of: string): Partial<Attributes> => ({ verb, isResource: false, path: of })

const rows: readonly (readonly [user: string, asked: Partial<Attributes>, isAllowed: boolean])[] = [
  ['alice', resource('delete', 'deployments', 'x', 'apps'), true],
  ['alice', path('get', '/logs/a'), false],
  ['bob', resource('list', 'pods'), true],
  ['bob', resource('create', 'pods'), false],
  ['bob', resource('get', 'pods', 'other'), false],
  ['bob', resource('get', 'pods', 'team', 'metrics.k8s.io'), false],
  ['carl', path('get', '/logs/a/b'), true],
  ['carl', path('post', '/logs/a'), false],
  ['carl', path('get', '/log'), false],
  ['dora', path('get', '/version'), true],
  ['dora', resource('get', 'pods'), false],
  ['old', resource('create', 'anything', 'team', 'any.group'), true],
  ['old', resource('create', 'anything', 'other'), false],
  ['dora', resource('watch', 'events', 'anywhere', 'events.k8s.io'), true],
  ['dora', resource('create', 'events'), false],
]

for (const [name, asked, isAllowed] of rows) {
  test(`${name} may ${isAllowed ? '' : 'not '}${JSON.stringify(asked)}`, () => {
    const groups = ['system:authenticated', ...(name === 'carl' ? ['ops'] : [])]
    const attributes = { path: '', version: 'v1', subresource: '', name: '', group: '', resource: '', namespace: '', verb: '', ...asked }
    assert.deepEqual(
      authorizer.authorize({ ...attributes, isResource: asked.isResource!, user: { name, groups } }),
      isAllowed ? { isAllowed, reason: '' } : { isAllowed, reason: 'No policy matched.' },
    )
  })
}

test('rules of a user', () => {
  assert.deepEqual(authorizer.rulesFor({ name: 'bob', groups: ['system:authenticated'] }, 'team'), {
    resourceRules: [
      { verbs: ['get', 'list', 'watch'], apiGroups: [''], resources: ['pods'] },
      { verbs: ['get', 'list', 'watch'], apiGroups: ['*'], resources: ['events'] },
    ],
    nonResourceRules: [],
  })
})

/** As upstream's server says it when it is started with such a file. */
const meta = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
const unmarshal = (what: string, into: string): string => `json: cannot unmarshal ${what} into Go ${into}`
const faults: readonly (readonly [text: string, fault: string])[] = [
  ['{"user":', "couldn't get version/kind; json parse error: unexpected end of JSON input"],
  ['[]', `couldn't get version/kind; json parse error: ${unmarshal('array', `value of type ${meta}`)}`],
  ['3', `couldn't get version/kind; json parse error: ${unmarshal('number', `value of type ${meta}`)}`],
  [line({ user: 3 }), unmarshal('number', 'struct field PolicySpec.spec.user of type string')],
  [line({ readonly: 'x' }), unmarshal('string', 'struct field PolicySpec.spec.readonly of type bool')],
  [line([]), unmarshal('array', 'struct field Policy.spec of type v1beta1.PolicySpec')],
  ['{"user":3}', unmarshal('number', 'struct field Policy.user of type string')],
  ['{"apiVersion":"x/v1","kind":"Foo"}', 'no kind "Foo" is registered for version "x/v1" in scheme "pkg/runtime/scheme.go:111"'],
]
for (const [text, fault] of faults)
  test(`a line that cannot be read: ${text}`, () =>
    assert.throws(() => parseAbacPolicy('p.json', `# first\n${text}`), {
      message: `error reading policy file p.json, line 2: ${text}: ${fault}`,
    }))
