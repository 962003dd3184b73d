import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { ApiRequest, ApiResponse } from '../../api/exchange.ts'
import type { KubeObject } from '../../api/object.ts'
import { silentLog } from '../../base/log.ts'
import { seededRandom } from '../../base/random.ts'
import { createVirtualClock } from '../../simulation/virtual-clock.ts'
import { createValidatingPolicies } from '../admission/policies/validating.ts'
import { createWebhookAdmission } from '../admission/webhooks/plugins.ts'
import { createAuditLog } from '../http/audit-log.ts'
import { requestInfo } from '../request-info.ts'
import { resources } from '../resources/index.ts'
import { startServer } from '../server.test-support.ts'
import type { AuditEvent } from './audit.ts'
import { readAuditPolicy } from './policy.ts'
import { createSink, LOG_BATCH, truncating } from './sinks.ts'
import { createAuditWebhook } from './webhook.ts'

const policy = (text: string) => readAuditPolicy(`apiVersion: audit.k8s.io/v1\nkind: Policy\n${text}`)

test('the first rule that matches decides', () => {
  const decide = policy(`
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {level: None, users: ["system:kube-proxy"], verbs: [watch], resources: [{group: "", resources: [endpoints, services]}]}
- {level: None, userGroups: [quiet], nonResourceURLs: ["/api*", /version]}
- {level: Request, resources: [{group: "", resources: [configmaps], resourceNames: [controller-leader]}], namespaces: [kube-system]}
- {level: Metadata, resources: [{group: "", resources: [secrets]}], omitStages: [ResponseStarted], omitManagedFields: false}
- {level: Metadata, resources: [{group: "*", resources: ["*/status", "pods/*"]}]}
- {level: RequestResponse, resources: [{group: apps}]}
- {level: Metadata, nonResourceURLs: ["*"]}
`)
  const level = (method: ApiRequest['method'], url: string, user = 'alice', ...groups: readonly string[]) => {
    const { pathname, searchParams } = new URL(url, 'http://x')
    return decide(requestInfo({ method, path: pathname, query: searchParams }), { name: user, groups })
  }
  const cases: readonly [ReturnType<typeof level>, string][] = [
    [level('GET', '/api/v1/services?watch=1', 'system:kube-proxy'), 'None'],
    [level('GET', '/api/v1/services', 'system:kube-proxy'), 'None'],
    [level('GET', '/version', 'bob', 'quiet'), 'None'],
    [level('GET', '/version'), 'Metadata'],
    [level('PUT', '/api/v1/namespaces/kube-system/configmaps/controller-leader'), 'Request'],
    [level('PUT', '/api/v1/namespaces/default/configmaps/controller-leader'), 'None'],
    [level('GET', '/api/v1/namespaces/default/secrets/s'), 'Metadata'],
    [level('PATCH', '/api/v1/nodes/a/status'), 'Metadata'],
    [level('GET', '/api/v1/namespaces/default/pods/p/log'), 'Metadata'],
    // As upstream has it, "pods/*" is about pods themselves, too.
    [level('GET', '/api/v1/namespaces/default/pods/p'), 'Metadata'],
    [level('GET', '/api/v1/namespaces/default/services/p'), 'None'],
    [level('GET', '/apis/apps/v1/deployments'), 'RequestResponse'],
  ]
  for (const [index, [decision, expected]] of cases.entries()) assert.equal(decision.level, expected, `case ${index}`)
  const secrets = level('GET', '/api/v1/namespaces/default/secrets/s')
  assert.deepEqual([[...secrets.omitStages], secrets.omitManagedFields], [['RequestReceived', 'ResponseStarted'], false])
  assert.equal(level('GET', '/apis/apps/v1/deployments').omitManagedFields, true)
})

