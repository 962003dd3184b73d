import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiRequest } from '../../api/exchange.ts'
import { isServedByDefault, resources as all } from '../../api/resources.ts'
import type { ResourceInfo } from '../../api/schema.ts'
import { openApiV2, openApiV3, type OpenApiSource } from './documents.ts'
import { createOpenApiPaths } from './paths.ts'
import { swaggerProtobuf } from './swagger-protobuf.ts'

const resources = all.filter(isServedByDefault)
const source: OpenApiSource = {
  resources,
  title: 'Kubernetes',
  version: 'v1.36.3',
  describe: (type, field) => (type === 'core/v1.PodSpec' && field === 'containers' ? 'what runs' : undefined),
}

/** Walks a document. */
function* references(value: unknown): Generator<string> {
  if (typeof value !== 'object' || value === null) return
  for (const [key, item] of Object.entries(value)) {
    if (key === '$ref' && typeof item === 'string') yield item
    else yield* references(item)
  }
}

const resolve = (document: unknown, ref: string): unknown =>
  ref
    .slice(2)
    .split('/')
    .reduce((at, part) => (at as Record<string, unknown>)?.[part], document)

test('every reference of every document leads somewhere, every operation has a name of its own', () => {
  for (const document of [
    openApiV2(source),
    openApiV3(source, 'api/v1'),
    openApiV3(source, 'apis/apps/v1'),
    openApiV3(source, 'apis/apiextensions.k8s.io/v1'),
  ]) {
    for (const ref of references(document)) assert.ok(resolve(document, ref), ref)
    const ids = Object.values(document?.paths as object).flatMap((item) =>
      Object.values(item as object).flatMap(({ operationId }) => operationId ?? []),
    )
    assert.equal(new Set(ids).size, ids.length)
    assert.ok(ids.length > 5)
  }
})

test('the schema of a field as upstream publishes it', () => {
  const document = openApiV3(source, 'api/v1')
  assert.deepEqual(resolve(document, '#/components/schemas/io.k8s.api.core.v1.PodSpec/properties/containers'), {
    description: 'what runs',
    type: 'array',
    items: { default: {}, allOf: [{ $ref: '#/components/schemas/io.k8s.api.core.v1.Container' }] },
    'x-kubernetes-list-map-keys': ['name'],
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-patch-merge-key': 'name',
    'x-kubernetes-patch-strategy': 'merge',
  })
  assert.deepEqual(resolve(document, '#/components/schemas/io.k8s.api.core.v1.ContainerPort/properties/containerPort'), {
    default: 0,
    format: 'int32',
    type: 'integer',
  })
  assert.deepEqual(resolve(document, '#/components/schemas/io.k8s.api.core.v1.Pod/x-kubernetes-group-version-kind'), [
    { group: '', version: 'v1', kind: 'Pod' },
  ])
})

test("kubectl explain and validation find a kind by its paths' operations", () => {
  const paths = openApiV3(source, 'apis/apps/v1')?.paths as Record<
    string,
    Record<string, { 'x-kubernetes-group-version-kind': object; parameters?: { name: string }[] }>
  >
  const gvk = { group: 'apps', version: 'v1', kind: 'Deployment' }
  assert.deepEqual(paths['/apis/apps/v1/namespaces/{namespace}/deployments']?.get?.['x-kubernetes-group-version-kind'], gvk)
  const patch = paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}']?.patch
  assert.deepEqual(patch?.['x-kubernetes-group-version-kind'], gvk)
  assert.ok(patch?.parameters?.some(({ name }) => name === 'fieldValidation'))
  assert.ok(paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale'])
})

const widgets: ResourceInfo = {
  group: 'example.com',
  version: 'v1',
  kind: 'Widget',
  resource: 'widgets',
  singular: 'widget',
  shortNames: [],
  categories: [],
  namespaced: true,
  verbs: ['get', 'list', 'create', 'update', 'patch', 'delete', 'deletecollection', 'watch'],
  subresources: [],
  type: undefined,
}

test('a custom resource brings its schema', () => {
  const custom: OpenApiSource = {
    ...source,
    resources: [...resources, widgets],
    customSchema: () => ({ schema: () => ({ type: 'object', properties: { spec: { type: 'string' } } }), extensions: {} }),
  }
  const document = openApiV3(custom, 'apis/example.com/v1')
  for (const ref of references(document)) assert.ok(resolve(document, ref), ref)
  assert.deepEqual(resolve(document, '#/components/schemas/com.example.v1.Widget/properties/spec'), { type: 'string' })
  assert.ok(resolve(document, '#/components/schemas/com.example.v1.WidgetList/properties/items'))
  assert.ok(resolve(openApiV2(custom), '#/definitions/com.example.v1.Widget'))
})

