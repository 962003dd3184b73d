import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserInfo } from '../api/exchange.ts'
import { defineResource } from './resource.ts'
import { startServer } from './server.test-support.ts'

const sentAs = (contentType: string) => ({ headers: { 'content-type': contentType } })
const role = (resources: readonly string[]) => ({
  metadata: { name: `r-${resources[0]}` },
  rules: [{ apiGroups: [''], resources, verbs: ['get', 'list'] }],
})
const CONFIGMAPS = '/api/v1/namespaces/default/configmaps'

test('creates, gets, lists and watches over the direct transport', async (t) => {
  const { call, watch } = await startServer(t)
  const made = await call('POST', CONFIGMAPS, { metadata: { name: 'a' }, data: { k: 'v' } })
  assert.equal(made.status, 201)
  assert.equal(made.body.metadata?.namespace, 'default')
  assert.equal(made.body.metadata?.creationTimestamp, '2026-01-01T00:00:00Z')
  assert.deepEqual((await call('GET', `${CONFIGMAPS}/a`)).body, made.body)
  assert.equal((await call('GET', '/api/v1/configmaps')).body.items.length, 1)
  const events = await watch('/api/v1/configmaps?watch=true', 2)
  await call('POST', CONFIGMAPS, { metadata: { generateName: 'b-' } })
  const [first, second] = await events.first
  assert.deepEqual([first!.type, second!.type], ['ADDED', 'ADDED'])
  const line = new TextDecoder().decode(second!.line)
  assert.match(
    line,
    /^\{"type":"ADDED","object":\{"apiVersion":"v1","kind":"ConfigMap","metadata":\{"resourceVersion":"\d+","name":"b-[^"]{5}"/,
  )
  assert.deepEqual(JSON.parse(line).object, second!.object)
})

test('tells what is wrong as upstream does', async (t) => {
  const { call } = await startServer(t)
  const messageOf = async (...args: Parameters<typeof call>) => {
    const { status, body } = await call(...args)
    return [status, body.message]
  }
  await call('POST', CONFIGMAPS, { metadata: { name: 'a' } })
  assert.deepEqual(await messageOf('POST', CONFIGMAPS, { metadata: { name: 'a' } }), [409, 'configmaps "a" already exists'])
  assert.deepEqual(await messageOf('GET', `${CONFIGMAPS}/x`), [404, 'configmaps "x" not found'])
  assert.deepEqual(await messageOf('POST', CONFIGMAPS, { metadata: { name: 'b', namespace: 'other' } }), [
    400,
    'the namespace of the provided object does not match the namespace sent on the request',
  ])
  assert.deepEqual(await messageOf('PUT', `${CONFIGMAPS}/a`, { metadata: { name: 'b' } }), [
    400,
    'the name of the object (b) does not match the name on the URL (a)',
  ])
  assert.deepEqual(await messageOf('PUT', `${CONFIGMAPS}/a`, { metadata: { name: 'a', resourceVersion: '1' } }), [
    409,
    'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again',
  ])
  const [status, text] = await messageOf('POST', CONFIGMAPS, { metadata: { name: 'A_' } })
  assert.equal(status, 422)
  assert.match(
    String(text),
    /^ConfigMap "A_" is invalid: metadata.name: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of/,
  )
  assert.deepEqual(await messageOf('POST', CONFIGMAPS, { apiVersion: 'apps/v1', metadata: { name: 'b' } }), [
    400,
    'ConfigMap in version "v1" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version "apps/v1" in scheme "pkg/runtime/scheme.go:111"',
  ])
  assert.deepEqual(await messageOf('GET', '/api/v1/pods?fieldSelector=spec.foo%3Dx'), [
    400,
    '"spec.foo" is not a known field selector: only "metadata.name", "metadata.namespace"',
  ])
  const page = (await call('GET', '/nothing/here')).response
  assert.deepEqual([page.type, page.status], ['raw', 404])
  assert.deepEqual(await messageOf('GET', '/apis/apps/v1/nothings'), [404, 'the server could not find the requested resource'])
  assert.deepEqual(await messageOf('POST', `${CONFIGMAPS}?fieldValidation=Strict`, { metadata: { name: 's' }, foo: 1 }), [
    400,
    'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "foo"',
  ])
})

test('updates with and without a resourceVersion, and writes nothing when nothing changes', async (t) => {
  const { call } = await startServer(t)
  const made = await call('POST', CONFIGMAPS, { metadata: { name: 'a' }, data: { k: '1' } })
  const changed = await call('PUT', `${CONFIGMAPS}/a`, { ...made.body, data: { k: '2' } })
  assert.equal(changed.status, 200)
  assert.notEqual(changed.body.metadata?.resourceVersion, made.body.metadata?.resourceVersion)
  const same = await call('PUT', `${CONFIGMAPS}/a`, { metadata: { name: 'a' }, data: { k: '2' } })
  assert.deepEqual(same.body, changed.body)
  const stale = await call('PUT', `${CONFIGMAPS}/a`, made.body)
  assert.equal(stale.status, 409)
  const lease = { metadata: { name: 'l' }, spec: { holderIdentity: 'x' } }
  assert.equal((await call('PUT', '/apis/coordination.k8s.io/v1/namespaces/default/leases/l', lease)).status, 201)
  const unconditional = await call('PUT', '/apis/coordination.k8s.io/v1/namespaces/default/leases/l', lease)
  assert.equal(
    unconditional.body.message,
    'leases.coordination.k8s.io "l" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update',
  )
})

test('patches in three ways; others are answered with what is supported', async (t) => {
  const { call } = await startServer(t)
  await call('POST', CONFIGMAPS, { metadata: { name: 'a' }, data: { k: '1', l: '1' } })
  const merged = await call('PATCH', `${CONFIGMAPS}/a`, { data: { k: null, m: '2' } }, sentAs('application/merge-patch+json'))
  assert.deepEqual(merged.body.data, { l: '1', m: '2' })
  const json = await call(
    'PATCH',
    `${CONFIGMAPS}/a`,
    [{ op: 'replace', path: '/data/l', value: '3' }],
    sentAs('application/json-patch+json'),
  )
  assert.deepEqual(json.body.data, { l: '3', m: '2' })
  const strategic = await call(
    'PATCH',
    `${CONFIGMAPS}/a`,
    { metadata: { labels: { x: 'y' } } },
    sentAs('application/strategic-merge-patch+json'),
  )
  assert.deepEqual(strategic.body.metadata?.labels, { x: 'y' })
  const cbor = await call('PATCH', `${CONFIGMAPS}/a`, {}, sentAs('application/apply-patch+cbor'))
  assert.equal(cbor.status, 415)
  assert.equal(cbor.body.message, '415: Unsupported Media Type')
})

test('pages through a list at one revision, and tells how many remain', async (t) => {
  const { call } = await startServer(t)
  for (const name of ['a', 'b', 'c', 'd', 'e']) await call('POST', CONFIGMAPS, { metadata: { name } })
  const first = await call('GET', `${CONFIGMAPS}?limit=2`)
  const meta = first.body.metadata as { continue?: string; remainingItemCount?: number; resourceVersion?: string }
  assert.equal(meta.remainingItemCount, 3)
  await call('POST', CONFIGMAPS, { metadata: { name: 'cc' } })
  await call('DELETE', `${CONFIGMAPS}/d`)
  const second = await call('GET', `${CONFIGMAPS}?limit=10&continue=${meta.continue}`)
  assert.deepEqual(
    second.body.items.map((item: { metadata: { name: string } }) => item.metadata.name),
    ['c', 'd', 'e'],
  )
  assert.equal(second.body.metadata?.resourceVersion, meta.resourceVersion)
  const exact = await call('GET', `${CONFIGMAPS}?resourceVersion=${meta.resourceVersion}&resourceVersionMatch=Exact`)
  assert.equal(exact.body.items.length, 5)
})

test('tells watchers what enters and leaves their selection', async (t) => {
  const { call, watch } = await startServer(t)
  const events = await watch(`${CONFIGMAPS}?watch=1&labelSelector=on%3Dyes&resourceVersion=1`, 3)
  const patch = (labels: unknown) =>
    call('PATCH', `${CONFIGMAPS}/a`, { metadata: { labels } }, { headers: { 'content-type': 'application/merge-patch+json' } })
  await call('POST', CONFIGMAPS, { metadata: { name: 'a' } })
  await patch({ on: 'yes' })
  await patch({ on: 'yes', more: 'x' })
  await patch({ on: 'no' })
  const seen = await events.first
  assert.deepEqual(
    seen.map(({ type }) => type),
    ['ADDED', 'MODIFIED', 'DELETED'],
  )
  assert.equal(seen[2]!.object.metadata?.labels?.on, 'yes')
})

test('begins a streaming list with what there is and a bookmark; a watch from too long ago is Expired', async (t) => {
  const { call, watch, clock } = await startServer(t)
  await call('POST', CONFIGMAPS, { metadata: { name: 'a' } })
  const { first } = await watch(
    `${CONFIGMAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`,
    2,
  )
  const events = await first
  assert.deepEqual(
    events.map(({ type }) => type),
    ['ADDED', 'BOOKMARK'],
  )
  assert.equal(events[1]!.object.metadata?.annotations?.['k8s.io/initial-events-end'], 'true')
  const periodic = await watch(
    `${CONFIGMAPS}?watch=1&resourceVersion=${events[1]!.object.metadata?.resourceVersion}&allowWatchBookmarks=true`,
    1,
  )
  clock.advance(60_000)
  assert.equal((await periodic.first)[0]!.type, 'BOOKMARK')
})

test('deletes with preconditions, finalizers and propagation', async (t) => {
  const { call, watch } = await startServer(t)
  const made = await call('POST', CONFIGMAPS, { metadata: { name: 'a', finalizers: ['x.io/y'] } })
  const wrong = await call('DELETE', `${CONFIGMAPS}/a`, { preconditions: { uid: 'no' } })
  assert.equal(wrong.status, 409)
  assert.match(
    wrong.body.message,
    /^Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition \(no\) does not match the UID in record/,
  )
  const marked = await call('DELETE', `${CONFIGMAPS}/a`, { propagationPolicy: 'Foreground' })
  assert.equal(marked.body.metadata?.deletionTimestamp, '2026-01-01T00:00:00Z')
  assert.deepEqual(marked.body.metadata?.finalizers, ['x.io/y', 'foregroundDeletion'])
  const events = await watch(`${CONFIGMAPS}?watch=1&resourceVersion=${marked.body.metadata?.resourceVersion}`, 2)
  const freed = await call(
    'PATCH',
    `${CONFIGMAPS}/a`,
    { metadata: { finalizers: null } },
    { headers: { 'content-type': 'application/merge-patch+json' } },
  )
  assert.equal(freed.status, 200)
  assert.equal((await events.first).at(-1)!.type, 'DELETED')
  assert.equal((await call('GET', `${CONFIGMAPS}/a`)).status, 404)
  await call('POST', CONFIGMAPS, { metadata: { name: 'b' } })
  const gone = await call('DELETE', `${CONFIGMAPS}/b`)
  assert.deepEqual([gone.body.kind, gone.body.status, gone.body.details.name], ['Status', 'Success', 'b'])
  assert.equal(made.status, 201)
})

test('deletes a collection by selector', async (t) => {
  const { call } = await startServer(t)
  for (const name of ['a', 'b', 'c']) await call('POST', CONFIGMAPS, { metadata: { name, labels: { odd: String(name !== 'b') } } })
  const deleted = await call('DELETE', `${CONFIGMAPS}?labelSelector=odd%3Dtrue`)
  assert.equal(deleted.body.items.length, 2)
  assert.equal((await call('GET', CONFIGMAPS)).body.items.length, 1)
})

test('a dry run answers as the write would and stores nothing', async (t) => {
  const { call } = await startServer(t)
  const made = await call('POST', `${CONFIGMAPS}?dryRun=All`, { metadata: { name: 'a' } })
  assert.deepEqual([made.status, made.body.metadata?.resourceVersion], [201, undefined])
  assert.equal((await call('GET', `${CONFIGMAPS}/a`)).status, 404)
})

test('shows tables with the columns of the kind', async (t) => {
  const definition = defineResource({
    group: '',
    version: 'v1',
    kind: 'ConfigMap',
    columns: [{ name: 'Data', type: 'integer', description: '', cell: ({ data }) => Object.keys(data ?? {}).length }],
  })
  const { call } = await startServer(t, { resources: [definition] })
  await call('POST', CONFIGMAPS, { metadata: { name: 'a' }, data: { k: 'v' } })
  const { body } = await call('GET', CONFIGMAPS, undefined, {
    headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' },
  })
  assert.equal(body.kind, 'Table')
  assert.deepEqual(body.rows[0].cells, [1])
  assert.deepEqual([body.rows[0].object.kind, body.rows[0].object.metadata.name], ['PartialObjectMetadata', 'a'])
})

test('allows by roles, and says which rule is missing', async (t) => {
  const { call } = await startServer(t)
  const alice: UserInfo = { name: 'alice', groups: [] }
  const refused = await call('GET', CONFIGMAPS, undefined, { user: alice })
  assert.equal(
    refused.body.message,
    'configmaps is forbidden: User "alice" cannot list resource "configmaps" in API group "" in the namespace "default"',
  )
  const binding = {
    metadata: { name: 'view' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
    subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'alice' }],
  }
  await call('POST', '/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings', binding)
  assert.equal((await call('GET', CONFIGMAPS, undefined, { user: alice })).status, 200)
  assert.equal((await call('GET', '/api/v1/configmaps', undefined, { user: alice })).status, 403)
  assert.equal((await call('POST', CONFIGMAPS, { metadata: { name: 'x' } }, { user: alice })).status, 403)
  const asked = await call(
    'POST',
    '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
    { spec: { resourceAttributes: { verb: 'list', resource: 'pods', namespace: 'default' } } },
    { user: alice },
  )
  assert.deepEqual([asked.status, asked.body.status.allowed], [201, true])
  const asTable = { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } }
  assert.equal((await call('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', asked.body, asTable)).status, 406)
  const as = await call('GET', CONFIGMAPS, undefined, { user: alice, headers: { 'impersonate-user': 'bob' } })
  assert.equal(
    as.body.message,
    'configmaps is forbidden: User "alice" cannot impersonate-on:user-info:list resource "configmaps" in API group "" in the namespace "default"',
  )
})

