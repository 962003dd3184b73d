import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { applyTypeOf } from '../../../api/apply/apply-types.ts'
import { schemaOf } from '../../../api/schema-table.ts'
import { resources } from '../../resources/index.ts'
import { startServer } from '../../server.test-support.ts'
import { createWebhookAdmission } from '../webhooks/plugins.ts'
import { applyConfiguration } from './apply-configuration.ts'
import { createMutatingPolicies } from './mutating.ts'
import { createValidatingPolicies } from './validating.ts'
import { createConditionCheck } from './webhook-conditions.ts'

const MAPS = '/api/v1/namespaces/default/configmaps'
const GROUP = '/apis/admissionregistration.k8s.io/v1'
const rule = { operations: ['CREATE', 'UPDATE', 'DELETE'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] }

async function start(t: TestContext) {
  const calls: string[] = []
  const server = await startServer(t, {
    resources,
    admission: (registry, authorizer) => [
      createValidatingPolicies(registry, authorizer),
      ...createWebhookAdmission({
        registry,
        conditions: createConditionCheck(authorizer),
        call: async (_target, body) => {
          const { request } = body as unknown as { readonly request: { readonly uid: string; readonly name: string } }
          calls.push(request.name)
          return { kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', response: { uid: request.uid, allowed: true } }
        },
      }),
    ],
  })
  await server.call('POST', '/api/v1/namespaces', { metadata: { name: 'default', labels: { team: 'a' } } })
  const policy = (name: string, spec: Record<string, unknown>) =>
    server.call('POST', `${GROUP}/validatingadmissionpolicies`, {
      metadata: { name },
      spec: { matchConstraints: { resourceRules: [rule] }, ...spec },
    })
  const bind = (name: string, more: Record<string, unknown> = {}) =>
    server.call('POST', `${GROUP}/validatingadmissionpolicybindings`, {
      metadata: { name: `${name}-binding` },
      spec: { policyName: name, validationActions: ['Deny'], ...more },
    })
  return { ...server, calls, policy, bind }
}

const map = (name: string, data: Record<string, string> = {}) => ({ metadata: { name }, data })

test('a bound policy refuses what does not satisfy it, in the words it was given', async (t) => {
  const { call, policy, bind } = await start(t)
  const made = await policy('sizes', {
    variables: [{ name: 'count', expression: 'has(object.data) ? object.data.size() : 0' }],
    validations: [
      { expression: 'variables.count <= 1', messageExpression: "'%d entries are too many'.format([variables.count])" },
      { expression: "object.metadata.name != 'secret'", message: 'not that name', reason: 'Forbidden' },
      { expression: "namespaceObject.metadata.labels.team == 'a' && request.operation in ['CREATE', 'UPDATE', 'DELETE']" },
    ],
  })
  assert.equal(made.status, 201)
  assert.equal((await call('POST', MAPS, map('before', { a: '1', b: '2' }))).status, 201)
  await bind('sizes')
  assert.equal((await call('POST', MAPS, map('fine', { a: '1' }))).status, 201)
  const refused = await call('POST', MAPS, map('large', { a: '1', b: '2' }))
  assert.equal(refused.status, 422)
  assert.equal(
    refused.body['message'],
    "configmaps \"large\" is forbidden: ValidatingAdmissionPolicy 'sizes' with binding 'sizes-binding' denied request: 2 entries are too many",
  )
  const forbidden = await call('POST', MAPS, map('secret'))
  assert.equal(forbidden.status, 403)
  assert.match(String(forbidden.body['message']), /denied request: not that name$/)
})

test("an expression that fails is the failure policy's to decide", async (t) => {
  const { call, policy, bind } = await start(t)
  const validations = [{ expression: "object.data.wanted == 'yes'" }]
  await policy('strict', { validations, matchConditions: [{ name: 'strict', expression: "object.metadata.name.startsWith('s')" }] })
  await policy('lenient', { validations, failurePolicy: 'Ignore' })
  await bind('strict')
  await bind('lenient')
  assert.equal((await call('POST', MAPS, map('lenient', { a: '1' }))).status, 201)
  const refused = await call('POST', MAPS, map('s', { a: '1' }))
  assert.match(
    String(refused.body['message']),
    /denied request: expression 'object\.data\.wanted == 'yes'' resulted in error: no such key: wanted$/,
  )
})

test('parameters come from the objects that the binding names, and a binding may only warn', async (t) => {
  const { call, policy, bind } = await start(t)
  await policy('limits', {
    paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
    validations: [{ expression: 'object.data.size() <= int(params.data.maximum)' }],
    matchConditions: [{ name: 'others', expression: "object.metadata.name != 'parameters'" }],
  })
  await bind('limits', { paramRef: { name: 'parameters', parameterNotFoundAction: 'Deny' }, validationActions: ['Warn'] })
  const missing = await call('POST', MAPS, map('a', { a: '1' }))
  assert.match(
    String(missing.body['message']),
    /failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction$/,
  )
  await call('DELETE', `${GROUP}/validatingadmissionpolicybindings/limits-binding`)
  assert.equal((await call('POST', MAPS, map('parameters', { maximum: '0' }))).status, 201)
  await bind('limits', { paramRef: { name: 'parameters', parameterNotFoundAction: 'Deny' }, validationActions: ['Warn'] })
  const warned = await call('POST', MAPS, map('b', { a: '1' }))
  assert.equal(warned.status, 201)
  assert.deepEqual(warned.response.warnings, [
    "Validation failed for ValidatingAdmissionPolicy 'limits' with binding 'limits-binding': failed expression: object.data.size() <= int(params.data.maximum)",
  ])
})

test('the authorizer answers for who asks and for service accounts', async (t) => {
  const { call, policy, bind } = await start(t)
  await policy('rights', {
    validations: [
      { expression: "authorizer.requestResource.check('create').allowed()", message: 'you may not' },
      {
        expression: "authorizer.serviceAccount('default', 'robot').group('').resource('pods').namespace('default').check('get').allowed()",
        message: 'the robot may not',
      },
    ],
  })
  await bind('rights')
  const refused = await call('POST', MAPS, map('a'))
  assert.match(String(refused.body['message']), /denied request: the robot may not$/)
})

test('policies and match conditions that do not compile are not accepted', async (t) => {
  const { call, policy } = await start(t)
  const wrong = await policy('wrong', { validations: [{ expression: 'object.x +' }, { expression: 'nothing' }, { expression: '1' }] })
  assert.equal(wrong.status, 422)
  const causes = (wrong.body['details'] as { causes: { field: string; message: string }[] }).causes
  assert.deepEqual(
    causes.map(({ field }) => field),
    ['spec.validations[0].expression', 'spec.validations[1].expression', 'spec.validations[2].expression'],
  )
  assert.match(causes[1]!.message, /compilation failed: ERROR: <input>:1:1: undeclared reference to 'nothing' \(in container ''\)/)
  assert.match(causes[2]!.message, /must evaluate to bool but got int/)
  const webhook = await call('POST', `${GROUP}/validatingwebhookconfigurations`, {
    metadata: { name: 'w' },
    webhooks: [
      {
        name: 'w.example.com',
        clientConfig: { url: 'https://w.example.com' },
        rules: [rule],
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
        matchConditions: [{ name: 'bad', expression: '... [] bad expression' }],
      },
    ],
  })
  assert.equal(webhook.status, 422)
  assert.match(String(webhook.body['message']), /compilation failed/)
})

test('a webhook is asked only when its match conditions hold', async (t) => {
  const { call, calls } = await start(t)
  const configured = await call('POST', `${GROUP}/validatingwebhookconfigurations`, {
    metadata: { name: 'w' },
    webhooks: [
      {
        name: 'w.example.com',
        clientConfig: { url: 'https://w.example.com' },
        rules: [rule],
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
        matchConditions: [{ name: 'only', expression: "object.metadata.name == 'asked'" }],
      },
    ],
  })
  assert.equal(configured.status, 201)
  await call('POST', MAPS, map('asked'))
  await call('POST', MAPS, map('not-asked'))
  assert.deepEqual(calls, ['asked'])
})

test('mutating policies apply parts of objects and JSON patches, and see what those before made', async (t) => {
  const { call } = await startServer(t, {
    resources,
    admission: (registry, authorizer) => [createMutatingPolicies(registry, authorizer)],
  })
  await call('POST', '/api/v1/namespaces', { metadata: { name: 'default' } })
  const changed = { ...rule, operations: ['CREATE', 'UPDATE'] }
  const mutating = async (name: string, mutation: Record<string, unknown>) => {
    const made = await call('POST', `${GROUP}/mutatingadmissionpolicies`, {
      metadata: { name },
      spec: { matchConstraints: { resourceRules: [changed] }, reinvocationPolicy: 'Never', mutations: [mutation] },
    })
    await call('POST', `${GROUP}/mutatingadmissionpolicybindings`, { metadata: { name: `${name}-binding` }, spec: { policyName: name } })
    return made.status
  }
  const labelled = 'Object{metadata: Object.metadata{labels: {"by": "policy"}}}'
  assert.equal(await mutating('a', { patchType: 'ApplyConfiguration', applyConfiguration: { expression: labelled } }), 201)
  const patch = '[JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("b/c"), value: object.metadata.labels.by}]'
  assert.equal(await mutating('b', { patchType: 'JSONPatch', jsonPatch: { expression: patch } }), 201)
  const made = await call('POST', MAPS, { metadata: { name: 'm', labels: { own: '1' } }, data: { a: '1' } })
  assert.equal(made.status, 201)
  assert.deepEqual(made.body.metadata?.labels, { own: '1', by: 'policy', 'b/c': 'policy' })
  assert.equal(await mutating('wrong', { patchType: 'JSONPatch', jsonPatch: { expression: '"x"' } }), 422)
  const misplaced = 'Object{metadata: Object.spec{labels: {"by": "policy"}}}'
  assert.equal(await mutating('c', { patchType: 'ApplyConfiguration', applyConfiguration: { expression: misplaced } }), 201)
  const refused = await call('POST', MAPS, map('n', { a: '1' }))
  assert.match(
    String(refused.body['message']),
    /^policy 'c' with binding 'c-binding' denied request: type mismatch: unexpected type name "Object\.spec"/,
  )
})

test('applied parts merge by the schema: lists by their keys, and what is atomic is refused', () => {
  const type = applyTypeOf(schemaOf('core/v1.Pod')!)
  const live = { spec: { containers: [{ name: 'a', image: 'x' }, { name: 'b' }], nodeSelector: { disk: 'ssd' } } }
  const merged = applyConfiguration(live, { spec: { containers: [{ name: 'a', workingDir: '/' }, { name: 'c' }] } }, type)
  assert.deepEqual(merged.spec, {
    containers: [{ name: 'a', image: 'x', workingDir: '/' }, { name: 'b' }, { name: 'c' }],
    nodeSelector: { disk: 'ssd' },
  })
  assert.throws(
    () => applyConfiguration(live, { spec: { nodeSelector: { disk: 'hdd' } } }, type),
    /may not mutate atomic arrays, maps or structs: \.spec\.nodeSelector/,
  )
  assert.throws(() => applyConfiguration(live, { spec: { nope: 1 } }, type), /\.spec\.nope: field not declared in schema/)
})
