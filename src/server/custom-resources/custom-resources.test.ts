import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { CustomResourceDefinitionVersion, JSONSchemaProps } from '../../api/generated/apiextensions/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { resources } from '../resources/index.ts'
import { createMemoryStore } from '../../store/memory.ts'
import { startServer, type TestServer } from '../server.test-support.ts'

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const WIDGETS = '/apis/example.com/v1/namespaces/default/widgets'

export const widgetSchema: JSONSchemaProps = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      required: ['size'],
      properties: {
        size: { type: 'integer', minimum: 1, maximum: 10 },
        color: { type: 'string', enum: ['red', 'green'], default: 'red' },
        name: { type: 'string', pattern: '^[a-z]+$', maxLength: 5 },
        port: { 'x-kubernetes-int-or-string': true },
        note: { type: 'string', nullable: true },
        tags: { type: 'array', items: { type: 'string' }, 'x-kubernetes-list-type': 'set' },
        replicas: { type: 'integer' },
        free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        template: { type: 'object', 'x-kubernetes-embedded-resource': true, 'x-kubernetes-preserve-unknown-fields': true },
      },
    },
    status: { type: 'object', properties: { replicas: { type: 'integer' }, selector: { type: 'string' }, ready: { type: 'boolean' } } },
  },
}

export const version = (over: Partial<CustomResourceDefinitionVersion> = {}): CustomResourceDefinitionVersion => ({
  name: 'v1',
  served: true,
  storage: true,
  schema: { openAPIV3Schema: widgetSchema },
  subresources: { status: {}, scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' } },
  ...over,
})

export const widgets = (...versions: readonly CustomResourceDefinitionVersion[]): KubeObject => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'widgets', kind: 'Widget', shortNames: ['wg'], categories: ['all'] },
    versions: versions.length > 0 ? versions : [version()],
  },
})

const widget = (spec: object, more: object = {}): KubeObject => ({
  apiVersion: 'example.com/v1',
  kind: 'Widget',
  metadata: { name: 'w' },
  spec,
  ...more,
})

/** Lets the server's own loops have their turn. */
async function until<T>(probe: () => Promise<T | undefined>): Promise<T> {
  for (let turn = 0; turn < 200; turn++) {
    const found = await probe()
    if (found !== undefined) return found
    await new Promise((resolve) => setImmediate(resolve))
  }
  throw new Error('never')
}

async function define(server: TestServer, definition: KubeObject): Promise<void> {
  const { status, body } = await server.call('POST', DEFINITIONS, definition)
  assert.equal(status, 201, JSON.stringify(body))
  await until(async () => {
    const found = await server.call('GET', `${DEFINITIONS}/${definition.metadata!.name}`)
    const conditions = (found.body.status?.conditions ?? []) as { readonly type: string; readonly status: string }[]
    return conditions.some(({ type, status: state }) => type === 'Established' && state === 'True') || undefined
  })
}

async function start(t: TestContext, definition = widgets()): Promise<TestServer> {
  const server = await startServer(t, { resources })
  await define(server, definition)
  return server
}

const causes = (body: KubeObject): readonly string[] =>
  (body.details?.causes ?? []).map(({ field, message }: { readonly field: string; readonly message: string }) => `${field}: ${message}`)

test('a definition gets its names, and its objects are served with defaults, without unknown fields', async (t) => {
  const server = await start(t)
  const { body: definition } = await server.call('GET', `${DEFINITIONS}/widgets.example.com`)
  assert.deepEqual(definition.status.acceptedNames, {
    plural: 'widgets',
    singular: 'widget',
    kind: 'Widget',
    listKind: 'WidgetList',
    shortNames: ['wg'],
    categories: ['all'],
  })
  assert.deepEqual(definition.status.storedVersions, ['v1'])
  const { status, body, response } = await server.call(
    'POST',
    WIDGETS,
    widget({ size: 3, odd: 1, free: { any: [1] }, note: null, port: 'http' }),
  )
  assert.equal(status, 201)
  assert.deepEqual(body.spec, { size: 3, free: { any: [1] }, note: null, port: 'http', color: 'red' })
  assert.equal(body.metadata?.generation, 1)
  assert.deepEqual(response.warnings, ['unknown field "spec.odd"'])
  const strict = await server.call('POST', `${WIDGETS}?fieldValidation=Strict`, widget({ size: 3, odd: 1 }))
  assert.equal(strict.body.message, 'Widget in version "v1" cannot be handled as a Widget: strict decoding error: unknown field "spec.odd"')
})

