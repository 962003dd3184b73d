import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeService, NodeUsage } from '../api/node-service.ts'
import { ADMIN, startServer } from './server.test-support.ts'

const usage: NodeUsage = {
  atMs: Date.parse('2026-01-02T03:04:05.678Z'),
  windowMs: 15_250,
  node: { cpuNanoCores: 1_500_000_000, workingSetBytes: 2 ** 30 },
  pods: [{ namespace: 'default', name: 'a', containers: [{ name: 'c', cpuNanoCores: 12_345, workingSetBytes: 4096 }] }],
}
const nodes: Readonly<Record<string, Partial<NodeService>>> = {
  good: { usage: async () => usage },
  mute: {},
  broken: { usage: async () => Promise.reject(new Error('no')) },
  slow: { usage: () => new Promise(() => {}) },
}
interface Metrics {
  readonly kind: string
  readonly containers: unknown
  readonly items: readonly unknown[]
}

const BASE = '/apis/metrics.k8s.io/v1beta1'

async function begin(t: Parameters<typeof startServer>[0]) {
  const server = await startServer(t, { nodeConnector: (name) => nodes[name] as NodeService | undefined })
  for (const name of ['good', 'mute', 'broken']) await server.call('POST', '/api/v1/nodes', { metadata: { name, labels: { kind: name } } })
  for (const [name, nodeName] of [
    ['a', 'good'],
    ['b', 'mute'],
  ])
    await server.call('POST', '/api/v1/namespaces/default/pods', {
      metadata: { name, labels: { app: name } },
      spec: { nodeName, containers: [{ name: 'c', image: 'i' }] },
    })
  const get = async (path: string) => {
    const { response } = await server.call('GET', `${BASE}${path}`)
    const body = response.type === 'raw' ? (JSON.parse(new TextDecoder().decode(response.body as Uint8Array)) as object) : response
    return { status: response.status, body: body as Metrics, response }
  }
  return { ...server, get }
}

test('nodes and pods in the words of a metrics server; those that tell nothing are left out', async (t) => {
  const { get } = await begin(t)
  const moment = { timestamp: '2026-01-02T03:04:05Z', window: '15.25s' }
  const metadata = { name: 'good', creationTimestamp: '2026-01-02T03:04:05Z', labels: { kind: 'good' } }
  assert.deepEqual((await get('/nodes')).body, {
    kind: 'NodeMetricsList',
    apiVersion: 'metrics.k8s.io/v1beta1',
    metadata: {},
    items: [{ metadata, ...moment, usage: { cpu: '1500000000n', memory: '1048576Ki' } }],
  })
  const one = (await get('/namespaces/default/pods/a')).body
  assert.deepEqual([one.kind, one.containers], ['PodMetrics', [{ name: 'c', usage: { cpu: '12345n', memory: '4Ki' } }]])
  for (const [path, count] of [
    ['/pods', 1],
    ['/pods?labelSelector=app%3Da', 1],
    ['/pods?labelSelector=app%3Db', 0],
    ['/pods?fieldSelector=metadata.name%21%3Da', 0],
    ['/namespaces/other/pods', 0],
    ['/nodes?labelSelector=kind%3Dmute', 0],
  ] as const)
    assert.equal((await get(path)).body.items.length, count, path)
})

test('what is not there, is not measured, or is not to be written', async (t) => {
  const { get, call } = await begin(t)
  for (const [path, message] of [
    ['/namespaces/default/pods/none', 'pods "none" not found'],
    ['/namespaces/default/pods/b', 'podmetrics.metrics.k8s.io "default/b" not found'],
    ['/nodes/broken', 'nodemetrics.metrics.k8s.io "broken" not found'],
  ] as const) {
    const { body, status } = await call('GET', `${BASE}${path}`)
    assert.deepEqual([status, (body as { message?: string }).message], [404, message], path)
  }
  assert.equal((await call('DELETE', `${BASE}/nodes/good`)).status, 405)
  assert.equal((await get('')).body.kind, 'APIResourceList')
  assert.equal((await call('GET', `${BASE}/nodes`, undefined, { user: { name: 'nobody', groups: [] } })).status, 403)
  assert.equal((await call('GET', `${BASE}/nodes`, undefined, { user: ADMIN })).status, 200)
})

test('a node that does not answer is not waited for', async (t) => {
  const { call, get, clock } = await begin(t)
  await call('POST', '/api/v1/nodes', { metadata: { name: 'slow' } })
  const answer = get('/nodes')
  await new Promise((resolve) => setImmediate(resolve))
  clock.advance(10_000)
  assert.deepEqual((await answer).body.items.length, 1)
})
