import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakeClock } from '../server.test-support.ts'
import { union, type Attributes, type Verdict } from './authorizer.ts'
import { readAuthorizationConfiguration } from './configuration.ts'
import { createWebhookAuthorizer } from './webhook.ts'

const attributes: Attributes = {
  user: { name: 'alice', groups: ['devs'] },
  verb: 'list',
  isResource: true,
  path: '/api/v1/pods',
  group: '',
  version: 'v1',
  resource: 'pods',
  subresource: '',
  namespace: 'a',
  name: '',
  fieldSelector: 'spec.nodeName=n',
  labelSelector: 'a in (b,c),d',
}

const file = (webhook: object = {}, others: readonly object[] = []) =>
  JSON.stringify({
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AuthorizationConfiguration',
    authorizers: [
      {
        type: 'Webhook',
        name: 'hook',
        webhook: {
          authorizedTTL: '5m',
          unauthorizedTTL: '30s',
          timeout: '3s',
          subjectAccessReviewVersion: 'v1',
          failurePolicy: 'NoOpinion',
          connectionInfo: { type: 'KubeConfigFile', kubeConfigFile: '/x' },
          ...webhook,
        },
      },
      ...others,
    ],
  })

function setup(answer: () => object | Error, webhook: object = {}) {
  const clock = fakeClock()
  const asked: unknown[] = []
  const settings = readAuthorizationConfiguration(file(webhook))[0]!.webhook!
  const authorizer = createWebhookAuthorizer(
    clock,
    async (review) => {
      asked.push(review)
      const given = answer()
      if (given instanceof Error) throw given
      return given as Record<string, unknown>
    },
    settings,
  )
  return { clock, asked, ask: async (more: Partial<Attributes> = {}): Promise<Verdict> => authorizer.authorize({ ...attributes, ...more }) }
}

test('another program gives leave, and its answers count for a while', async () => {
  const { clock, asked, ask } = setup(() => ({ allowed: true, reason: 'because' }))
  assert.deepEqual(await ask(), { isAllowed: true, reason: 'because' })
  assert.deepEqual(asked[0], {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    spec: {
      resourceAttributes: {
        namespace: 'a',
        verb: 'list',
        version: 'v1',
        resource: 'pods',
        fieldSelector: { requirements: [{ key: 'spec.nodeName', operator: 'In', values: ['n'] }] },
        labelSelector: {
          requirements: [
            { key: 'a', operator: 'In', values: ['b', 'c'] },
            { key: 'd', operator: 'Exists' },
          ],
        },
      },
      user: 'alice',
      groups: ['devs'],
    },
  })
  clock.advance(299_000)
  await ask()
  assert.equal(asked.length, 1)
  clock.advance(2000)
  await Promise.all([ask(), ask(), ask()])
  assert.equal(asked.length, 2, 'asked once by all who wait')
  await ask({ user: { name: 'alice', groups: ['devs', 'x'] } })
  assert.equal(asked.length, 3)
})

test('a no, no opinion, nonsense and silence', async () => {
  assert.deepEqual(await setup(() => ({ denied: true, reason: 'no' })).ask(), { isAllowed: false, isDenied: true, reason: 'no' })
  assert.deepEqual(await setup(() => ({})).ask(), { isAllowed: false, reason: '' })
  assert.deepEqual(await setup(() => ({ allowed: 'yes' })).ask(), { isAllowed: false, reason: '' })
  assert.match((await setup(() => ({ allowed: true, denied: true })).ask()).error!, /both allow and deny/)
  assert.deepEqual(await setup(() => new Error('down')).ask(), { isAllowed: false, reason: '', error: 'down' })
  assert.equal((await setup(() => new Error('down'), { failurePolicy: 'Deny' }).ask()).isDenied, true)
})