test("values that the schema refuses are told in upstream's words", async (t) => {
  const server = await start(t)
  const { status, body } = await server.call('POST', WIDGETS, widget({ size: 11, color: 'blue', name: 'A1', tags: ['a', 'b', 'a'] }))
  assert.equal(status, 422)
  assert.deepEqual(causes(body), [
    'spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10',
    'spec.color: Unsupported value: "blue": supported values: "red", "green"',
    'spec.name: Invalid value: "A1": spec.name in body should match \'^[a-z]+$\'',
    'spec.tags[2]: Duplicate value: "a"',
  ])
  const wrong = await server.call('POST', WIDGETS, widget({ size: 'x', name: 'abcdef', template: { kind: 'Pod' } }))
  assert.deepEqual(causes(wrong.body), [
    'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"',
    'spec.name: Too long: may not be more than 5 bytes',
    'spec.template.apiVersion: Required value',
  ])
  const missing = await server.call('POST', WIDGETS, { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'w' } })
  assert.equal(missing.body.message, 'Widget.example.com "w" is invalid: spec: Required value')
})

test('what was wrong before may stay as it is', async (t) => {
  const loose = version({ schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } } })
  const server = await start(t, widgets(loose))
  await server.call('POST', WIDGETS, widget({ size: 99, name: 'ok' }))
  const { body: definition } = await server.call('GET', `${DEFINITIONS}/widgets.example.com`)
  const { spec } = widgets()
  const stricter = await server.call('PUT', `${DEFINITIONS}/widgets.example.com`, {
    ...definition,
    spec: { ...definition.spec, versions: spec.versions },
  })
  assert.equal(stricter.status, 200, JSON.stringify(stricter.body))
  const merge = { headers: { 'content-type': 'application/merge-patch+json' } }
  assert.equal((await server.call('PATCH', `${WIDGETS}/w`, { spec: { name: 'fine' } }, merge)).status, 200)
  const refused = await server.call('PATCH', `${WIDGETS}/w`, { spec: { size: 98 } }, merge)
  assert.equal(refused.status, 422)
})

test('status and scale are apart, and generations count the rest', async (t) => {
  const server = await start(t)
  const { body: made } = await server.call('POST', WIDGETS, widget({ size: 1 }, { status: { ready: true } }))
  assert.equal(made.status, undefined)
  const { body: told } = await server.call('PUT', `${WIDGETS}/w/status`, { ...made, spec: { size: 2 }, status: { ready: true } })
  assert.deepEqual([told.spec.size, told.status, told.metadata?.generation], [1, { ready: true }, 1])
  const missing = await server.call('GET', `${WIDGETS}/w/scale`)
  assert.equal(missing.body.message, 'Internal error occurred: the spec replicas field ".spec.replicas" does not exist')
  const scaled = await server.call('PUT', `${WIDGETS}/w/scale`, {
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: { name: 'w' },
    spec: { replicas: 3 },
  })
  assert.deepEqual([scaled.status, scaled.body.spec], [200, { replicas: 3 }])
  const { body: after } = await server.call('GET', `${WIDGETS}/w`)
  assert.deepEqual([after.spec.replicas, after.metadata?.generation], [3, 2])
})

test('versions differ by their schemas; a new storage version takes the old objects along', async (t) => {
  const schema = (name: string): JSONSchemaProps => ({
    type: 'object',
    properties: { spec: { type: 'object', properties: { [name]: { type: 'string', default: name }, size: { type: 'integer' } } } },
  })
  const [a, b] = [
    version({ name: 'v1', schema: { openAPIV3Schema: schema('a') } }),
    version({ name: 'v2', storage: false, schema: { openAPIV3Schema: schema('b') } }),
  ]
  const server = await start(t, widgets(a, b))
  const other = WIDGETS.replace('/v1/', '/v2/')
  assert.equal((await server.call('POST', WIDGETS, widget({ size: 1 }))).status, 201)
  const { body: second } = await server.call('GET', `${other}/w`)
  assert.deepEqual([second.apiVersion, second.spec], ['example.com/v2', { size: 1, b: 'b' }])
  const { body: definition } = await server.call('GET', `${DEFINITIONS}/widgets.example.com`)
  const turned = {
    ...definition,
    spec: {
      ...definition.spec,
      versions: [
        { ...a, storage: false },
        { ...b, storage: true },
      ],
    },
  }
  const { body: updated } = await server.call('PUT', `${DEFINITIONS}/widgets.example.com`, turned)
  assert.deepEqual(updated.status.storedVersions, ['v1', 'v2'])
  const { body: unchanged } = await server.call('PUT', `${other}/w`, second)
  assert.deepEqual([unchanged.metadata?.generation, unchanged.apiVersion], [1, 'example.com/v2'])
  assert.notEqual(unchanged.metadata?.resourceVersion, second.metadata?.resourceVersion, 'the object is stored anew, in the new version')
})

