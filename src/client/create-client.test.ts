import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ResourceInfo } from '../api/schema.ts'
import { isApiError } from '../api/status.ts'
import { createClient } from './create-client.ts'
import { createFakeClock } from './fake-clock.test-support.ts'
import { createFakeServer } from './fake-server.test-support.ts'
import { isUnknownKind } from './unknown-kind.ts'

const widgets: ResourceInfo = {
  group: 'example.com',
  version: 'v1',
  kind: 'Widget',
  resource: 'widgets',
  singular: 'widget',
  shortNames: [],
  categories: [],
  namespaced: true,
  verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'],
  subresources: [],
  type: undefined,
}

test('calls become the requests that every Kubernetes client makes', async () => {
  const server = createFakeServer(createFakeClock())
  const client = createClient(server.transport)
  await client.create('v1/Namespace', { metadata: { name: 'a' } })
  await client.create('apps/v1/Deployment', { metadata: { namespace: 'a', name: 'd' } })
  await client.create('rbac.authorization.k8s.io/v1/ClusterRole', { metadata: { name: 'system:node' }, rules: [] })
  await client.get('rbac.authorization.k8s.io/v1/ClusterRole', { name: 'system:node' })
  const deployment = await client.get('apps/v1/Deployment', { namespace: 'a', name: 'd' })
  assert.equal(deployment.kind, 'Deployment')
  await client.update('apps/v1/Deployment', { ...deployment, status: { replicas: 1 } }, { subresource: 'status' })
  await client.list('v1/Pod')
  await client.list('v1/Pod', { namespace: 'a' })
  await client.deleteCollection('v1/Pod', { namespace: 'a' })
  assert.deepEqual(server.requests, [
    'POST /api/v1/namespaces',
    'POST /apis/apps/v1/namespaces/a/deployments',
    'POST /apis/rbac.authorization.k8s.io/v1/clusterroles',
    'GET /apis/rbac.authorization.k8s.io/v1/clusterroles/system:node',
    'GET /apis/apps/v1/namespaces/a/deployments/d',
    'PUT /apis/apps/v1/namespaces/a/deployments/d/status',
    'GET /api/v1/pods',
    'GET /api/v1/namespaces/a/pods',
    'DELETE /api/v1/namespaces/a/pods',
  ])
})

test('failures reject with the Status of the server', async () => {
  const client = createClient(createFakeServer(createFakeClock()).transport)
  await assert.rejects(
    client.get('v1/Pod', { namespace: 'a', name: 'b' }),
    (error) => isApiError(error, 'NotFound') && error.message === 'pods "b" not found',
  )
})

test('a kind beyond the schema is found by discovery, asked for once', async () => {
  const server = createFakeServer(createFakeClock(), [widgets])
  const client = createClient(server.transport)
  await client.create('example.com/v1/Widget', { metadata: { namespace: 'a', name: 'w' } })
  await client.get('example.com/v1/Widget', { namespace: 'a', name: 'w' })
  assert.equal(server.requests.filter((request) => request === 'GET /apis/example.com/v1').length, 1)
  await assert.rejects(
    client.list('example.com/v1/Gadget'),
    (error) => isUnknownKind(error) && error.message === 'no matches for kind "Gadget" in version "example.com/v1"',
  )
})

test('discovery lists every resource, and each once in the preferred version', async () => {
  const client = createClient(createFakeServer(createFakeClock(), [widgets]).transport)
  const { resources, preferred, failures } = await client.discover()
  assert.equal(failures.size, 0)
  assert.ok(resources.some((resource) => resource.kind === 'Widget' && resource.namespaced))
  assert.ok(preferred.some((resource) => resource.group === '' && resource.resource === 'pods'))
  const names = preferred.map((resource) => `${resource.group}/${resource.resource}`)
  assert.equal(new Set(names).size, names.length)
})