test('conditions say what is asked about at all', async () => {
  const conditions = {
    matchConditionSubjectAccessReviewVersion: 'v1',
    matchConditions: [{ expression: 'has(request.resourceAttributes)' }, { expression: '!("admins" in request.groups)' }],
  }
  const { asked, ask } = setup(() => ({ allowed: true }), conditions)
  assert.equal((await ask()).isAllowed, true)
  assert.equal((await ask({ user: { name: 'bob', groups: ['admins'] } })).isAllowed, false)
  assert.equal((await ask({ isResource: false })).isAllowed, false)
  assert.equal(asked.length, 1)
})

test('authorizers are asked in order until one decides', async () => {
  const fixed = (verdict: Verdict | Promise<Verdict>) => ({
    authorize: () => verdict,
    rulesFor: () => ({ resourceRules: [], nonResourceRules: [] }),
  })
  const no: Verdict = { isAllowed: false, reason: 'x' }
  const yes: Verdict = { isAllowed: true, reason: 'y' }
  assert.deepEqual(union([fixed(no), fixed(yes)]).authorize(attributes), yes)
  assert.deepEqual(await union([fixed(Promise.resolve(no)), fixed(yes)]).authorize(attributes), yes)
  assert.deepEqual(union([fixed({ ...no, isDenied: true }), fixed(yes)]).authorize(attributes), { ...no, isDenied: true })
  assert.deepEqual(await union([fixed(no), fixed(Promise.resolve({ ...no, error: 'e' }))]).authorize(attributes), {
    isAllowed: false,
    reason: 'x\nx',
    error: 'e',
  })
})

test('a file that cannot be used is refused with every fault in it', () => {
  const cases: readonly (readonly [string, string | RegExp])[] = [
    ['x: [', /error converting YAML to JSON/],
    [
      file({}, [{ type: 'Other', name: 'a' }]),
      /^authorizers\[1\].type: Unsupported value: "Other": supported values: "ABAC", "AlwaysAllow", /,
    ],
    [file({}, [{ type: 'RBAC', name: 'a' }]), 'expected name rbac for authorizer RBAC instead of a'],
    [file({ timeout: '1m' }), 'authorizers[0].timeout: Invalid value: "1m0s": must be > 0s and <= 30s'],
    [file({ timeout: 'soon' }), /authorizers\[0\].webhook.timeout: expected duration, got "soon"/],
    [file({ failurePolicy: 'Allow' }), 'authorizers[0].failurePolicy: Unsupported value: "Allow": supported values: "NoOpinion", "Deny"'],
    [
      file({ matchConditionSubjectAccessReviewVersion: 'v1', matchConditions: [{ expression: '1' }] }),
      'authorizers[0].matchConditions[0].expression: Invalid value: "1": must evaluate to bool but got int',
    ],
    [file({}, [{ type: 'RBAC', name: 'hook' }]), 'authorizers[1].name: Duplicate value: "hook"'],
    [file({ connectionInfo: { type: 'KubeConfigFile', kubeConfigFile: 'x' } }), /must be an absolute path/],
    [
      '{"apiVersion":"apiserver.config.k8s.io/v1","kind":"AuthorizationConfiguration"}',
      'authorizers: Required value: at least one authorization mode must be defined',
    ],
  ]
  for (const [text, told] of cases) assert.throws(() => readAuthorizationConfiguration(text), { message: told })
})

test('while the server runs, only webhooks come and go', () => {
  const rbac = { type: 'RBAC', name: 'rbac' }
  const node = { type: 'Node', name: 'node' }
  const changed = (begunWith: readonly ('Node' | 'RBAC')[], now: readonly object[]) =>
    readAuthorizationConfiguration(file({}, now), begunWith)
  assert.equal(changed(['RBAC'], [{ type: 'AlwaysDeny', name: 'alwaysdeny' }, rbac]).length, 3)
  assert.throws(() => changed(['RBAC', 'Node'], []), { message: 'missing required types: [Node RBAC]' })
  assert.throws(() => changed(['RBAC'], [rbac, node]), {
    message: 'authorizer type Node is not allowed if it was not enabled at initial server startup',
  })
})
