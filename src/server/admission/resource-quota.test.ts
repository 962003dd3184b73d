import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer, type TestServer } from '../server.test-support.ts'
import { createResourceQuota } from './resource-quota.ts'

const ALL = '/api/v1/namespaces/a'

async function quota(server: TestServer, name: string, hard: Record<string, string>, spec: object = {}): Promise<void> {
  await server.call('POST', `${ALL}/resourcequotas`, { metadata: { name }, spec: { hard, ...spec } })
  const used = Object.fromEntries(Object.keys(hard).map((counted) => [counted, '0']))
  await server.call(
    'PATCH',
    `${ALL}/resourcequotas/${name}/status`,
    { status: { hard, used } },
    { headers: { 'content-type': 'application/merge-patch+json' } },
  )
}

const used = async (server: TestServer, name: string) => (await server.call('GET', `${ALL}/resourcequotas/${name}`)).body['status'].used
const pod = (name: string, requests?: object) => ({
  metadata: { name },
  spec: { containers: [{ name: 'c', image: 'x', ...(requests ? { resources: { requests } } : {}) }] },
})

test('what a namespace uses is charged, and refused beyond its limit', async (t) => {
  const server = await startServer(t, { admission: [createResourceQuota()] })
  await quota(server, 'q', { pods: '2', cpu: '1' })
  const bare = await server.call('POST', `${ALL}/pods`, pod('bare'))
  assert.equal(bare.body['message'], 'pods "bare" is forbidden: failed quota: q: must specify cpu for: c')
  assert.equal((await server.call('POST', `${ALL}/pods`, pod('p1', { cpu: '600m' }))).status, 201)
  const big = await server.call('POST', `${ALL}/pods`, pod('p2', { cpu: '500m' }))
  assert.equal(big.status, 403)
  assert.equal(big.body['message'], 'pods "p2" is forbidden: exceeded quota: q, requested: cpu=500m, used: cpu=600m, limited: cpu=1')
  assert.deepEqual(await used(server, 'q'), { pods: '1', cpu: '600m' })
})

test('nothing is charged for a dry run, nor for what another quota or the store refuses', async (t) => {
  const server = await startServer(t, { admission: [createResourceQuota()] })
  await quota(server, 'a', { pods: '5' })
  await quota(server, 'b', { 'count/pods': '1' })
  assert.equal((await server.call('POST', `${ALL}/pods?dryRun=All`, pod('p'))).status, 201)
  assert.deepEqual(await used(server, 'a'), { pods: '0' })
  assert.equal((await server.call('POST', `${ALL}/pods`, pod('p'))).status, 201)
  assert.match(
    (await server.call('POST', `${ALL}/pods`, pod('p2'))).body['message'],
    /exceeded quota: b, requested: count\/pods=1, used: count\/pods=1/,
  )
  assert.deepEqual(await used(server, 'a'), { pods: '1' })
  await server.call('DELETE', `${ALL}/resourcequotas/b`)
  assert.equal((await server.call('POST', `${ALL}/pods`, pod('p'))).status, 409)
  assert.deepEqual(await used(server, 'a'), { pods: '1' })
})

test('of many creates at once as many succeed as the quota has room for', async (t) => {
  const server = await startServer(t, { admission: [createResourceQuota()] })
  await quota(server, 'q', { configmaps: '7' })
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, i) => server.call('POST', `${ALL}/configmaps`, { metadata: { name: `m${i}` } })),
  )
  assert.equal(answers.filter(({ status }) => status === 201).length, 7)
  assert.deepEqual(await used(server, 'q'), { configmaps: '7' })
})

test('an update is charged for what it adds', async (t) => {
  const server = await startServer(t, { admission: [createResourceQuota()] })
  await quota(server, 'q', { 'services.nodeports': '1' })
  const service = { metadata: { name: 's' }, spec: { ports: [{ port: 80 }] } }
  assert.equal((await server.call('POST', `${ALL}/services`, service)).status, 201)
  const change = (spec: object) =>
    server.call('PATCH', `${ALL}/services/s`, { spec }, { headers: { 'content-type': 'application/merge-patch+json' } })
  assert.equal((await change({ type: 'NodePort' })).status, 200)
  assert.deepEqual(await used(server, 'q'), { 'services.nodeports': '1' })
  const more = await change({
    ports: [
      { name: 'a', port: 80 },
      { name: 'b', port: 81 },
    ],
  })
  assert.equal(
    more.body['message'],
    'services "s" is forbidden: exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=1, limited: services.nodeports=1',
  )
})

test('a quota whose usage is not known yet refuses what it counts', async (t) => {
  const server = await startServer(t, { admission: [createResourceQuota()] })
  await server.call('POST', `${ALL}/resourcequotas`, { metadata: { name: 'q' }, spec: { hard: { secrets: '1' } } })
  await server.call(
    'PATCH',
    `${ALL}/resourcequotas/q/status`,
    { status: { hard: { secrets: '1' } } },
    { headers: { 'content-type': 'application/merge-patch+json' } },
  )
  const answer = await server.call('POST', `${ALL}/secrets`, { metadata: { name: 's' } })
  assert.equal(answer.body['message'], 'secrets "s" is forbidden: status unknown for quota: q, resources: secrets')
})