test('a watch shows objects and ends when the definition changes', async (t) => {
  const server = await start(t)
  const { first } = await server.watch(`${WIDGETS}?watch=true`, 1)
  await server.call('POST', WIDGETS, widget({ size: 1 }))
  const [event] = await first
  assert.deepEqual([event?.type, event?.object.spec.color], ['ADDED', 'red'])
  const open = await server.watch(`${WIDGETS}?watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan`, 1)
  const { body: definition } = await server.call('GET', `${DEFINITIONS}/widgets.example.com`)
  const renamed = { ...definition, spec: { ...definition.spec, names: { ...definition.spec.names, shortNames: ['wd'] } } }
  assert.equal((await server.call('PUT', `${DEFINITIONS}/widgets.example.com`, renamed)).status, 200)
  assert.deepEqual(await open.first, [])
})

test('a deleted definition takes its objects along, those with finalizers last', async (t) => {
  const server = await start(t)
  await server.call('POST', WIDGETS, widget({ size: 1 }))
  await server.call('POST', WIDGETS, widget({ size: 1 }, { metadata: { name: 'held', finalizers: ['example.com/hold'] } }))
  const { status, body } = await server.call('DELETE', `${DEFINITIONS}/widgets.example.com`)
  assert.equal(status, 200)
  assert.deepEqual(body.metadata?.finalizers, ['customresourcecleanup.apiextensions.k8s.io'])
  await until(async () => ((await server.call('GET', `${WIDGETS}/w`)).status === 404 ? true : undefined))
  const create = await server.call('POST', WIDGETS, widget({ size: 1 }))
  assert.equal(create.status, 403)
  assert.match(create.body.message, /create not allowed while custom resource definition is terminating/)
  const merge = { headers: { 'content-type': 'application/merge-patch+json' } }
  await server.call('PATCH', `${WIDGETS}/held`, { metadata: { finalizers: null } }, merge)
  await until(async () => ((await server.call('GET', `${DEFINITIONS}/widgets.example.com`)).status === 404 ? true : undefined))
  assert.equal((await server.call('GET', WIDGETS)).status, 404)
})

test('names that another definition has are refused until they are free', async (t) => {
  const server = await start(t)
  const spec = { ...widgets().spec, names: { plural: 'gadgets', kind: 'Widget', shortNames: ['wg'] } }
  await server.call('POST', DEFINITIONS, { ...widgets(), metadata: { name: 'gadgets.example.com' }, spec })
  const conditionsOf = async () =>
    (await server.call('GET', `${DEFINITIONS}/gadgets.example.com`)).body.status?.conditions as readonly KubeObject[] | undefined
  const [accepted, established] = await until(conditionsOf)
  assert.deepEqual([accepted?.status, accepted?.reason, accepted?.message], ['False', 'ListKindConflict', '"WidgetList" is already in use'])
  assert.deepEqual([established?.status, established?.reason], ['False', 'NotAccepted'])
  await server.call('DELETE', `${DEFINITIONS}/widgets.example.com`)
  await until(async () => ((await conditionsOf())?.every(({ status }) => status === 'True') ? true : undefined))
})

