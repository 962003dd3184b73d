import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { ManagedFieldsEntry } from '../../api/generated/meta/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { resources } from '../resources/index.ts'
import { startServer, type Answer, type TestServer } from '../server.test-support.ts'

const CONFIGMAPS = '/api/v1/namespaces/default/configmaps'
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments'
const APPLY = { 'content-type': 'application/apply-patch+yaml' }
const MERGE = { 'content-type': 'application/merge-patch+json' }

interface Fixture extends TestServer {
  apply(url: string, config: object, manager: string, query?: string): Promise<Answer>
}

async function fixture(t: TestContext): Promise<Fixture> {
  const server = await startServer(t, { resources })
  await server.call('POST', '/api/v1/namespaces', { metadata: { name: 'default' } })
  return {
    ...server,
    apply: (url, config, manager, query = '') => server.call('PATCH', `${url}?fieldManager=${manager}${query}`, config, { headers: APPLY }),
  }
}

const configMap = (data: object, metadata: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'a', ...metadata },
  data,
})

const deployment = (spec: object): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'd' },
  spec: { selector: { matchLabels: { a: 'b' } }, ...spec },
})

const template = (...containers: readonly object[]): object => ({ metadata: { labels: { a: 'b' } }, spec: { containers } })

const owners = ({ metadata }: KubeObject): Record<string, unknown> =>
  Object.fromEntries(
    (metadata?.managedFields ?? []).map(({ manager, operation, subresource, fieldsV1 }) => [
      `${manager} ${operation}${subresource ? ` ${subresource}` : ''}`,
      fieldsV1,
    ]),
  )

test('who writes owns what the write changes', async (t) => {
  const { call } = await fixture(t)
  const agent = { headers: { 'user-agent': 'curl/8.1' } }
  const made = await call('POST', CONFIGMAPS, configMap({ k: '1', l: '1' }, { labels: { x: 'y' } }), agent)
  assert.deepEqual(made.body.metadata?.managedFields, [
    {
      manager: 'curl',
      operation: 'Update',
      apiVersion: 'v1',
      time: '2026-01-01T00:00:00Z',
      fieldsType: 'FieldsV1',
      fieldsV1: { 'f:data': { '.': {}, 'f:k': {}, 'f:l': {} }, 'f:metadata': { 'f:labels': { '.': {}, 'f:x': {} } } },
    },
  ])
  const patched = await call('PATCH', `${CONFIGMAPS}/a?fieldManager=other`, { data: { k: '2', l: null } }, { headers: MERGE })
  assert.deepEqual(owners(patched.body), {
    'curl Update': { 'f:data': {}, 'f:metadata': { 'f:labels': { '.': {}, 'f:x': {} } } },
    'other Update': { 'f:data': { 'f:k': {} } },
  })
})

test('times move only when the object does', async (t) => {
  const { call, clock } = await fixture(t)
  const first = await call('POST', CONFIGMAPS, configMap({ k: '1' }))
  clock.advance(5000)
  const same = await call('PATCH', `${CONFIGMAPS}/a`, { data: { k: '1' } }, { headers: MERGE })
  assert.deepEqual(same.body, first.body)
  const other = await call('PATCH', `${CONFIGMAPS}/a`, { data: { k: '2' } }, { headers: MERGE })
  assert.equal(other.body.metadata?.managedFields?.[0]?.time, '2026-01-01T00:00:05Z')
  assert.equal(other.body.metadata?.managedFields?.[0]?.manager, 'unknown')
})

