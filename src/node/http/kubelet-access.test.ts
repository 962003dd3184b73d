import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import { silentLog } from '../../base/log.ts'
import { seededRandom } from '../../base/random.ts'
import { Cluster } from '../../cluster/cluster.ts'
import type { Client } from '../../client/client.ts'
import { createVirtualClock } from '../../simulation/virtual-clock.ts'
import { createKubeletAccess, subresourcesOf } from './kubelet-access.ts'

const clock = createVirtualClock()
const runtime = { clock, random: seededRandom(1), log: silentLog }

interface Asking {
  readonly certificate?: { readonly CN: string; readonly O?: string | readonly string[] }
  readonly token?: string
  readonly isTrusted?: boolean
}

const request = (method: string, url: string, { certificate, token, isTrusted = true }: Asking): IncomingMessage =>
  ({
    method,
    url,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    socket: { authorized: certificate !== undefined && isTrusted, getPeerCertificate: () => ({ subject: certificate }) },
  }) as unknown as IncomingMessage

test('paths and the rights on nodes that they need', () => {
  for (const [path, ...subresources] of [
    ['/metrics', 'metrics'],
    ['/metrics/cadvisor', 'metrics'],
    ['/metricsx', 'proxy'],
    ['/stats/summary', 'stats'],
    ['/logs/', 'log'],
    ['/pods', 'pods', 'proxy'],
    ['/healthz', 'healthz', 'proxy'],
    ['/exec/ns/p/c', 'proxy'],
    ['/', 'proxy'],
  ] as const) {
    assert.deepEqual(subresourcesOf(path), subresources, path)
  }
})

test('who has a right on the node is let in to that, who has none is told which', async () => {
  await using cluster = await Cluster.start({ nodes: 0 })
  await cluster.client.create('rbac.authorization.k8s.io/v1/ClusterRole', {
    metadata: { name: 'meter' },
    rules: [{ apiGroups: [''], resources: ['nodes/metrics', 'nodes/pods'], verbs: ['get'] }],
  })
  await cluster.client.create('rbac.authorization.k8s.io/v1/ClusterRoleBinding', {
    metadata: { name: 'meter' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'meter' },
    subjects: [{ kind: 'Group', apiGroup: 'rbac.authorization.k8s.io', name: 'meters' }],
  })
  const access = createKubeletAccess(runtime, { nodeName: 'n', clients: [], client: cluster.client })
  const as = (method: string, path: string, O: string | readonly string[] = 'meters') =>
    access.refusalOf(request(method, path, { certificate: { CN: 'meter', O } }))
  assert.equal(await as('GET', '/metrics/cadvisor'), undefined)
  assert.equal(await as('GET', '/pods'), undefined)
  assert.equal(await as('GET', '/pods', ['x', 'meters']), undefined)
  assert.equal((await as('GET', '/pods', 'others'))?.code, 403)
  assert.equal((await as('POST', '/metrics'))?.code, 403)
  assert.equal((await as('HEAD', '/metrics'))?.text, 'Forbidden (user=meter, verb=, resource=nodes, subresource(s)=[metrics])\n')
  assert.equal((await as('POST', '/exec/a/b/c'))?.text, 'Forbidden (user=meter, verb=create, resource=nodes, subresource(s)=[proxy])\n')
})

/** A client that answers reviews, and counts them. */
function reviewer(answers: { readonly user?: string; readonly allowed?: readonly string[] } | Error) {
  let asked = 0
  const client = {
    async create(kind: string, review: { readonly spec: { readonly resourceAttributes?: { readonly subresource: string } } }) {
      asked++
      if (answers instanceof Error) throw answers
      if (kind.endsWith('TokenReview'))
        return { status: answers.user === undefined ? { error: 'x' } : { authenticated: true, user: { username: answers.user } } }
      return { status: { allowed: answers.allowed?.includes(review.spec.resourceAttributes!.subresource) ?? false } }
    },
  } as unknown as Client
  return { client, asked: () => asked }
}

test('answers count for a while; nobody is let in while nobody answers', async () => {
  const { client, asked } = reviewer({ user: 'meter', allowed: ['metrics'] })
  const access = createKubeletAccess(runtime, { nodeName: 'n', clients: ['server'], client })
  const metrics = () => access.refusalOf(request('GET', '/metrics', { token: 't' }))
  assert.equal(await metrics(), undefined)
  assert.equal(asked(), 2)
  await metrics()
  assert.equal(asked(), 2)
  assert.deepEqual(await access.refusalOf(request('GET', '/pods?x=1', { token: 't' })), {
    code: 403,
    text: 'Forbidden (user=meter, verb=get, resource=nodes, subresource(s)=[pods proxy])\n',
  })
  assert.equal((await access.refusalOf(request('GET', '/metrics', {})))?.code, 401)
  assert.equal((await access.refusalOf(request('GET', '/metrics', { certificate: { CN: 'server' }, isTrusted: false })))?.code, 401)
  assert.equal(await access.refusalOf(request('POST', '/exec/a/b/c', { certificate: { CN: 'server' } })), undefined)
  assert.equal((await access.refusalOf(request('POST', '/exec/a/b/c', { certificate: { CN: 'other' } })))?.code, 403)
  const unknown = createKubeletAccess(runtime, { nodeName: 'n', clients: ['server'], client: reviewer({}).client })
  assert.equal((await unknown.refusalOf(request('GET', '/metrics', { token: 't' })))?.code, 401)
  // A name in a token is no certificate.
  const named = createKubeletAccess(runtime, { nodeName: 'n', clients: ['server'], client: reviewer({ user: 'server' }).client })
  assert.equal((await named.refusalOf(request('GET', '/metrics', { token: 't' })))?.code, 403)
  const silent = createKubeletAccess(runtime, { nodeName: 'n', clients: ['server'], client: reviewer(new Error('down')).client })
  assert.equal((await silent.refusalOf(request('GET', '/metrics', { token: 't' })))?.code, 500)
  assert.equal(await silent.refusalOf(request('GET', '/metrics', { certificate: { CN: 'server' } })), undefined)
})
