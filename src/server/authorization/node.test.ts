import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from '../server.test-support.ts'
import type { Attributes, Verdict } from './authorizer.ts'

const BLANK = { isResource: true, path: '', group: '', version: 'v1', subresource: '', namespace: '', name: '' }
const container = { name: 'c', image: 'x' }

test('a node may read what its pods use, and nothing that it or a claim merely says so of', async (t) => {
  const server = await startServer(t)
  const create = async (path: string, object: object) => {
    const { status, body } = await server.call('POST', path, object)
    assert.ok(status === 201, JSON.stringify(body))
  }
  const pods = '/api/v1/namespaces/a/pods'
  await create(pods, {
    metadata: { name: 'p' },
    spec: {
      nodeName: 'n',
      serviceAccountName: 'robot',
      containers: [{ ...container, env: [{ name: 'E', valueFrom: { secretKeyRef: { name: 'of-env', key: 'k' } } }] }],
      volumes: [
        { name: 's', secret: { secretName: 'of-volume' } },
        { name: 'm', configMap: { name: 'map' } },
        { name: 'c', persistentVolumeClaim: { claimName: 'claim' } },
        { name: 't', persistentVolumeClaim: { claimName: 'thief' } },
      ],
    },
  })
  await create(pods, {
    metadata: { name: 'mirror', annotations: { 'kubernetes.io/config.mirror': 'x' } },
    spec: { nodeName: 'n', containers: [container], volumes: [{ name: 's', secret: { secretName: 'of-mirror' } }] },
  })
  await create(pods, {
    metadata: { name: 'elsewhere' },
    spec: { nodeName: 'm', containers: [container], volumes: [{ name: 's', secret: { secretName: 'of-other' } }] },
  })
  const claims = '/api/v1/namespaces/a/persistentvolumeclaims'
  await create(claims, { metadata: { name: 'claim' }, spec: { volumeName: 'volume' } })
  await create(claims, { metadata: { name: 'thief' }, spec: { volumeName: 'of-another' } })
  const csi = { driver: 'd', volumeHandle: 'h', nodeStageSecretRef: { namespace: 'storage', name: 'of-driver' } }
  const volume = (name: string, claim: string) =>
    create('/api/v1/persistentvolumes', { metadata: { name }, spec: { csi, claimRef: { namespace: 'a', name: claim } } })
  await volume('volume', 'claim')
  await volume('of-another', 'somebody-elses')

  const ask = (verb: string, resource: string, more: Partial<Attributes> = {}): Verdict =>
    server.server.core.authorizer.authorize({
      ...BLANK,
      user: { name: 'system:node:n', groups: ['system:nodes'] },
      verb,
      resource,
      ...more,
    }) as Verdict
  const no = "no relationship found between node 'n' and this object"
  const rows: readonly (readonly [string, string, Partial<Attributes>, true | string])[] = [
    ['get', 'secrets', { namespace: 'a', name: 'of-env' }, true],
    ['watch', 'secrets', { namespace: 'a', name: 'of-volume' }, true],
    ['get', 'secrets', { namespace: 'b', name: 'of-volume' }, no],
    ['get', 'secrets', { namespace: 'a', name: 'of-mirror' }, no],
    ['get', 'secrets', { namespace: 'a', name: 'of-other' }, no],
    ['get', 'secrets', { namespace: 'storage', name: 'of-driver' }, true],
    ['list', 'secrets', { namespace: 'a' }, 'No Object name found'],
    ['list', 'secrets', {}, 'can only read namespaced object of this type'],
    ['update', 'secrets', { namespace: 'a', name: 'of-env' }, 'can only read resources of this type'],
    ['get', 'configmaps', { namespace: 'a', name: 'map' }, true],
    ['get', 'persistentvolumes', { name: 'volume' }, true],
    ['get', 'persistentvolumes', { name: 'of-another' }, no],
    ['create', 'serviceaccounts', { namespace: 'a', name: 'robot', subresource: 'token' }, true],
    ['create', 'serviceaccounts', { namespace: 'a', name: 'default', subresource: 'token' }, no],
    ['get', 'pods', { namespace: 'a', name: 'mirror' }, true],
    ['list', 'pods', { fieldSelector: 'spec.nodeName=n' }, true],
    ['list', 'pods', { fieldSelector: 'spec.nodeName=m' }, 'can only list/watch pods with spec.nodeName field selector'],
    ['list', 'pods', { fieldSelector: 'spec.nodeName!=m' }, 'can only list/watch pods with spec.nodeName field selector'],
    ['list', 'pods', { fieldSelector: '\\' }, 'can only list/watch pods with spec.nodeName field selector'],
    ['get', 'nodes', { name: 'm' }, "node 'n' cannot read 'm', only its own Node object"],
    ['list', 'resourceslices', { group: 'resource.k8s.io', fieldSelector: 'spec.nodeName=n' }, true],
    [
      'delete',
      'podcertificaterequests',
      { group: 'certificates.k8s.io', namespace: 'a', name: 'x' },
      'nodes may not delete podcertificaterequests',
    ],
  ]
  for (const [verb, resource, more, told] of rows) {
    const verdict = ask(verb, resource, more)
    assert.deepEqual(
      verdict,
      told === true ? { isAllowed: true, reason: '' } : { isAllowed: false, reason: told },
      `${verb} ${resource} ${JSON.stringify(more)}`,
    )
  }
})