test('an apply creates, changes and takes back', async (t) => {
  const { apply, clock } = await fixture(t)
  const created = await apply(`${CONFIGMAPS}/a`, configMap({ k: '1', l: '1' }), 'me')
  assert.equal(created.status, 201)
  assert.deepEqual(owners(created.body), { 'me Apply': { 'f:data': { 'f:k': {}, 'f:l': {} } } })
  clock.advance(1000)
  const again = await apply(`${CONFIGMAPS}/a`, configMap({ k: '1', l: '1' }), 'me')
  assert.equal(again.status, 200)
  assert.deepEqual(again.body, created.body, 'nothing changes when nothing new is applied')
  const less = await apply(`${CONFIGMAPS}/a`, configMap({ k: '2' }), 'me')
  assert.deepEqual(less.body.data, { k: '2' })
  assert.equal(less.body.metadata?.managedFields?.[0]?.time, '2026-01-01T00:00:01Z')
})

test('what another owns too stays when one takes it back', async (t) => {
  const { apply } = await fixture(t)
  await apply(`${CONFIGMAPS}/a`, configMap({ k: '1', l: '1' }), 'me')
  await apply(`${CONFIGMAPS}/a`, configMap({ l: '1', m: '1' }), 'you')
  const less = await apply(`${CONFIGMAPS}/a`, configMap({ k: '1' }), 'me')
  assert.deepEqual(less.body.data, { k: '1', l: '1', m: '1' })
  assert.deepEqual(owners(less.body), {
    'me Apply': { 'f:data': { 'f:k': {} } },
    'you Apply': { 'f:data': { 'f:l': {}, 'f:m': {} } },
  })
  const none = await apply(`${CONFIGMAPS}/a`, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } }, 'you')
  assert.deepEqual(none.body.data, { k: '1' })
})

test('conflicts are told in upstream words, and forced away', async (t) => {
  const { apply, call } = await fixture(t)
  await apply(`${CONFIGMAPS}/a`, configMap({ k: '1' }), 'me')
  const one = await apply(`${CONFIGMAPS}/a`, configMap({ k: '2' }), 'you')
  assert.equal(one.status, 409)
  assert.deepEqual(one.body, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'Apply failed with 1 conflict: conflict with "me": .data.k',
    reason: 'Conflict',
    details: { causes: [{ reason: 'FieldManagerConflict', message: 'conflict with "me"', field: '.data.k' }] },
    code: 409,
  })
  await call('PATCH', `${CONFIGMAPS}/a?fieldManager=editor`, { data: { m: '1' } }, { headers: MERGE })
  const two = await apply(`${CONFIGMAPS}/a`, configMap({ k: '2', m: '2' }), 'you')
  assert.equal(
    two.body.message,
    'Apply failed with 2 conflicts: conflicts with "editor" using v1:\n- .data.m\nconflicts with "me":\n- .data.k',
  )
  const forced = await apply(`${CONFIGMAPS}/a`, configMap({ k: '2', m: '2' }), 'you', '&force=true')
  assert.deepEqual(owners(forced.body), { 'you Apply': { 'f:data': { 'f:k': {}, 'f:m': {} } } })
})

