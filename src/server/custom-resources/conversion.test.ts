import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { ConversionReview } from '../../api/generated/apiextensions/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { resources } from '../resources/index.ts'
import { startServer, type TestServer } from '../server.test-support.ts'
import type { WebhookCall } from '../webhook-call.ts'

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const path = (version: string) => `/apis/example.com/${version}/namespaces/default/targets`
const text = { type: 'string' }

const definition = (storage: 'v1' | 'v2' = 'v1'): KubeObject => ({
  metadata: { name: 'targets.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'targets', kind: 'Target' },
    conversion: {
      strategy: 'Webhook',
      webhook: { conversionReviewVersions: ['v1'], clientConfig: { url: 'https://convert.example.com/crd' } },
    },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: storage === 'v1',
        schema: { openAPIV3Schema: { type: 'object', properties: { hostPort: text } } },
        selectableFields: [{ jsonPath: '.hostPort' }],
        subresources: { status: {} },
      },
      {
        name: 'v2',
        served: true,
        storage: storage === 'v2',
        schema: { openAPIV3Schema: { type: 'object', required: ['host'], properties: { host: text, port: text } } },
        selectableFields: [{ jsonPath: '.host' }],
        subresources: { status: {} },
      },
    ],
  },
})

type Review = Required<ConversionReview> & { readonly request: { readonly uid: string; readonly objects: readonly KubeObject[] } }

function convertOne({ hostPort, host, port, ...rest }: KubeObject, apiVersion: string): KubeObject {
  if (apiVersion === 'example.com/v1') return { ...rest, apiVersion, hostPort: `${host as string}:${port as string}` }
  const [name, number] = String(hostPort).split(':')
  return { ...rest, apiVersion, host: name, port: number }
}

const convertAll = ({ request }: Review): object => ({
  kind: 'ConversionReview',
  apiVersion: 'apiextensions.k8s.io/v1',
  response: {
    uid: request.uid,
    result: { status: 'Success' },
    convertedObjects: request.objects.map((object) => convertOne(object as KubeObject, request.desiredAPIVersion!)),
  },
})

interface Converting extends TestServer {
  readonly calls: Review[]
  answer: (review: Review) => object
  create(version: string, object: KubeObject): Promise<KubeObject>
}