test('documents are served by an index whose hashes change when they do', async () => {
  let served = resources
  let changed = () => {}
  const paths = createOpenApiPaths({ ...source, resources: () => served, onChange: (listener) => (changed = listener) })
  const get = async (path: string, accept = 'application/json') => {
    const [plain = '', query] = path.split('?')
    const request: ApiRequest = {
      method: 'GET',
      path: plain,
      query: new URLSearchParams(query),
      headers: { accept },
      signal: new AbortController().signal,
    }
    const answer = await paths({ aggregated: { generation: 0, openApi: () => [] } } as never, { request } as never)
    assert.ok(answer?.type === 'raw')
    return JSON.parse(new TextDecoder().decode(answer.body as Uint8Array)) as { paths: Record<string, { serverRelativeURL: string }> }
  }
  const index = await get('/openapi/v3')
  const url = index.paths['apis/apps/v1']?.serverRelativeURL ?? ''
  assert.match(url, /^\/openapi\/v3\/apis\/apps\/v1\?hash=[0-9A-F]{16}$/)
  assert.ok((await get(url)).paths['/apis/apps/v1/deployments'])
  served = resources.filter(({ resource }) => resource !== 'deployments')
  changed()
  assert.notEqual((await get('/openapi/v3')).paths['apis/apps/v1']?.serverRelativeURL, url)
  assert.equal((await get(url)).paths['/apis/apps/v1/deployments'], undefined)
  await assert.rejects(get('/openapi/v2', 'text/plain'), { code: 406 })
})

test('Swagger in protobuf holds what its JSON holds', () => {
  const document = openApiV2(source)
  const root = fieldsOf(swaggerProtobuf(document))
  const texts = (value: Uint8Array) => new TextDecoder().decode(value)
  /** Entries of a map: name and the fields of its value. */
  const entries = (values: readonly Uint8Array[] = []) =>
    new Map(values.map((entry) => [texts(fieldsOf(entry).get(1)![0]!), fieldsOf(fieldsOf(entry).get(2)![0]!)]))
  assert.equal(texts(root.get(1)![0]!), '2.0')
  const paths = entries(fieldsOf(root.get(8)![0]!).get(2))
  assert.deepEqual([...paths.keys()], Object.keys(document.paths as object))
  const patch = fieldsOf(paths.get('/api/v1/namespaces/{namespace}/pods/{name}')!.get(8)![0]!)
  assert.equal(texts(patch.get(5)![0]!), 'patchCoreV1NamespacedPod')
  const extensions = new Map(
    patch.get(13)!.map((entry) => [texts(fieldsOf(entry).get(1)![0]!), texts(fieldsOf(fieldsOf(entry).get(2)![0]!).get(2)![0]!)]),
  )
  assert.deepEqual(JSON.parse(extensions.get('x-kubernetes-group-version-kind')!), { group: '', version: 'v1', kind: 'Pod' })
  const definitions = entries(fieldsOf(root.get(9)![0]!).get(1))
  assert.deepEqual([...definitions.keys()], Object.keys(document.definitions as object))
  const map = definitions.get('io.k8s.api.core.v1.ConfigMap')!
  const properties = entries(fieldsOf(map.get(25)![0]!).get(1))
  const data = fieldsOf(fieldsOf(properties.get('data')!.get(21)![0]!).get(1)![0]!)
  assert.equal(texts(fieldsOf(data.get(22)![0]!).get(1)![0]!), 'string')
})

/** The length-delimited fields of a message. */
function fieldsOf(bytes: Uint8Array): ReadonlyMap<number, readonly Uint8Array[]> {
  const found = new Map<number, Uint8Array[]>()
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!
      value += (byte & 127) * 2 ** shift
      if (byte < 128) return value
    }
  }
  while (at < bytes.length) {
    const tag = varint()
    if ((tag & 7) === 0) varint()
    else if ((tag & 7) === 1) at += 8
    else {
      const end = varint() + at
      found.set(tag >>> 3, [...(found.get(tag >>> 3) ?? []), bytes.subarray(at, end)])
      at = end
    }
  }
  return found
}