test('items of lists are owned by their keys', async (t) => {
  const { apply } = await fixture(t)
  const app = { name: 'app', image: 'app:1', ports: [{ containerPort: 80 }] }
  const made = await apply(`${DEPLOYMENTS}/d`, deployment({ template: template(app) }), 'me')
  assert.equal(made.status, 201)
  assert.deepEqual(owners(made.body)['me Apply'], {
    'f:spec': {
      'f:selector': {},
      'f:template': {
        'f:metadata': { 'f:labels': { 'f:a': {} } },
        'f:spec': {
          'f:containers': {
            'k:{"name":"app"}': {
              '.': {},
              'f:image': {},
              'f:name': {},
              'f:ports': { 'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} } },
            },
          },
        },
      },
    },
  })
  const sidecar = { name: 'side', image: 'side:1' }
  const both = await apply(`${DEPLOYMENTS}/d`, deployment({ template: template(sidecar) }), 'mesh')
  const images = ({ body }: Answer): unknown => body.spec.template.spec.containers.map(({ image }: { image: string }) => image)
  assert.deepEqual(images(both), ['app:1', 'side:1'])
  const conflict = await apply(`${DEPLOYMENTS}/d`, deployment({ template: template({ ...app, image: 'app:2' }) }), 'mesh')
  assert.equal(conflict.body.message, 'Apply failed with 1 conflict: conflict with "me": .spec.template.spec.containers[name="app"].image')
  const removed = await apply(`${DEPLOYMENTS}/d`, deployment({ template: { metadata: { labels: { a: 'b' } } } }), 'mesh')
  assert.deepEqual(images(removed), ['app:1'])
})

test('a client may reset the owners, and tell of others', async (t) => {
  const { call } = await fixture(t)
  const made = await call('POST', CONFIGMAPS, configMap({ k: '1' }))
  const reset = await call('PUT', `${CONFIGMAPS}/a`, { ...made.body, metadata: { ...made.body.metadata, managedFields: [{}] } })
  assert.equal(reset.body.metadata?.managedFields, undefined)
  const untracked = await call('PATCH', `${CONFIGMAPS}/a`, { data: { k: '2' } }, { headers: MERGE })
  assert.equal(untracked.body.metadata?.managedFields, undefined, 'what was never tracked is not tracked by an update')
  const entry: ManagedFieldsEntry = {
    manager: 'x',
    operation: 'Update',
    apiVersion: 'v1',
    fieldsType: 'FieldsV1',
    fieldsV1: { 'f:data': { 'f:k': {} } } as never,
  }
  const told = await call('PUT', `${CONFIGMAPS}/a`, {
    ...untracked.body,
    metadata: { ...untracked.body.metadata, managedFields: [entry] },
  })
  assert.deepEqual(told.body.metadata?.managedFields, [entry])
  const bad = await call('PUT', `${CONFIGMAPS}/a`, {
    ...told.body,
    metadata: { ...told.body.metadata, managedFields: [{ ...entry, operation: 'Eat' }] },
  })
  assert.deepEqual(bad.body.metadata?.managedFields, [entry], 'what cannot be read changes nothing')
})

test('of an object that nobody tracked, the first apply makes one owner', async (t) => {
  const { apply, call } = await fixture(t)
  const made = await call('POST', CONFIGMAPS, configMap({ k: '1' }))
  await call('PUT', `${CONFIGMAPS}/a`, { ...made.body, metadata: { ...made.body.metadata, managedFields: [] } })
  const refused = await apply(`${CONFIGMAPS}/a`, configMap({ k: '2' }), 'me')
  assert.equal(refused.body.message, 'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.k')
  const shared = await apply(`${CONFIGMAPS}/a`, configMap({ k: '1' }), 'me')
  assert.deepEqual(Object.keys(owners(shared.body)), ['me Apply', 'before-first-apply Update'])
})

test('kubectl follows its own client-side applies without conflicts', async (t) => {
  const { apply, call } = await fixture(t)
  const config = configMap({ k: '1' })
  const annotation = 'kubectl.kubernetes.io/last-applied-configuration'
  await call('POST', `${CONFIGMAPS}?fieldManager=kubectl-client-side-apply`, {
    ...config,
    metadata: { name: 'a', annotations: { [annotation]: `${JSON.stringify(config)}\n` } },
  })
  const applied = await apply(`${CONFIGMAPS}/a`, configMap({ k: '2' }), 'kubectl')
  assert.equal(applied.status, 200)
  assert.equal(
    applied.body.metadata?.annotations?.[annotation],
    '{"apiVersion":"v1","data":{"k":"2"},"kind":"ConfigMap","metadata":{"name":"a"}}\n',
  )
  await call('PATCH', `${CONFIGMAPS}/a?fieldManager=editor`, { data: { k: '3' } }, { headers: MERGE })
  const conflict = await apply(`${CONFIGMAPS}/a`, configMap({ k: '4' }), 'kubectl')
  assert.equal(conflict.body.message, 'Apply failed with 1 conflict: conflict with "editor" using v1: .data.k')
})

test('at most ten managers update; the oldest become one', async (t) => {
  const { call, clock } = await fixture(t)
  await call('POST', CONFIGMAPS, configMap({ k: '1' }))
  for (let i = 0; i < 12; i++) {
    clock.advance(1000)
    await call('PATCH', `${CONFIGMAPS}/a?fieldManager=m${i}`, { data: { [`k${i}`]: '1' } }, { headers: MERGE })
  }
  const { body } = await call('GET', `${CONFIGMAPS}/a`)
  const entries = body.metadata!.managedFields!
  assert.equal(entries.length, 10)
  assert.equal(entries[0]!.manager, 'ancient-changes')
  assert.deepEqual(entries[0]!.fieldsV1, { 'f:data': { '.': {}, 'f:k': {}, 'f:k0': {}, 'f:k1': {}, 'f:k2': {} } })
})

test('the status is owned through its own endpoint', async (t) => {
  const { apply, call } = await fixture(t)
  await apply(`${DEPLOYMENTS}/d`, deployment({ template: template({ name: 'c', image: 'i' }) }), 'me')
  const status = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' }, status: { replicas: 3 }, spec: { replicas: 9 } }
  const applied = await apply(`${DEPLOYMENTS}/d/status`, status, 'controller')
  assert.equal(applied.body.spec.replicas, 1, 'what the endpoint cannot change stays')
  assert.deepEqual(owners(applied.body)['controller Apply status'], { 'f:status': { 'f:replicas': {} } })
  const patched = await call('PATCH', `${DEPLOYMENTS}/d/status?fieldManager=x`, { status: { replicas: 4 } }, { headers: MERGE })
  assert.deepEqual(owners(patched.body)['x Update status'], { 'f:status': { 'f:replicas': {} } })
  const absent = await apply(`${DEPLOYMENTS}/e/status`, { ...status, metadata: { name: 'e' } }, 'controller')
  assert.equal(absent.status, 404)
})

test('replicas change hands through the scale', async (t) => {
  const { apply, call } = await fixture(t)
  await apply(`${DEPLOYMENTS}/d`, deployment({ replicas: 1, template: template({ name: 'c', image: 'i' }) }), 'me')
  const scale = { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'd' }, spec: { replicas: 5 } }
  const conflict = await apply(`${DEPLOYMENTS}/d/scale`, scale, 'hpa')
  assert.equal(conflict.body.message, 'Apply failed with 1 conflict: conflict with "me": .spec.replicas')
  const forced = await apply(`${DEPLOYMENTS}/d/scale`, scale, 'hpa', '&force=true')
  assert.equal(forced.body.spec.replicas, 5)
  assert.equal(forced.body.metadata?.managedFields, undefined)
  const { body } = await call('GET', `${DEPLOYMENTS}/d`)
  assert.deepEqual(owners(body)['hpa Apply scale'], { 'f:spec': { 'f:replicas': {} } })
  assert.equal(body.metadata!.managedFields!.find(({ manager }) => manager === 'hpa')!.apiVersion, 'apps/v1')
  assert.equal((owners(body)['me Apply'] as Record<string, Record<string, unknown>>)['f:spec']!['f:replicas'], undefined)
  await call('PATCH', `${DEPLOYMENTS}/d/scale?fieldManager=kubectl`, { spec: { replicas: 2 } }, { headers: MERGE })
  const after = await call('GET', `${DEPLOYMENTS}/d`)
  assert.deepEqual(owners(after.body)['kubectl Update scale'], { 'f:spec': { 'f:replicas': {} } })
  assert.equal(owners(after.body)['hpa Apply scale'], undefined)
})