async function start(t: TestContext, storage: 'v1' | 'v2' = 'v1'): Promise<Converting> {
  const calls: Review[] = []
  const behaviour: { answer: Converting['answer'] } = { answer: convertAll }
  const webhookCall: WebhookCall = async ({ url }, body) => {
    assert.equal(url, 'https://convert.example.com/crd')
    // As it comes over the wire: nothing is shared.
    const review = structuredClone(body) as unknown as Review
    calls.push(review)
    return behaviour.answer(review)
  }
  const server = await startServer(t, { resources, webhookCall })
  assert.equal((await server.call('POST', '/api/v1/namespaces', { metadata: { name: 'default' } })).status, 201)
  const made = await server.call('POST', DEFINITIONS, definition(storage))
  assert.equal(made.status, 201, JSON.stringify(made.body))
  for (let turn = 0; (await server.call('GET', path('v1'))).status !== 200; turn++) {
    assert.ok(turn < 200)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return {
    ...server,
    calls,
    get answer() {
      return behaviour.answer
    },
    set answer(answer) {
      behaviour.answer = answer
    },
    async create(version, object) {
      const { status, body } = await server.call('POST', path(version), object)
      assert.equal(status, 201, JSON.stringify(body))
      return body
    },
  }
}

const first = (name: string, hostPort: string, metadata: object = {}): KubeObject => ({ metadata: { name, ...metadata }, hostPort })
const second = (name: string, host: string, port: string): KubeObject => ({ metadata: { name }, host, port })

test('an object is shown in each version, and stored in one', async (t) => {
  const { call, create, server } = await start(t)
  await create('v1', first('a', 'one:80'))
  const b = await create('v2', second('b', 'two', '81'))
  assert.deepEqual([b.apiVersion, b.host, b.port, b.hostPort], ['example.com/v2', 'two', '81', undefined])
  assert.equal((await call('GET', `${path('v1')}/b`)).body.hostPort, 'two:81')
  assert.equal((await call('GET', `${path('v2')}/a`)).body.host, 'one')
  const stored = server.registry.stored('example.com', 'targets')!.cache.get('default/b')!.object
  assert.deepEqual([stored.apiVersion, stored.hostPort, stored.host], ['example.com/v1', 'two:81', undefined])
})

test('a list asks once about all its objects, and not about those that have the version', async (t) => {
  const { call, create, calls } = await start(t)
  for (const name of ['a', 'b', 'c']) await create('v1', first(name, `${name}:1`))
  assert.equal(calls.length, 0)
  const { body } = await call('GET', path('v2'))
  assert.deepEqual(
    (body.items as KubeObject[]).map(({ host }) => host),
    ['a', 'b', 'c'],
  )
  assert.equal(calls.length, 1)
  assert.equal(calls[0]!.request.objects.length, 3)
})

test('an update and a patch of another version keep what was stored', async (t) => {
  const { call, create } = await start(t)
  await create('v1', first('a', 'one:80'))
  const { body } = await call('GET', `${path('v2')}/a`)
  const updated = await call('PUT', `${path('v2')}/a`, { ...body, port: '90' })
  assert.equal(updated.status, 200, JSON.stringify(updated.body))
  const patched = await call('PATCH', `${path('v2')}/a`, { host: 'three' }, { headers: { 'content-type': 'application/merge-patch+json' } })
  assert.deepEqual([patched.body.host, patched.body.port], ['three', '90'])
  const same = await call('PATCH', `${path('v2')}/a`, { host: 'three' }, { headers: { 'content-type': 'application/merge-patch+json' } })
  assert.equal(same.body.metadata?.resourceVersion, patched.body.metadata?.resourceVersion)
  assert.equal((await call('GET', `${path('v1')}/a`)).body.hostPort, 'three:90')
})

test('an apply in one version meets fields that were set in another', async (t) => {
  const { call, create } = await start(t)
  await create('v1', first('a', 'one:80'))
  const apply = (manager: string, version: string, object: object, force = '') =>
    call('PATCH', `${path(version)}/a?fieldManager=${manager}${force}`, object, {
      headers: { 'content-type': 'application/apply-patch+yaml' },
    })
  const config = { apiVersion: 'example.com/v2', kind: 'Target', metadata: { name: 'a' }, host: 'two' }
  const forced = await apply('me', 'v2', config, '&force=true')
  assert.equal(forced.status, 200, JSON.stringify(forced.body))
  assert.deepEqual([forced.body.host, forced.body.port], ['two', '80'])
  const owner = (forced.body.metadata?.managedFields ?? []).find(({ manager }) => manager === 'me')
  assert.equal(owner?.apiVersion, 'example.com/v2')
  const clash = await apply('you', 'v1', { apiVersion: 'example.com/v1', kind: 'Target', metadata: { name: 'a' }, hostPort: 'x:1' })
  assert.equal(clash.status, 409, JSON.stringify(clash.body))
})

test('watches tell of each change in their version, in order, and select by its fields', async (t) => {
  const { call, create, watch } = await start(t)
  await create('v1', first('a', 'one:80'))
  const all = await watch(`${path('v2')}?watch=true`, 4)
  const some = await watch(`${path('v2')}?watch=true&fieldSelector=host%3Dtwo`, 2)
  await create('v2', second('b', 'two', '81'))
  await call('PATCH', `${path('v1')}/b`, { hostPort: 'three:81' }, { headers: { 'content-type': 'application/merge-patch+json' } })
  await call('DELETE', `${path('v1')}/a`)
  const told = (await all.first).map(({ type, object }) => [type, object.apiVersion, object.metadata?.name, object.host])
  assert.deepEqual(told, [
    ['ADDED', 'example.com/v2', 'a', 'one'],
    ['ADDED', 'example.com/v2', 'b', 'two'],
    ['MODIFIED', 'example.com/v2', 'b', 'three'],
    ['DELETED', 'example.com/v2', 'a', 'one'],
  ])
  const selected = (await some.first).map(({ type, object }) => [type, object.metadata?.name, object.host])
  assert.deepEqual(selected, [
    ['ADDED', 'b', 'two'],
    ['DELETED', 'b', 'two'],
  ])
})

test('lists and collection deletes select by fields of the version that was asked for', async (t) => {
  const { call, create } = await start(t)
  await create('v1', first('a', 'one:80'))
  await create('v1', first('b', 'two:80'))
  const names = ({ body }: { readonly body: KubeObject }) => (body.items as KubeObject[]).map(({ metadata }) => metadata?.name)
  assert.deepEqual(names(await call('GET', `${path('v2')}?fieldSelector=host%3Dtwo`)), ['b'])
  assert.deepEqual(names(await call('GET', `${path('v1')}?fieldSelector=hostPort%3Done:80`)), ['a'])
  assert.equal((await call('GET', `${path('v1')}?fieldSelector=host%3Dtwo`)).status, 400)
  await call('DELETE', `${path('v2')}?fieldSelector=host%3Dtwo`)
  assert.deepEqual(names(await call('GET', path('v1'))), ['a'])
})

test('a webhook that fails, lies or answers nonsense fails the request in upstream words, and nothing else', async (t) => {
  const server = await start(t)
  const { call, create } = server
  await create('v1', first('a', 'one:80', { labels: { app: 'x' } }))
  const at = 'conversion webhook for example.com/v1, Kind=Target '
  const alter = (change: (object: KubeObject) => unknown) => (review: Review) => {
    const answer = convertAll(review) as { readonly response: { readonly convertedObjects: readonly KubeObject[] } }
    return { ...answer, response: { ...answer.response, convertedObjects: answer.response.convertedObjects.map(change) } }
  }
  const respond = (response: object) => () => ({ kind: 'ConversionReview', apiVersion: 'apiextensions.k8s.io/v1', response })
  const cases: readonly [Converting['answer'], string | RegExp][] = [
    [
      () => {
        throw new Error('Post "https://convert.example.com/crd": EOF')
      },
      'failed: Post "https://convert.example.com/crd": EOF',
    ],
    [() => ({}), 'failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got /, Kind='],
    [() => ({ kind: 'ConversionReview', apiVersion: 'apiextensions.k8s.io/v1' }), 'failed: no response provided'],
    [respond({ uid: 'other' }), /^failed: expected response\.uid=".+", got "other"$/],
    [({ request: { uid } }) => respond({ uid, result: { status: 'Failure', message: 'cannot' } })(), 'failed: cannot'],
    [
      ({ request: { uid } }) => respond({ uid, result: { status: 'Failure' } })(),
      "failed: response.result.status was 'Failure', not 'Success'",
    ],
    [({ request: { uid } }) => respond({ uid, result: { status: 'Success' } })(), 'returned 0 objects, expected 1'],
    [
      alter((object) => ({ ...object, apiVersion: 'example.com/v1' })),
      'returned invalid object at index 0: invalid groupVersion (expected example.com/v2, received example.com/v1)',
    ],
    [
      alter((object) => ({ ...object, kind: 'Other' })),
      'returned invalid object at index 0: invalid kind (expected Target, received Other)',
    ],
    [
      alter((object) => ({ ...object, metadata: { ...object.metadata, name: 'z' } })),
      'returned invalid object: must have the same name: a != z',
    ],
    [
      alter((object) => ({ ...object, metadata: { ...object.metadata, labels: { app: 1 } } })),
      'returned invalid metadata: metadata.labels[app] must be a string, but is int64 in converted object',
    ],
    [
      alter((object) => ({ ...object, metadata: { ...object.metadata, labels: { app: '-' } } })),
      /^returned invalid metadata: metadata\.labels: Invalid value/,
    ],
  ]
  for (const [answer, message] of cases) {
    server.answer = answer
    const { status, body } = await call('GET', `${path('v2')}/a`)
    assert.equal(status, 500)
    const told = String(body.message)
    assert.ok(told.startsWith(at), told)
    if (typeof message === 'string') assert.equal(told.slice(at.length), message)
    else assert.match(told.slice(at.length), message)
  }
  assert.equal((await call('GET', `${path('v1')}/a`)).status, 200)
  server.answer = alter((object) => ({
    ...object,
    metadata: { ...object.metadata, uid: object.metadata!.uid, generation: 99, labels: { b: 'c' } },
  }))
  const { body } = await call('GET', `${path('v2')}/a`)
  assert.deepEqual([body.metadata?.generation, body.metadata?.labels], [1, { b: 'c' }])
})

test('a watch whose conversion fails ends with an ERROR', async (t) => {
  const server = await start(t)
  await server.create('v1', first('a', 'one:80'))
  server.answer = () => ({})
  const { first: events } = await server.watch(`${path('v2')}?watch=true`, 1)
  const [event] = await events
  assert.deepEqual([event?.type, event?.object.code], ['ERROR', 500])
})

test('the storage version may change: rewriting an object stores it anew', async (t) => {
  const { call, create, server } = await start(t)
  await create('v1', first('a', 'one:80'))
  const { body } = await call('GET', `${DEFINITIONS}/targets.example.com`)
  const changed = await call('PUT', `${DEFINITIONS}/targets.example.com`, { ...body, spec: definition('v2').spec })
  assert.deepEqual(changed.body.status.storedVersions, ['v1', 'v2'])
  const stored = () => server.registry.stored('example.com', 'targets')!.cache.get('default/a')!.object
  assert.equal(stored().apiVersion, 'example.com/v1')
  const { body: shown } = await call('GET', `${path('v1')}/a`)
  const rewritten = await call('PUT', `${path('v1')}/a`, shown)
  assert.equal(rewritten.status, 200, JSON.stringify(rewritten.body))
  assert.deepEqual([stored().apiVersion, stored().host], ['example.com/v2', 'one'])
})