test('a policy that is wrong is refused with what is wrong', () => {
  const cases: readonly [string, RegExp][] = [
    ['rules: []', /^loaded illegal policy with 0 rules$/],
    [
      'rules: [{level: All}]',
      /^rules\[0\]\.level: Unsupported value: "All": supported values: "Metadata", "None", "Request", "RequestResponse"|^rules\[0\]\.level: Unsupported value: "All"/,
    ],
    ['rules: [{}]', /^rules\[0\]\.level: Required value/],
    ['rules: [{level: None, nonResourceURLs: [version]}]', /non-resource URL rules must begin with a '\/' character/],
    ['rules: [{level: None, nonResourceURLs: ["/a*b"]}]', /wildcards '\*' must be the final character of the rule/],
    [
      'rules: [{level: None, nonResourceURLs: [/a], namespaces: [b]}]',
      /rules cannot apply to both regular resources and non-resource URLs/,
    ],
    ['rules: [{level: None, resources: [{group: rbac/v1}]}]', /rules\[0\]\.resources\.group: Invalid value: "rbac\/v1"/],
    ['rules: [{level: None, resources: [{resourceNames: [a]}]}]', /using resourceNames requires at least one resource/],
    ['omitStages: [Never]\nrules: [{level: None}]', /allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic/],
    ['rulez: []', /unknown field "rulez"/],
    ['rules: [', /error converting YAML to JSON/],
  ]
  for (const [text, expected] of cases) assert.throws(() => policy(text), { name: 'ConfigurationError', message: expected }, text)
})

async function start(t: TestContext, rules: string, more: Partial<Parameters<typeof startServer>[1]> = {}) {
  const events: AuditEvent[] = []
  const sinks = [{ record: (event: AuditEvent) => (events.push(structuredClone(event)), true) }]
  const server = await startServer(t, { resources, audit: { policy: policy(rules), sinks }, ...more })
  await server.call('POST', '/api/v1/namespaces', { metadata: { name: 'default' } })
  events.length = 0
  return { ...server, events }
}

const MAPS = '/api/v1/namespaces/default/configmaps'

test('each stage is told with what is known by then', async (t) => {
  const { call, events } = await start(t, 'rules: [{level: RequestResponse}]')
  const headers = { 'user-agent': 'me/1', 'x-forwarded-for': '10.0.0.1, bogus' }
  await call('POST', MAPS, { metadata: { generateName: 'm-' }, data: { a: 'b' } }, { headers })
  const [received, complete] = events as unknown as [KubeObject, KubeObject]
  assert.equal(events.length, 2)
  assert.deepEqual([received.stage, complete.stage], ['RequestReceived', 'ResponseComplete'])
  assert.equal(received.auditID, complete.auditID)
  assert.deepEqual([received.verb, received.requestURI, received.userAgent, received.sourceIPs], ['create', MAPS, 'me/1', ['10.0.0.1']])
  assert.deepEqual(received.user, { username: 'admin', groups: ['system:masters', 'system:authenticated'] })
  assert.deepEqual(complete.objectRef, { resource: 'configmaps', namespace: 'default', apiVersion: 'v1' })
  assert.deepEqual(complete.responseStatus, { metadata: {}, code: 201 })
  assert.deepEqual(complete.requestObject.data, { a: 'b' })
  assert.match(complete.responseObject.metadata.name, /^m-/)
  assert.deepEqual(complete.annotations, { 'authorization.k8s.io/decision': 'allow', 'authorization.k8s.io/reason': '' })
  assert.equal(received.responseStatus, undefined)
})

test('levels say how much is told; secrets stay secret', async (t) => {
  const { call, events } = await start(
    t,
    `
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {level: Metadata, resources: [{group: "", resources: [secrets]}]}
- {level: Request, resources: [{group: "", resources: [configmaps]}]}`,
  )
  await call('POST', '/api/v1/namespaces/default/secrets', { metadata: { name: 's' }, stringData: { password: 'hunter2' } })
  await call('GET', '/api/v1/namespaces/default/secrets/s')
  assert.ok(!JSON.stringify(events).includes('hunter2') && !JSON.stringify(events).includes(btoa('hunter2')))
  assert.deepEqual(
    events.map(({ level, stage }) => [level, stage]),
    [
      ['Metadata', 'ResponseComplete'],
      ['Metadata', 'ResponseComplete'],
    ],
  )
  await call('POST', MAPS, { metadata: { name: 'm' } })
  await call('PATCH', `${MAPS}/m`, { data: { x: 'y' } }, { headers: { 'content-type': 'application/merge-patch+json' } })
  await call('DELETE', `${MAPS}/m`, { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy: 'Background' })
  const [, patch, removal] = events.slice(2) as unknown as [KubeObject, KubeObject, KubeObject]
  assert.deepEqual(patch.requestObject, { data: { x: 'y' } })
  assert.equal(patch.responseObject, undefined)
  assert.equal(removal.requestObject.propagationPolicy, 'Background')
  await call('GET', '/api/v1/namespaces/default/pods')
  assert.equal(events.length, 5)
})

