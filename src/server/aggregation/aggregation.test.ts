import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiRequest } from '../../api/exchange.ts'
import type { OutgoingRequest, OutgoingResponse, ProxyRoads } from '../outgoing.ts'
import { resources } from '../../api/resources.ts'
import { createOpenApiPaths } from '../openapi/paths.ts'
import { startServer } from '../server.test-support.ts'

const SERVICES = '/apis/apiregistration.k8s.io/v1/apiservices'
const GROUP = '/apis/wardle.example.com/v1alpha1'

const LIST = JSON.stringify({
  kind: 'APIResourceList',
  groupVersion: 'wardle.example.com/v1alpha1',
  resources: [
    { name: 'flunders', singularName: 'flunder', namespaced: true, kind: 'Flunder', verbs: ['get', 'list'] },
    { name: 'flunders/status', singularName: '', namespaced: true, kind: 'Flunder', verbs: ['get'] },
  ],
})

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode(text)
}

/** Roads to one server that answers as told; what it was asked. */
function roadsTo(answer: (asked: OutgoingRequest) => Omit<OutgoingResponse, 'headers'>) {
  const asked: OutgoingRequest[] = []
  const roads: ProxyRoads = {
    aggregatorTls: { cert: 'CERT', key: 'KEY' },
    outgoing: {
      async send(request) {
        asked.push(request)
        return { headers: [['content-type', 'application/json']], ...answer(request) }
      },
      upgrade: () => Promise.reject(new Error('no upgrades')),
      resolve: async () => [],
      close() {},
    },
  }
  return { asked, roads }
}

const registration = {
  metadata: { name: 'v1alpha1.wardle.example.com' },
  spec: {
    group: 'wardle.example.com',
    version: 'v1alpha1',
    groupPriorityMinimum: 2000,
    versionPriority: 200,
    service: { namespace: 'default', name: 'api', port: 7443 },
    caBundle: btoa('CA'),
  },
}
const service = { metadata: { name: 'api' }, spec: { type: 'ClusterIP', ports: [{ port: 7443, targetPort: 443 }] } }
const slice = {
  metadata: { name: 'api-1', labels: { 'kubernetes.io/service-name': 'api' } },
  addressType: 'IPv4',
  ports: [{ name: '', port: 443, protocol: 'TCP' }],
  endpoints: [{ addresses: ['10.9.0.2'], conditions: { ready: true } }],
}