test('binds a pod once, scales a deployment, keeps status and spec apart', async (t) => {
  const { call } = await startServer(t)
  const pods = '/api/v1/namespaces/default/pods'
  await call('POST', pods, { metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'i' }] }, status: { phase: 'Running' } })
  const binding = { metadata: { name: 'p' }, target: { kind: 'Node', name: 'n1' } }
  assert.equal((await call('POST', `${pods}/p/binding`, binding)).status, 201)
  const bound = await call('GET', `${pods}/p`)
  assert.equal(bound.body.spec.nodeName, 'n1')
  assert.equal(bound.body.metadata?.generation, 1)
  assert.equal(bound.body.status.phase, undefined)
  assert.equal(
    (await call('POST', `${pods}/p/binding`, binding)).body.message,
    'Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n1"',
  )
  assert.equal((await call('GET', '/api/v1/pods?fieldSelector=metadata.name%3Dp')).body.items.length, 1)
  const deployments = '/apis/apps/v1/namespaces/default/deployments'
  const template = { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } }
  const made = await call('POST', deployments, {
    metadata: { name: 'd' },
    spec: { replicas: 1, selector: { matchLabels: { a: 'b' } }, template },
  })
  assert.equal(made.body.metadata?.generation, 1)
  const scaled = await call(
    'PATCH',
    `${deployments}/d/scale`,
    { spec: { replicas: 3 } },
    { headers: { 'content-type': 'application/merge-patch+json' } },
  )
  assert.deepEqual([scaled.body.kind, scaled.body.spec.replicas], ['Scale', 3])
  const status = await call('PUT', `${deployments}/d/status`, {
    ...made.body,
    metadata: { name: 'd' },
    spec: { replicas: 9 },
    status: { replicas: 2 },
  })
  assert.deepEqual([status.body.spec.replicas, status.body.status.replicas, status.body.metadata?.generation], [3, 2, 2])
})