const refusals: readonly (readonly [what: string, config: unknown, query: string, status: number, message: string])[] = [
  [
    'no manager',
    configMap({}),
    '',
    422,
    'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
  ],
  [
    'a long manager',
    configMap({}),
    `?fieldManager=${'x'.repeat(129)}`,
    422,
    'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Too long: may not be more than 128 bytes',
  ],
  [
    'an unprintable manager',
    configMap({}),
    '?fieldManager=a%07',
    422,
    'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Invalid value: "a\\a": invalid character U+0007 (at position 1)',
  ],
  ['another kind', { apiVersion: 'v1', kind: 'Secret' }, '?fieldManager=a', 400, 'invalid object type: /v1, Kind=Secret'],
  ['no kind', { metadata: { name: 'a' } }, '?fieldManager=a', 400, 'invalid object type: /, Kind='],
  ['owners', configMap({}, { managedFields: [] }), '?fieldManager=a', 400, 'metadata.managedFields must be nil'],
  [
    'an unknown field',
    { ...configMap({}), date: 1 },
    '?fieldManager=a',
    500,
    'failed to create typed patch object (/a; /v1, Kind=ConfigMap): .date: field not declared in schema',
  ],
  [
    'a wrong type',
    configMap({ k: 1 }),
    '?fieldManager=a',
    500,
    'failed to create typed patch object (/a; /v1, Kind=ConfigMap): .data.k: expected string, got &value.valueUnstructured{Value:1}',
  ],
  [
    'items twice',
    configMap({}, { finalizers: ['x/y', 'x/y'] }),
    '?fieldManager=a',
    500,
    'failed to create typed patch object (/a; /v1, Kind=ConfigMap): .metadata.finalizers: duplicate entries for key [="x/y"]',
  ],
  [
    'another name',
    configMap({}, { name: 'b' }),
    '?fieldManager=a',
    400,
    'the name of the object (b) does not match the name on the URL (a)',
  ],
]

