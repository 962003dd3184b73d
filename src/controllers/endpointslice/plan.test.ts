import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod, Service } from '../../api/generated/core/v1.ts'
import type { EndpointSlice } from '../../api/generated/discovery/v1.ts'
import { planEndpoints } from '../endpoints/plan.ts'
import { planEndpointSlices } from './plan.ts'

const service = (spec: Partial<NonNullable<Service['spec']>> = {}): Service => ({
  metadata: { namespace: 'n', name: 's', uid: 's-uid', labels: { team: 'x' } },
  spec: { clusterIP: '10.96.0.1', selector: { app: 'a' }, ports: [{ port: 80, targetPort: 'http' }], ...spec },
})

function pod(index: number, { ready = true, terminating = false, port = 8080, phase = 'Running' } = {}): Pod {
  return {
    metadata: {
      namespace: 'n',
      name: `p${index}`,
      uid: `u${index}`,
      ...(terminating ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    spec: { nodeName: 'node', containers: [{ name: 'c', ...(port ? { ports: [{ name: 'http', containerPort: port }] } : {}) }] },
    status: {
      phase,
      podIP: `10.0.${Math.floor(index / 250)}.${index % 250}`,
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  }
}

const pods = (count: number) => Array.from({ length: count }, (_, index) => pod(index))
const plan = (object: Service, list: readonly Pod[], existing: readonly EndpointSlice[] = []) =>
  planEndpointSlices({ service: object, pods: list, existing, nodeOf: () => undefined })
const named = (slices: readonly EndpointSlice[]): EndpointSlice[] =>
  slices.map((slice, index) => ({ ...slice, metadata: { ...slice.metadata, name: `s-${index}` } }))

test('endpoints tell readiness, their node and their pod; slices are found by labels', () => {
  const [slice] = plan(service(), [pod(1)]).create
  assert.deepEqual(slice?.endpoints, [
    {
      addresses: ['10.0.0.1'],
      conditions: { ready: true, serving: true, terminating: false },
      targetRef: { kind: 'Pod', namespace: 'n', name: 'p1', uid: 'u1' },
      nodeName: 'node',
    },
  ])
  assert.deepEqual(slice?.ports, [{ name: '', port: 8080, protocol: 'TCP' }])
  assert.deepEqual(slice?.metadata?.labels, {
    team: 'x',
    'kubernetes.io/service-name': 's',
    'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
  })
})

test('conditions of pods that are not ready or are going', () => {
  const rows: readonly [string, Service, Pod, object | undefined][] = [
    ['not ready', service(), pod(1, { ready: false }), { ready: false, serving: false, terminating: false }],
    [
      'not ready, published all the same',
      service({ publishNotReadyAddresses: true }),
      pod(1, { ready: false }),
      { ready: true, serving: false, terminating: false },
    ],
    ['terminating', service(), pod(1, { terminating: true }), { ready: false, serving: true, terminating: true }],
    ['ended', service(), pod(1, { phase: 'Succeeded' }), undefined],
  ]
  for (const [name, object, one, expected] of rows)
    assert.deepEqual(plan(object, [one]).create[0]?.endpoints?.[0]?.conditions, expected, name)
})

test('slices hold a hundred endpoints; a change of one pod changes one slice', () => {
  const created = plan(service(), pods(250)).create
  assert.deepEqual(
    created.map((slice) => slice.endpoints?.length),
    [100, 100, 50],
  )
  const existing = named(created)
  const same = plan(service(), pods(250), existing)
  assert.deepEqual([same.create.length, same.update.length, same.delete.length], [0, 0, 0])
  const without = plan(
    service(),
    pods(250).filter((_, index) => index !== 3),
    existing,
  )
  assert.deepEqual([without.create.length, without.update.map((slice) => slice.metadata?.name), without.delete.length], [0, ['s-0'], 0])
  const more = plan(service(), pods(251), existing)
  assert.deepEqual(
    more.update.map((slice) => [slice.metadata?.name, slice.endpoints?.length]),
    [['s-2', 51]],
  )
  const fewer = plan(service(), pods(100), existing)
  assert.deepEqual(
    fewer.delete.map((slice) => slice.metadata?.name),
    ['s-1', 's-2'],
  )
})

test('pods with other ports get a slice of their own; a headless service is marked and needs no ports', () => {
  assert.deepEqual(
    plan(service(), [pod(1), pod(2, { port: 9090 })]).create.map((slice) => slice.ports?.[0]?.port),
    [8080, 9090],
  )
  const [headless] = plan(service({ clusterIP: 'None', ports: [] }), [pod(1)]).create
  assert.equal(headless?.metadata?.labels?.['service.kubernetes.io/headless'], '')
  assert.deepEqual([headless?.ports, headless?.endpoints?.length], [[], 1])
})

test('a service that selects nobody keeps one empty slice', () => {
  const first = plan(service(), [])
  assert.equal(first.create.length, 1)
  const again = plan(service(), [], named(first.create))
  assert.deepEqual([again.create.length, again.update.length, again.delete.length], [0, 0, 0])
})

test('Endpoints hold ready and unready addresses apart, and say when they hold not all', () => {
  const made = planEndpoints(service(), [pod(2), pod(1), pod(3, { ready: false }), pod(4, { terminating: true })], undefined)
  assert.deepEqual(
    made?.subsets?.[0]?.addresses?.map((address) => address.ip),
    ['10.0.0.1', '10.0.0.2'],
  )
  assert.deepEqual(
    made?.subsets?.[0]?.notReadyAddresses?.map((address) => address.ip),
    ['10.0.0.3'],
  )
  assert.equal(planEndpoints(service(), [pod(1), pod(2), pod(3, { ready: false })], made), undefined, 'the order of pods changes nothing')
  const many = planEndpoints(service(), pods(1100), undefined)
  assert.equal(many?.subsets?.[0]?.addresses?.length, 1000)
  assert.equal(many?.metadata?.annotations?.['endpoints.kubernetes.io/over-capacity'], 'truncated')
})

test('traffic that is to stay near gets hints, of ready endpoints only', () => {
  const hints = (trafficDistribution: string | undefined, ready = true) => {
    const object = service(trafficDistribution === undefined ? {} : { trafficDistribution })
    const nodeOf = (name: string) => ({ metadata: { name, labels: { 'topology.kubernetes.io/zone': 'z' } } })
    const { create } = planEndpointSlices({ service: object, pods: [pod(1, { ready })], existing: [], nodeOf })
    return create[0]?.endpoints?.[0]?.hints
  }
  assert.equal(hints(undefined), undefined)
  assert.deepEqual(hints('PreferClose'), { forZones: [{ name: 'z' }] })
  assert.deepEqual(hints('PreferSameZone'), { forZones: [{ name: 'z' }] })
  assert.deepEqual(hints('PreferSameNode'), { forZones: [{ name: 'z' }], forNodes: [{ name: 'node' }] })
  assert.equal(hints('PreferSameNode', false), undefined)
})