test('lives on after an error of its own', async (t) => {
  const broken = defineResource({
    group: '',
    version: 'v1',
    kind: 'ConfigMap',
    validate() {
      throw new RangeError('boom')
    },
  })
  const { call, server } = await startServer(t, { resources: [broken] })
  const failed = await call('POST', CONFIGMAPS, { metadata: { name: 'a' } })
  assert.deepEqual([failed.status, failed.body.message], [500, 'Internal error occurred: boom'])
  assert.equal((await call('GET', '/readyz?verbose')).status, 200)
  assert.match(
    server.metrics.text(),
    /apiserver_request_total\{code="500",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="POST",version="v1"\} 1/,
  )
})

test('nobody gives away rights that they do not have', async (t) => {
  const { call } = await startServer(t)
  const rbac = '/apis/rbac.authorization.k8s.io/v1'
  const subjects = [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'alice' }]
  await call('POST', `${rbac}/namespaces/default/rolebindings`, {
    metadata: { name: 'a' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'admin' },
    subjects,
  })
  const alice: UserInfo = { name: 'alice', groups: [] }
  assert.equal((await call('POST', `${rbac}/namespaces/default/roles`, role(['pods']), { user: alice })).status, 201)
  const refused = await call('POST', `${rbac}/namespaces/default/roles`, role(['nodes']), { user: alice })
  assert.equal(
    refused.body.message,
    'roles.rbac.authorization.k8s.io "r-nodes" is forbidden: user "alice" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["nodes"], Verbs:["get", "list"]}',
  )
})

