import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from '../server.test-support.ts'
import type { Attributes } from './authorizer.ts'

const API = '/apis/rbac.authorization.k8s.io/v1'
const roleRef = (name: string) => ({ apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name })

test('bindings count from when they are made until they go, in their own namespace', async (t) => {
  const server = await startServer(t)
  const ask = (namespace: string, name = 'alice', groups: readonly string[] = []) =>
    server.server.core.authorizer.authorize({
      user: { name, groups },
      verb: 'get',
      isResource: true,
      path: '',
      group: '',
      version: 'v1',
      resource: 'pods',
      subresource: '',
      namespace,
      name: 'p',
    } satisfies Attributes)
  await server.call('POST', `${API}/clusterroles`, {
    metadata: { name: 'r' },
    rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }],
  })
  const subjects = [
    { kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'alice' },
    { kind: 'ServiceAccount', name: 'robot' },
  ]
  const bindings = `${API}/namespaces/a/rolebindings`
  await server.call('POST', bindings, { metadata: { name: 'b' }, roleRef: roleRef('r'), subjects })
  assert.deepEqual(ask('a'), { isAllowed: true, reason: 'RBAC: allowed by RoleBinding "b/a" of ClusterRole "r" to User "alice"' })
  assert.deepEqual(ask('a', 'system:serviceaccount:a:robot'), {
    isAllowed: true,
    reason: 'RBAC: allowed by RoleBinding "b/a" of ClusterRole "r" to ServiceAccount "robot/a"',
  })
  assert.deepEqual(ask('b'), { isAllowed: false, reason: '' })
  assert.deepEqual(ask(''), { isAllowed: false, reason: '' })
  assert.deepEqual(ask('a', 'system:serviceaccount:b:robot'), { isAllowed: false, reason: '' })
  assert.deepEqual(ask('a', 'bob', ['alice']), { isAllowed: false, reason: '' })
  await server.call('PUT', `${bindings}/b`, { metadata: { name: 'b' }, roleRef: roleRef('r'), subjects: subjects.slice(1) })
  assert.deepEqual(ask('a'), { isAllowed: false, reason: '' })
  await server.call('POST', bindings, { metadata: { name: 'c' }, roleRef: roleRef('missing'), subjects })
  assert.deepEqual(ask('a'), { isAllowed: false, reason: 'RBAC: clusterrole.rbac.authorization.k8s.io "missing" not found' })
  await server.call('DELETE', `${bindings}/b`)
  assert.deepEqual(ask('a', 'system:serviceaccount:a:robot'), {
    isAllowed: false,
    reason: 'RBAC: clusterrole.rbac.authorization.k8s.io "missing" not found',
  })
})

test('a check looks at the bindings of the one who asks, however many others there are', async (t) => {
  const server = await startServer(t)
  await server.call('POST', `${API}/clusterroles`, {
    metadata: { name: 'r' },
    rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }],
  })
  const creating = Array.from({ length: 5000 }, (_, index) =>
    server.call('POST', `${API}/namespaces/n${index % 100}/rolebindings`, {
      metadata: { name: `b${index}` },
      roleRef: roleRef('r'),
      subjects: [
        { kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: `user${index}` },
        { kind: 'Group', apiGroup: 'rbac.authorization.k8s.io', name: `everybody${index % 2}` },
      ],
    }),
  )
  await Promise.all(creating)
  const { authorizer } = server.server.core
  const asked = { verb: 'get', isResource: true, path: '', group: '', version: 'v1', resource: 'secrets', subresource: '', name: 'p' }
  const rounds = 20_000
  const startMs = performance.now()
  for (let round = 0; round < rounds; round++) {
    const verdict = authorizer.authorize({
      ...asked,
      user: { name: `user${round % 5000}`, groups: ['devs'] },
      namespace: `n${round % 100}`,
    })
    assert.ok(!(verdict instanceof Promise) && !verdict.isAllowed)
  }
  const eachUs = ((performance.now() - startMs) / rounds) * 1000
  t.diagnostic(`${eachUs.toFixed(2)} µs a check`)
  assert.ok(eachUs < 100, `${eachUs} µs a check`)
})