test('refusals, impersonation and watches', async (t) => {
  const { call, server, events } = await start(t, 'rules: [{level: Metadata}]')
  const bob = { name: 'bob', groups: ['system:authenticated'] }
  await call('GET', MAPS, undefined, { user: bob })
  const refusal = events.at(-1) as unknown as KubeObject
  assert.deepEqual([refusal.responseStatus.code, refusal.responseStatus.reason], [403, 'Forbidden'])
  assert.equal(refusal.annotations['authorization.k8s.io/decision'], 'forbid')
  await call('GET', MAPS, undefined, { headers: { 'impersonate-user': 'carol' } })
  assert.equal((events.at(-1) as unknown as KubeObject).impersonatedUser.username, 'carol')

  events.length = 0
  const stop = new AbortController()
  const answer = await server.transport({ name: 'admin', groups: ['system:masters'] })({
    method: 'GET',
    path: MAPS,
    query: new URLSearchParams('watch=true'),
    headers: {},
    signal: stop.signal,
  })
  assert.equal(answer.type, 'watch')
  assert.deepEqual(
    events.map(({ stage }) => stage),
    ['RequestReceived', 'ResponseStarted'],
  )
  stop.abort()
  assert.equal(events.at(-1)?.stage, 'ResponseComplete')

  events.length = 0
  const request: ApiRequest = { method: 'GET', path: MAPS, query: new URLSearchParams(), headers: {}, signal: stop.signal }
  let sent: ApiResponse | undefined
  const unknown = { ...request, headers: { authorization: 'Bearer secret-token' } }
  await server.handle(unknown, { bearerToken: 'secret-token' }, (given) => void (sent = given))
  assert.equal(sent?.status, 401)
  assert.deepEqual((events[0] as unknown as KubeObject).responseStatus, {
    metadata: {},
    message: 'Authentication failed, attempted: bearer',
    code: 401,
  })
  assert.ok(!JSON.stringify(events).includes('secret-token'))
})

test('policies annotate the event', async (t) => {
  const { call, events } = await start(
    t,
    'omitStages: [RequestReceived]\nrules: [{level: Metadata, verbs: [create], resources: [{group: ""}]}]',
    {
      admission: (registry, authorizer) => [createValidatingPolicies(registry, authorizer)],
    },
  )
  const path = '/apis/admissionregistration.k8s.io/v1'
  const made = await call('POST', `${path}/validatingadmissionpolicies`, {
    metadata: { name: 'p.example.com' },
    spec: {
      matchConstraints: { resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }] },
      validations: [{ expression: "object.metadata.name != 'bad'", message: 'no' }],
      auditAnnotations: [{ key: 'who', valueExpression: 'string(object.metadata.name)' }],
    },
  })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  await call('POST', `${path}/validatingadmissionpolicybindings`, {
    metadata: { name: 'b' },
    spec: { policyName: 'p.example.com', validationActions: ['Audit'] },
  })
  assert.equal((await call('POST', MAPS, { metadata: { name: 'bad' } })).status, 201)
  const { annotations } = events.at(-1) as unknown as { readonly annotations: Record<string, string> }
  assert.equal(annotations['p.example.com/who'], 'bad')
  assert.deepEqual(JSON.parse(annotations['validation.policy.admission.k8s.io/validation_failure']!), [
    { message: 'no', policy: 'p.example.com', binding: 'b', expressionIndex: 0, validationActions: ['Audit'] },
  ])
})