test('columns, field selectors and warnings are those of the version', async (t) => {
  const columns = [
    { name: 'Size', type: 'integer', jsonPath: '.spec.size' },
    { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status', priority: 1 },
  ]
  const server = await start(
    t,
    widgets(version({ additionalPrinterColumns: columns, selectableFields: [{ jsonPath: '.spec.color' }], deprecated: true })),
  )
  await server.call('POST', WIDGETS, widget({ size: 4 }))
  await server.call('POST', WIDGETS, widget({ size: 5, color: 'green' }, { metadata: { name: 'g' } }))
  const { body, response } = await server.call('GET', WIDGETS, undefined, {
    headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
  })
  assert.deepEqual(
    (body.rows as readonly KubeObject[]).map(({ cells }) => cells),
    [
      ['g', 5, null],
      ['w', 4, null],
    ],
  )
  assert.deepEqual(
    (body.columnDefinitions as readonly KubeObject[]).map(({ name, priority }) => [name, priority]),
    [
      ['Name', 0],
      ['Size', 0],
      ['Ready', 1],
    ],
  )
  assert.deepEqual(response.warnings, ['example.com/v1 Widget is deprecated'])
  const green = await server.call('GET', `${WIDGETS}?fieldSelector=spec.color%3Dgreen`)
  assert.deepEqual(
    (green.body.items as readonly KubeObject[]).map(({ metadata }) => metadata?.name),
    ['g'],
  )
})

test('schemas within lists and maps are read as schemas', async (t) => {
  const server = await startServer(t, { resources })
  const withItems = (items: unknown): KubeObject =>
    widgets(version({ schema: { openAPIV3Schema: { type: 'object', properties: { list: { type: 'array', items } } } } }))
  const wrong = await server.call('POST', DEFINITIONS, withItems({ type: 5 }))
  assert.equal(wrong.status, 400)
  assert.match(wrong.body.message, /json: cannot unmarshal number into Go struct field JSONSchemaProps\.type of type string/)
  const nothing = await server.call('POST', DEFINITIONS, withItems('string'))
  assert.match(nothing.body.message, /properties\[list\]\.items: Required value: must be specified/)
  const { body } = await server.call('POST', DEFINITIONS, withItems({ type: 'object', properties: null, odd: 1 }))
  assert.deepEqual(body.spec.versions[0].schema.openAPIV3Schema.properties.list.items, { type: 'object' })
})

test('a server that starts on what was stored serves the kinds at once, and goes on with what it had begun', async (t) => {
  const store = createMemoryStore()
  const first = await startServer(t, { resources, store })
  await define(first, widgets())
  await first.call('POST', WIDGETS, widget({ size: 1 }, { metadata: { name: 'held', finalizers: ['example.com/hold'] } }))
  await first.call('DELETE', `${DEFINITIONS}/widgets.example.com`)
  const second = await startServer(t, { resources, store })
  const { body } = await second.call('GET', `${WIDGETS}/held`)
  assert.equal(body.spec.color, 'red')
  const merge = { headers: { 'content-type': 'application/merge-patch+json' } }
  await second.call('PATCH', `${WIDGETS}/held`, { metadata: { finalizers: null } }, merge)
  await until(async () => ((await second.call('GET', `${DEFINITIONS}/widgets.example.com`)).status === 404 ? true : undefined))
})

test('rights are asked for as for any other kind', async (t) => {
  const server = await start(t)
  const user = { name: 'eve', groups: ['system:authenticated'] }
  const refused = await server.call('GET', WIDGETS, undefined, { user })
  assert.deepEqual(
    [refused.status, refused.body.message],
    [
      403,
      'widgets.example.com is forbidden: User "eve" cannot list resource "widgets" in API group "example.com" in the namespace "default"',
    ],
  )
  const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces/default'
  const rules = [{ apiGroups: ['example.com'], resources: ['widgets'], verbs: ['list'] }]
  await server.call('POST', `${rbac}/roles`, { metadata: { name: 'look' }, rules })
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'look' }
  await server.call('POST', `${rbac}/rolebindings`, {
    metadata: { name: 'look' },
    roleRef,
    subjects: [{ kind: 'User', name: 'eve', apiGroup: 'rbac.authorization.k8s.io' }],
  })
  assert.equal((await server.call('GET', WIDGETS, undefined, { user })).status, 200)
  for (const path of ['/w', '/w/status', '/w/scale'])
    assert.equal((await server.call('GET', WIDGETS + path, undefined, { user })).status, 403)
})

test('a conversion that fails is told to who asked for it; the server lives on', async (t) => {
  const clientConfig = { url: 'https://nobody.example.com/convert' }
  const conversion = { strategy: 'Webhook', webhook: { conversionReviewVersions: ['v1'], clientConfig } }
  const both = widgets(version(), version({ name: 'v2', storage: false }))
  const server = await start(t, { ...both, spec: { ...both.spec, conversion } })
  const other = WIDGETS.replace('/v1/', '/v2/')
  const open = await server.watch(`${other}?watch=true`, 1)
  assert.equal((await server.call('POST', WIDGETS, widget({ size: 1 }))).status, 201)
  const [event] = await open.first
  const told = 'conversion webhook for example.com/v1, Kind=Widget failed: no webhook client is configured'
  assert.deepEqual([event?.type, event?.object.message], ['ERROR', told])
  for (const path of [other, `${other}/w`]) {
    const { status, body } = await server.call('GET', path)
    assert.deepEqual([status, body.message], [500, told])
  }
  assert.equal((await server.call('POST', other, { ...widget({ size: 1 }), apiVersion: 'example.com/v2' })).status, 500)
  assert.equal((await server.call('GET', `${WIDGETS}/w`)).status, 200)
})