async function start(t: Parameters<typeof startServer>[0], roads: ProxyRoads) {
  const server = await startServer(t, { roads })
  const condition = async () => {
    const { body } = await server.call('GET', `${SERVICES}/${registration.metadata.name}`)
    const { conditions = [] } = (body.status ?? {}) as { conditions?: readonly Record<string, string>[] }
    return conditions.find(({ type }) => type === 'Available')
  }
  /** Lets the checks run until the condition has this reason. */
  const until = async (reason: string) => {
    for (let i = 0; i < 100; i++) {
      const found = await condition()
      if (found?.['reason'] === reason) return found
      server.clock.advance(1_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    throw new Error(`the condition is ${JSON.stringify(await condition())}`)
  }
  return { ...server, until }
}

test('a group version of another server is available once that answers, and its requests go there as the user', async (t) => {
  let isUp = false
  const { asked, roads } = roadsTo(() => (isUp ? { status: 200, body: bytesOf(LIST) } : { status: 503, body: bytesOf('') }))
  const { call, until, server } = await start(t, roads)
  await call('POST', SERVICES, registration)
  assert.equal((await until('ServiceNotFound'))['message'], 'service/api in "default" is not present')
  assert.equal((await call('GET', `${GROUP}/flunders`)).status, 503)
  await call('POST', '/api/v1/namespaces/default/services', service)
  await until('MissingEndpoints')
  await call('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', slice)
  const failed = await until('FailedDiscoveryCheck')
  assert.match(failed['message']!, /bad status from https:\/\/10\.9\.0\.2:443\/apis\/wardle\.example\.com\/v1alpha1: 503/)
  isUp = true
  assert.equal((await until('Passed'))['status'], 'True')
  const flunder = { group: 'wardle.example.com', version: 'v1alpha1', kind: 'Flunder' }
  assert.deepEqual(
    server.core.aggregated.groups().filter(({ metadata }) => metadata.name !== 'metrics.k8s.io'),
    [
      {
        metadata: { name: 'wardle.example.com' },
        versions: [
          {
            version: 'v1alpha1',
            freshness: 'Current',
            resources: [
              {
                resource: 'flunders',
                responseKind: flunder,
                scope: 'Namespaced',
                singularResource: 'flunder',
                verbs: ['get', 'list'],
                subresources: [{ subresource: 'status', responseKind: flunder, verbs: ['get'] }],
              },
            ],
          },
        ],
      },
    ],
  )
  asked.length = 0
  const user = { name: 'ann', groups: ['a', 'system:masters'], extra: { 'Scopes.example': ['x'] } }
  const { response } = await call(
    'POST',
    `${GROUP}/namespaces/default/flunders?dryRun=All`,
    { kind: 'Flunder' },
    {
      user,
      headers: { 'x-remote-user': 'root', authorization: 'Bearer secret' },
    },
  )
  assert.equal(response.type, 'proxied')
  assert.equal(asked.length, 1)
  const [request] = asked
  assert.deepEqual(
    [request?.method, request?.host, request?.port, request?.path],
    ['POST' satisfies ApiRequest['method'], '10.9.0.2', 443, `${GROUP}/namespaces/default/flunders?dryRun=All`],
  )
  assert.deepEqual(request?.tls, { cert: 'CERT', key: 'KEY', serverName: 'api.default.svc', ca: 'CA' })
  assert.deepEqual(
    request?.headers.filter(([name]) => name.startsWith('x-remote') || name === 'authorization'),
    [
      ['x-remote-user', 'ann'],
      ['x-remote-group', 'a'],
      ['x-remote-group', 'system:masters'],
      ['x-remote-group', 'system:authenticated'],
      ['x-remote-extra-scopes.example', 'x'],
    ],
  )
})

test('who may not read a resource there is refused here', async (t) => {
  const { asked, roads } = roadsTo(() => ({ status: 200, body: bytesOf('{}') }))
  const { call, until } = await start(t, roads)
  await call('POST', '/api/v1/namespaces/default/services', service)
  await call('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', slice)
  await call('POST', SERVICES, registration)
  await until('Passed')
  asked.length = 0
  const nobody = { name: 'nobody', groups: [] }
  assert.equal((await call('GET', `${GROUP}/namespaces/default/flunders`, undefined, { user: nobody })).status, 403)
  assert.equal(asked.length, 0)
})

test('a registration of what this server serves itself is always available', async (t) => {
  const { roads } = roadsTo(() => ({ status: 200, body: bytesOf('{}') }))
  const { call, clock } = await start(t, roads)
  await call('POST', SERVICES, {
    metadata: { name: 'v1.apps' },
    spec: { group: 'apps', version: 'v1', groupPriorityMinimum: 1, versionPriority: 1 },
  })
  clock.advance(1_000)
  await new Promise((resolve) => setImmediate(resolve))
  const { body } = await call('GET', `${SERVICES}/v1.apps`)
  assert.match(JSON.stringify(body.status), /"reason":"Local"/)
})

test('its documents become part of ours', async (t) => {
  const own = { '/apis/wardle.example.com/v1alpha1/flunders': { get: {} }, '/apis/apps/v1/deployments': { get: { is: 'not theirs' } } }
  const definitions = { 'com.example.wardle.v1alpha1.Flunder': { type: 'object' } }
  const documents: Readonly<Record<string, object | undefined>> = {
    '/openapi/v3': {
      paths: {
        'apis/wardle.example.com/v1alpha1': { serverRelativeURL: '/openapi/v3/apis/wardle.example.com/v1alpha1?hash=A' },
        'apis/apps/v1': { serverRelativeURL: '/openapi/v3/apis/apps/v1?hash=B' },
        version: { serverRelativeURL: '/openapi/v3/version?hash=C' },
      },
    },
    '/openapi/v2': { swagger: '2.0', paths: own, definitions },
  }
  const { asked, roads } = roadsTo(({ path }) => ({ status: 200, body: bytesOf(documents[path] ? JSON.stringify(documents[path]) : LIST) }))
  const { call, until, server } = await start(t, roads)
  await call('POST', '/api/v1/namespaces/default/services', service)
  await call('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', slice)
  await call('POST', SERVICES, registration)
  await until('Passed')
  const source = { title: 'T', version: 'v1', customSchema: undefined }
  const paths = createOpenApiPaths({ ...source, resources: () => resources, onChange: () => {} })
  const get = async (path: string) => {
    const request = { method: 'GET', path, query: new URLSearchParams(), headers: {}, signal: new AbortController().signal }
    const answer = await paths(server.core, { request, user: { name: 'ann', groups: [] }, info: { path } } as never)
    return answer?.type === 'raw' ? (JSON.parse(new TextDecoder().decode(answer.body as Uint8Array)) as typeof whole) : answer?.type
  }
  const whole = { paths: {} as Record<string, { get?: { is?: string }; serverRelativeURL?: string }>, definitions: {} as object }
  const index = (await get('/openapi/v3')) as typeof whole
  assert.equal(index.paths['apis/wardle.example.com/v1alpha1']?.serverRelativeURL, '/openapi/v3/apis/wardle.example.com/v1alpha1?hash=A')
  assert.notEqual(index.paths['apis/apps/v1']?.serverRelativeURL, '/openapi/v3/apis/apps/v1?hash=B')
  const swagger = (await get('/openapi/v2')) as typeof whole
  assert.ok(swagger.paths['/apis/wardle.example.com/v1alpha1/flunders'])
  assert.equal(swagger.paths['/apis/apps/v1/deployments']?.get?.is, undefined)
  assert.ok('com.example.wardle.v1alpha1.Flunder' in swagger.definitions)
  asked.length = 0
  assert.equal(await get('/openapi/v3/apis/wardle.example.com/v1alpha1'), 'proxied')
  assert.equal(asked[0]?.path, '/openapi/v3/apis/wardle.example.com/v1alpha1')
})