test('what webhooks change is told from the level Request on', async (t) => {
  const change = [{ op: 'add', path: '/data', value: { a: 'b' } }]
  const patched = async (level: string): Promise<readonly [string, unknown][]> => {
    const { call, events } = await start(t, `omitStages: [RequestReceived]\nrules: [{level: ${level}}]`, {
      admission: (registry) =>
        createWebhookAdmission({
          registry,
          call: async (_target, { request }) => ({
            kind: 'AdmissionReview',
            apiVersion: 'admission.k8s.io/v1',
            response: { uid: (request as { uid: string }).uid, allowed: true, patchType: 'JSONPatch', patch: btoa(JSON.stringify(change)) },
          }),
        }),
    })
    const rule = { operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] }
    const webhook = {
      name: 'w.example.com',
      clientConfig: { url: 'https://x' },
      rules: [rule],
      sideEffects: 'None',
      admissionReviewVersions: ['v1'],
    }
    await call('POST', '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations', {
      metadata: { name: 'c' },
      webhooks: [webhook],
    })
    assert.equal((await call('POST', MAPS, { metadata: { name: 'm' } })).status, 201)
    const { annotations } = events.at(-1) as unknown as { readonly annotations: Record<string, string> }
    return Object.entries(annotations)
      .filter(([key]) => key.includes('webhook'))
      .map(([key, value]) => [key, JSON.parse(value) as unknown])
  }
  const hook = { configuration: 'c', webhook: 'w.example.com' }
  const mutation = ['mutation.webhook.admission.k8s.io/round_0_index_0', { ...hook, mutated: true }]
  assert.deepEqual(await patched('Metadata'), [mutation])
  const patch = ['patch.webhook.admission.k8s.io/round_0_index_0', { ...hook, patch: change, patchType: 'JSONPatch' }]
  assert.deepEqual(await patched('Request'), [mutation, patch])
})

test('an event that is too large loses its objects, or is lost', async () => {
  const kept: AuditEvent[] = []
  const runtime = { clock: createVirtualClock(), random: seededRandom(1), log: silentLog }
  const inner = createSink(runtime, 'log', async (events) => void kept.push(...events), 'blocking', LOG_BATCH)
  const sink = truncating(runtime, inner, 300)
  const large = 'é'.repeat(200)
  const events = [
    { ...event(1), level: 'RequestResponse', requestObject: { a: 1 } },
    { ...event(2), level: 'RequestResponse', requestObject: { large }, responseObject: {}, annotations: { a: 'b' } },
    { ...event(3), level: 'Request', requestURI: large },
    { ...event(4), level: 'Metadata', userAgent: large },
  ]
  for (const one of events) assert.equal(await sink.record(one), true)
  const truncated = { ...event(2), level: 'RequestResponse', annotations: { a: 'b', 'audit.k8s.io/truncated': 'true' } }
  assert.deepEqual(kept, [events[0], truncated])
  assert.equal(sink.lost, 2)
})

test('a strict backend that fails has the request fail before it does anything', async (t) => {
  const runtime = { clock: createVirtualClock(), random: seededRandom(1), log: silentLog }
  const broken = async () => Promise.reject(new Error('disk full'))
  const strict = createSink(runtime, 'log', broken, 'blocking-strict', LOG_BATCH)
  const server = await startServer(t, {
    resources,
    audit: { policy: policy('rules: [{level: Metadata, verbs: [create]}]'), sinks: [strict] },
  })
  const refused = await server.call('POST', '/api/v1/namespaces', { metadata: { name: 'default' } })
  assert.deepEqual([refused.status, refused.body.message], [500, 'Internal error occurred: failed to store audit event'])
  assert.equal((await server.call('GET', '/api/v1/namespaces/default')).status, 404)
  const lax = createSink(runtime, 'log', broken, 'blocking', LOG_BATCH)
  assert.equal(await lax.record({ stage: 'RequestReceived' } as AuditEvent), true)
  assert.equal(lax.lost, 1)
})

const event = (id: number): AuditEvent => ({
  kind: 'Event',
  apiVersion: 'audit.k8s.io/v1',
  level: 'Metadata',
  auditID: String(id),
  stage: 'ResponseComplete',
})

