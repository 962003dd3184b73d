import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoints } from '../../api/generated/core/v1.ts'
import { isMirrored, planMirror } from './plan.ts'

const endpoints = (subsets: Endpoints['subsets'], metadata: Endpoints['metadata'] = {}): Endpoints => ({
  metadata: { namespace: 'n', name: 'svc', uid: 'u', ...metadata },
  subsets: subsets ?? [],
})
const web = [{ port: 80 }]

test('a slice for each family and set of ports', () => {
  const plan = planMirror(
    endpoints(
      [
        { ports: web, addresses: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }], notReadyAddresses: [{ ip: '10.0.0.2', nodeName: 'a' }] },
        { ports: [{ name: 'tls', port: 443 }], addresses: [{ ip: '10.0.0.1' }, { ip: 'nonsense' }] },
      ],
      { labels: { a: 'b' }, annotations: { kept: '1', 'kubectl.kubernetes.io/last-applied-configuration': '{}' } },
    ),
    [],
  )
  assert.deepEqual(
    plan.create.map(({ addressType, ports, endpoints: list }) => [
      addressType,
      ports?.[0]?.port,
      list!.map(({ addresses, conditions }) => `${addresses[0]} ${conditions?.ready}`),
    ]),
    [
      ['IPv4', 80, ['10.0.0.1 true', '10.0.0.2 false']],
      ['IPv6', 80, ['fd00::1 true']],
      ['IPv4', 443, ['10.0.0.1 true']],
    ],
  )
  assert.deepEqual([plan.invalid, plan.skipped], [1, 1])
  assert.deepEqual(plan.create[0]?.metadata?.annotations, { kept: '1' })
  assert.deepEqual(plan.create[0]?.metadata?.labels, {
    a: 'b',
    'kubernetes.io/service-name': 'svc',
    'endpointslice.kubernetes.io/managed-by': 'endpointslicemirroring-controller.k8s.io',
  })
})

test('what is right stays, what differs is changed, what is left over is used again or goes', () => {
  const before = endpoints([{ ports: web, addresses: [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }] }])
  const [created] = planMirror(before, []).create
  const slice = { ...created!, metadata: { ...created!.metadata, name: 'svc-1' } }
  assert.deepEqual(planMirror(before, [{ ...slice, endpoints: slice.endpoints!.toReversed() }]), {
    create: [],
    update: [],
    delete: [],
    invalid: 0,
    skipped: 0,
  })

  const moved = planMirror(endpoints([{ ports: web, addresses: [{ ip: '10.0.0.9' }] }]), [slice])
  assert.deepEqual(
    moved.update.map(({ metadata, endpoints: list }) => [metadata?.name, list?.[0]?.addresses]),
    [['svc-1', ['10.0.0.9']]],
  )
  const reported = planMirror(endpoints([{ ports: [{ port: 81 }], addresses: [{ ip: '10.0.0.1' }] }]), [slice])
  assert.deepEqual(
    [reported.create.length, reported.update[0]?.metadata?.name, reported.update[0]?.ports?.[0]?.port, reported.delete.length],
    [0, 'svc-1', 81, 0],
  )
  assert.deepEqual(planMirror(endpoints([]), [slice]).delete, [slice])
})

test('no more than a thousand addresses of a subset', () => {
  const addresses = Array.from({ length: 1002 }, (_, i) => ({ ip: `10.0.${i >> 8}.${i & 255}` }))
  const plan = planMirror(endpoints([{ ports: web, addresses }]), [])
  assert.deepEqual([plan.create[0]?.endpoints?.length, plan.skipped], [1000, 2])
})

test('locks and what says so are not mirrored', () => {
  assert.ok(isMirrored(endpoints([])))
  assert.ok(!isMirrored(endpoints([], { labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } })))
  assert.ok(!isMirrored(endpoints([], { annotations: { 'control-plane.alpha.kubernetes.io/leader': '{}' } })))
})
