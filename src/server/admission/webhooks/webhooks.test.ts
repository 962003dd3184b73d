import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { startServer } from '../../server.test-support.ts'
import type { WebhookCall, WebhookTarget } from '../../webhook-call.ts'
import { createWebhookAdmission } from './plugins.ts'

interface Request {
  readonly uid: string
  readonly operation: string
  readonly name?: string
  readonly resource: { readonly resource: string; readonly version: string }
  readonly requestResource: { readonly version: string }
  readonly object: { readonly apiVersion: string; readonly metadata: { readonly labels?: Record<string, string> } } | null
}
type Behaviour = (request: Request, target: WebhookTarget) => Record<string, unknown>

const MAPS = '/api/v1/namespaces/default/configmaps'
const HOOKS = '/apis/admissionregistration.k8s.io/v1'
const rule = {
  operations: ['CREATE', 'UPDATE', 'DELETE'],
  apiGroups: [''],
  apiVersions: ['v1'],
  resources: ['configmaps'],
}

const hook = (name: string, more: Record<string, unknown> = {}) => ({
  name,
  clientConfig: { url: `https://hooks.example.com/${name}` },
  rules: [rule],
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
  ...more,
})

/** A server whose webhooks answer as told, and the calls that were made. */
async function start(t: TestContext, behaviour: Behaviour) {
  const calls: { readonly hook: string; readonly request: Request }[] = []
  const call: WebhookCall = async (target, body) => {
    const { request } = body as unknown as { readonly request: Request }
    calls.push({ hook: new URL(target.url).pathname.slice(1), request })
    return { kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', response: { uid: request.uid, ...behaviour(request, target) } }
  }
  const server = await startServer(t, { admission: (registry) => createWebhookAdmission({ registry, call }) })
  const configure = (kind: 'Mutating' | 'Validating', name: string, ...webhooks: unknown[]) =>
    server.call('POST', `${HOOKS}/${kind.toLowerCase()}webhookconfigurations`, { metadata: { name }, webhooks })
  return { ...server, calls, configure }
}

const addLabel = (name: string, value: string) => ({
  allowed: true,
  patchType: 'JSONPatch',
  patch: btoa(JSON.stringify([{ op: 'add', path: `/metadata/labels/${name}`, value }])),
})
const map = (name: string, labels: Record<string, string> = { app: 'x' }) => ({ metadata: { name, labels }, data: { a: '1' } })

test('mutating webhooks change the object one after the other; those that want it are asked again', async (t) => {
  const { call, calls, configure } = await start(t, (_request, { url }) => addLabel(new URL(url).pathname.slice(1), 'yes'))
  await configure('Mutating', 'a', hook('one.example.com', { reinvocationPolicy: 'IfNeeded' }), hook('two.example.com'))
  const made = await call('POST', MAPS, map('m'))
  assert.equal(made.status, 201)
  assert.deepEqual(made.body.metadata?.labels, { app: 'x', 'one.example.com': 'yes', 'two.example.com': 'yes' })
  assert.deepEqual(
    calls.map((made) => made.hook),
    ['one.example.com', 'two.example.com', 'one.example.com'],
  )
  assert.deepEqual(calls[1]!.request.object?.metadata.labels, { app: 'x', 'one.example.com': 'yes' })
})

test('a validating webhook refuses in its own words, also a deletion, and what is dry asks only those without side effects', async (t) => {
  const { call, configure } = await start(t, ({ operation }) =>
    operation === 'CREATE'
      ? { allowed: true, warnings: ['take care'] }
      : { allowed: false, status: { message: 'never', reason: 'Unwanted', code: 451 } },
  )
  await configure('Validating', 'a', hook('v.example.com'))
  assert.equal((await call('POST', MAPS, map('m'))).status, 201)
  const refused = await call('DELETE', `${MAPS}/m`)
  assert.deepEqual([refused.status, refused.body.message], [451, 'admission webhook "v.example.com" denied the request: never'])
  await configure('Validating', 'b', hook('w.example.com', { sideEffects: 'Some' }))
  const dry = await call('POST', `${MAPS}?dryRun=All`, map('n'))
  assert.deepEqual([dry.status, dry.body.message], [400, 'admission webhook "w.example.com" does not support dry run'])
})

test('a webhook that fails refuses or is ignored, as its failurePolicy says; a wrong answer is a failure', async (t) => {
  const broken: Behaviour = (_request, { url }) => {
    if (url.includes('down')) throw new Error('dial tcp 10.0.0.1:443: connect: connection refused')
    return { uid: 'another', allowed: true }
  }
  const { call, configure } = await start(t, broken)
  await configure('Validating', 'a', hook('down.example.com', { failurePolicy: 'Ignore' }))
  assert.equal((await call('POST', MAPS, map('m'))).status, 201)
  await configure('Validating', 'b', hook('down2.example.com', { failurePolicy: 'Fail' }))
  const failed = await call('POST', MAPS, map('n'))
  assert.equal(failed.status, 500)
  assert.equal(
    failed.body.message,
    'Internal error occurred: failed calling webhook "down2.example.com": failed to call webhook: dial tcp 10.0.0.1:443: connect: connection refused',
  )
  await call('DELETE', `${HOOKS}/validatingwebhookconfigurations/b`)
  await configure('Validating', 'c', hook('liar.example.com', { failurePolicy: 'Fail' }))
  assert.match(String((await call('POST', MAPS, map('o'))).body.message), /received invalid webhook response: expected response\.uid=/)
})

test('selectors, rules and equivalent versions decide who is asked; configurations themselves are exempt', async (t) => {
  const { call, calls, configure } = await start(t, () => ({ allowed: true }))
  await call('POST', '/api/v1/namespaces', { metadata: { name: 'marked', labels: { team: 'a' } } })
  await call('POST', '/api/v1/namespaces', { metadata: { name: 'default' } })
  const everything = { operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'] }
  await configure('Validating', 'all', hook('all.example.com', { rules: [everything], namespaceSelector: { matchLabels: { team: 'a' } } }))
  await configure('Validating', 'labelled', hook('labelled.example.com', { objectSelector: { matchLabels: { app: 'y' } } }))
  const first = { operations: ['CREATE'], apiGroups: ['autoscaling'], apiVersions: ['v1'], resources: ['horizontalpodautoscalers'] }
  await configure('Validating', 'scalers', hook('scalers.example.com', { rules: [first], matchPolicy: 'Equivalent' }))
  calls.length = 0
  await call('POST', MAPS, map('m'))
  assert.equal(calls.length, 0)
  await call('POST', MAPS, map('y', { app: 'y' }))
  await call('POST', '/api/v1/namespaces/marked/configmaps', map('z'))
  assert.deepEqual(
    calls.map((made) => made.hook),
    ['labelled.example.com', 'all.example.com'],
  )
  calls.length = 0
  const scaler = { metadata: { name: 'h' }, spec: { maxReplicas: 2, scaleTargetRef: { kind: 'Deployment', name: 'd' } } }
  await call('POST', '/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers', scaler)
  assert.equal(calls.length, 1)
  const { request } = calls[0]!
  assert.deepEqual([request.object?.apiVersion, request.resource.version, request.requestResource.version], ['autoscaling/v1', 'v1', 'v2'])
})

test('the name of a service becomes one of its ready endpoints', async (t) => {
  const targets: WebhookTarget[] = []
  const { call, configure } = await start(t, (_request, target) => {
    targets.push(target)
    return { allowed: true }
  })
  await call('POST', '/api/v1/namespaces/default/services', { metadata: { name: 's' }, spec: { ports: [{ port: 8443, targetPort: 444 }] } })
  await configure(
    'Validating',
    'a',
    hook('v.example.com', { clientConfig: { service: { namespace: 'default', name: 's', port: 8443, path: '/v' }, caBundle: 'Q0E=' } }),
  )
  const refused = await call('POST', MAPS, map('m'))
  assert.match(String(refused.body.message), /failed to call webhook: no endpoints available for service "s"/)
  await call('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
    metadata: { name: 's-1', labels: { 'kubernetes.io/service-name': 's' } },
    addressType: 'IPv4',
    ports: [{ name: '', port: 444, protocol: 'TCP' }],
    endpoints: [
      { addresses: ['10.9.0.1'], conditions: { ready: false } },
      { addresses: ['10.9.0.2'], conditions: { ready: true } },
    ],
  })
  assert.equal((await call('POST', MAPS, map('m'))).status, 201)
  assert.deepEqual(targets, [
    { url: 'https://s.default.svc:8443/v?timeout=10s', connectTo: { host: '10.9.0.2', port: 444 }, caBundle: 'Q0E=' },
  ])
})