test('batches go when they are full or old, no faster than the throttle, and all at the end; what does not fit is lost', async () => {
  const clock = createVirtualClock()
  const sent: (readonly [number, number])[] = []
  const write = async (events: readonly AuditEvent[]) => void sent.push([clock.monotonic(), events.length])
  const options = { bufferSize: 50, maxBatchSize: 10, maxBatchWaitMs: 1000, throttle: { qps: 1, burst: 2 } }
  const sink = createSink({ clock, random: seededRandom(1), log: silentLog }, 'webhook', write, 'batch', options)
  const stop = new AbortController()
  const running = sink.run(stop.signal)
  for (let i = 0; i < 3; i++) void sink.record(event(i))
  await clock.advance(999)
  assert.equal(sent.length, 0)
  await clock.advance(1)
  assert.deepEqual(sent, [[1000, 3]])
  for (let i = 0; i < 60; i++) void sink.record(event(i))
  assert.equal(sink.lost, 10)
  await clock.advance(1500)
  assert.deepEqual(sent.slice(1), [
    [1000, 10],
    [2000, 10],
  ])
  stop.abort()
  await clock.settle()
  await running
  assert.equal(
    sent.reduce((sum, [, count]) => sum + count, 0),
    53,
  )
})

test('the webhook is tried again, later each time, but not when it refuses', async () => {
  const clock = createVirtualClock()
  const answers = [503, 429, 200, 400]
  const asked: { readonly atMs: number; readonly body: string }[] = []
  const outgoing = {
    send: async ({ body }: { readonly body?: unknown }) => {
      asked.push({ atMs: clock.monotonic(), body: new TextDecoder().decode(body as Uint8Array) })
      return { status: answers.shift()!, headers: [], body: (async function* () {})() }
    },
  } as unknown as Parameters<typeof createAuditWebhook>[1]
  const webhook = { url: 'https://audit.example.com/k8s?x=y', initialBackoffMs: 10_000 }
  const write = createAuditWebhook({ clock, random: { next: () => 0 }, log: silentLog }, outgoing, webhook)
  const written = write([event(1)])
  await clock.advance(60_000)
  await written
  assert.deepEqual(
    asked.map(({ atMs }) => atMs),
    [0, 10_000, 25_000],
  )
  assert.deepEqual((JSON.parse(asked[0]!.body) as KubeObject).items[0].auditID, '1')
  await assert.rejects(write([event(2)]), /the server responded with the status code 400/)
})

test('the log is lines of JSON in a file of its own, put aside when it is large', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'audit-'))
  t.after(() => rm(folder, { recursive: true }))
  const clock = createVirtualClock()
  const path = join(folder, 'audit.log')
  const log = createAuditLog(clock, { path, maxSizeMegabytes: 0.001, maxBackups: 2, isCompressed: true })
  await Promise.all(Array.from({ length: 60 }, (_, i) => log.write([event(i)])))
  await log.close()
  const names = await readdir(folder)
  assert.equal(names.filter((name) => name.endsWith('.log.gz')).length, 2, names.join())
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  const lines = (await readFile(path, 'utf8')).trim().split('\n')
  assert.equal((JSON.parse(lines.at(-1)!) as AuditEvent).auditID, '59')
  const legacy = createAuditLog(clock, { path: join(folder, 'legacy.log'), format: 'legacy' })
  const told = { ...event(1), verb: 'get', requestURI: '/api', requestReceivedTimestamp: '2026-01-01T00:00:00.120000Z' }
  await legacy.write([
    { ...told, user: { username: 'a "b"', groups: ['x', 'y'] }, impersonatedUser: { username: 'c' }, sourceIPs: ['::1'] },
    { ...told, user: {}, objectRef: { namespace: 'n' }, responseStatus: { code: 200 }, userAgent: 'me' },
  ])
  await legacy.close()
  const start = '2026-01-01T00:00:00.12Z AUDIT: id="1" stage="ResponseComplete"'
  assert.equal(
    await readFile(join(folder, 'legacy.log'), 'utf8'),
    `${start} ip="::1" method="get" user="a \\"b\\"" groups="\\"x\\",\\"y\\"" as="c" asgroups="<lookup>" user-agent="" namespace="<none>" uri="/api" response="<deferred>"\n` +
      `${start} ip="<unknown>" method="get" user="<none>" groups="<none>" as="<self>" asgroups="<lookup>" user-agent="me" namespace="n" uri="/api" response="200"\n`,
  )
})