for (const [what, config, query, status, message] of refusals) {
  test(`an apply is refused with ${what}`, async (t) => {
    const { call } = await fixture(t)
    const answer = await call('PATCH', `${CONFIGMAPS}/a${query}`, config, { headers: APPLY })
    assert.equal(answer.body.message, message)
    assert.equal(answer.status, status)
  })
}

test('force is for applies alone', async (t) => {
  const { call } = await fixture(t)
  await call('POST', CONFIGMAPS, configMap({}))
  const { body } = await call('PATCH', `${CONFIGMAPS}/a?force=true`, {}, { headers: MERGE })
  assert.equal(body.message, 'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch')
})

test('a dry run of an apply leaves nothing', async (t) => {
  const { apply, call } = await fixture(t)
  const dry = await apply(`${CONFIGMAPS}/a`, configMap({ k: '1' }), 'me', '&dryRun=All')
  assert.equal(dry.status, 201)
  assert.deepEqual(owners(dry.body), { 'me Apply': { 'f:data': { 'f:k': {} } } })
  assert.equal((await call('GET', `${CONFIGMAPS}/a`)).status, 404)
})

test('owners tell their fields in the version that they wrote', async (t) => {
  const { apply, call } = await fixture(t)
  const url = (version: string): string => `/apis/autoscaling/${version}/namespaces/default/horizontalpodautoscalers/h`
  const target = { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'd' }, maxReplicas: 3 }
  const hpa = (version: string, spec: object): object => ({
    apiVersion: `autoscaling/${version}`,
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'h' },
    spec: { ...target, ...spec },
  })
  const v1 = await apply(url('v1'), hpa('v1', { targetCPUUtilizationPercentage: 50 }), 'old')
  assert.equal(v1.status, 201)
  const metrics = [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 70 } } }]
  const refused = await apply(url('v2'), hpa('v2', { metrics }), 'new')
  assert.equal(refused.body.message, 'Apply failed with 1 conflict: conflict with "old": .spec.targetCPUUtilizationPercentage')
  await apply(url('v2'), hpa('v2', { metrics }), 'new', '&force=true')
  const { body } = await call('GET', url('v1'))
  assert.equal(body.spec.targetCPUUtilizationPercentage, 70)
  assert.deepEqual(
    body.metadata!.managedFields!.map(({ manager, apiVersion }) => [manager, apiVersion]),
    [
      ['new', 'autoscaling/v2'],
      ['old', 'autoscaling/v1'],
    ],
  )
})