test('a node sees what its pods use and nothing else', async (t) => {
  const pods = defineResource({
    group: '',
    version: 'v1',
    kind: 'Pod',
    fieldSelectors: { 'spec.nodeName': (pod) => pod.spec?.nodeName ?? '' },
  })
  const { call } = await startServer(t, { resources: [pods] })
  const node: UserInfo = { name: 'system:node:n1', groups: ['system:nodes'] }
  const secrets = '/api/v1/namespaces/default/secrets'
  for (const name of ['used', 'other']) await call('POST', secrets, { metadata: { name } })
  const spec = { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }], volumes: [{ name: 'v', secret: { secretName: 'used' } }] }
  await call('POST', '/api/v1/namespaces/default/pods', { metadata: { name: 'p' }, spec })
  assert.equal((await call('GET', `${secrets}/used`, undefined, { user: node })).status, 200)
  const other = await call('GET', `${secrets}/other`, undefined, { user: node })
  assert.match(other.body.message, /in the namespace "default": no relationship found between node 'n1' and this object$/)
  assert.equal((await call('GET', '/api/v1/pods?fieldSelector=spec.nodeName%3Dn1', undefined, { user: node })).status, 200)
  assert.equal((await call('GET', '/api/v1/pods', undefined, { user: node })).status, 403)
  assert.equal((await call('GET', '/api/v1/nodes/n2', undefined, { user: node })).status, 403)
  assert.equal((await call('GET', '/api/v1/services', undefined, { user: node })).status, 200)
})
