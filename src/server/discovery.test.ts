import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiRequest } from '../api/exchange.ts'
import { isServedByDefault, resources as all } from '../api/resources.ts'
import { aggregatedDiscovery, apiGroup, apiGroupList, apiResourceList, wantsAggregated, type APIGroupDiscovery } from './discovery.ts'
import { createDiscoveryPaths } from './discovery-paths.ts'

const resources = all.filter(isServedByDefault)

const AGGREGATED =
  'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json'

test('a group version lists its resources and subresources by name', () => {
  const list = apiResourceList(resources, 'apps', 'v1') as { resources: { name: string; kind: string; group?: string; version?: string }[] }
  assert.deepEqual(
    list.resources.filter(({ name }) => name.startsWith('deployments')),
    [
      {
        name: 'deployments',
        singularName: 'deployment',
        namespaced: true,
        kind: 'Deployment',
        verbs: ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'],
        shortNames: ['deploy'],
        categories: ['all'],
      },
      {
        name: 'deployments/scale',
        singularName: '',
        namespaced: true,
        group: 'autoscaling',
        version: 'v1',
        kind: 'Scale',
        verbs: ['get', 'patch', 'update'],
      },
      { name: 'deployments/status', singularName: '', namespaced: true, kind: 'Deployment', verbs: ['get', 'patch', 'update'] },
    ],
  )
  assert.equal(apiResourceList(resources, 'apps', 'v1beta1'), undefined)
})

test('groups tell their versions, the preferred one first', () => {
  assert.deepEqual(apiGroup(resources, 'autoscaling'), {
    kind: 'APIGroup',
    apiVersion: 'v1',
    name: 'autoscaling',
    versions: [
      { groupVersion: 'autoscaling/v2', version: 'v2' },
      { groupVersion: 'autoscaling/v1', version: 'v1' },
    ],
    preferredVersion: { groupVersion: 'autoscaling/v2', version: 'v2' },
  })
  assert.equal(apiGroup(resources, 'example.com'), undefined)
  const { groups } = apiGroupList(resources) as { groups: { name: string }[] }
  assert.ok(groups.some(({ name }) => name === 'apps') && !groups.some(({ name }) => name === ''))
})

test('the aggregated document holds all of a root', () => {
  const core = aggregatedDiscovery(resources, 'core') as {
    items: { metadata: { name?: string }; versions: { version: string; resources: { resource: string }[] }[] }[]
  }
  assert.equal(core.items.length, 1)
  assert.equal(core.items[0]?.metadata.name, undefined)
  assert.ok(core.items[0]?.versions[0]?.resources.some(({ resource }) => resource === 'pods'))
})

test('the Accept header chooses the form', () => {
  assert.equal(wantsAggregated(AGGREGATED), true)
  assert.equal(wantsAggregated('application/json, */*'), false)
  assert.equal(wantsAggregated(undefined), false)
})

test('documents are served with an ETag, and made anew after a change', async () => {
  let served = resources
  let changed = () => {}
  let groups: readonly APIGroupDiscovery[] = []
  const aggregated = { generation: 0, groups: () => groups }
  const paths = createDiscoveryPaths({ resources: () => served, onChange: (listener) => (changed = listener), serverAddress: 'x:1' })
  const get = async (path: string, headers: ApiRequest['headers'] = {}) => {
    const request: ApiRequest = { method: 'GET', path, query: new URLSearchParams(), headers, signal: new AbortController().signal }
    const answer = await paths({ aggregated } as never, { request } as never)
    assert.ok(answer?.type === 'raw')
    return { ...answer, text: new TextDecoder().decode(answer.body as Uint8Array) }
  }
  const first = await get('/apis', { accept: AGGREGATED })
  assert.equal(first.contentType, 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList')
  const etag = first.headers?.etag ?? ''
  assert.equal((await get('/apis', { accept: AGGREGATED, 'if-none-match': etag })).status, 304)
  assert.match((await get('/apis')).text, /"kind":"APIGroupList"/)
  assert.match((await get('/api/v1/')).text, /"groupVersion":"v1"/)
  served = resources.slice(0, 5)
  changed()
  assert.notEqual((await get('/apis', { accept: AGGREGATED, 'if-none-match': etag })).status, 304)
  groups = [{ metadata: { name: 'wardle.example.com' }, versions: [{ version: 'v1', freshness: 'Current' }] }]
  aggregated.generation++
  assert.match((await get('/apis', { accept: AGGREGATED })).text, /wardle\.example\.com/)
  assert.match((await get('/apis')).text, /"groupVersion":"wardle\.example\.com\/v1"/)
  assert.match((await get('/apis/wardle.example.com')).text, /"kind":"APIGroup"/)
})
