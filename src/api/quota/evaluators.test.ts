import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod, Service } from '../generated/core/v1.ts'
import type { KubeObject } from '../object.ts'
import { quotaEvaluatorOf, resourcesCountedBy } from './evaluators.ts'
import { missingDemands } from './pod-usage.ts'

const nowMs = Date.UTC(2026, 0, 1)
const usage = (resource: string, object: KubeObject, group = '') => quotaEvaluatorOf(group, resource)!.usage(object, nowMs)

const pod = (extra: Partial<Pod> = {}): Pod => ({
  spec: {
    containers: [
      {
        name: 'c',
        resources: {
          requests: { cpu: '100m', 'example.com/gpu': '2', 'hugepages-2Mi': '4Mi' },
          limits: { memory: '1Gi', 'example.com/gpu': '2' },
        },
      },
    ],
  },
  ...extra,
})

test('a pod uses what its containers ask for, under all names of it', () => {
  assert.deepEqual(usage('pods', pod()), {
    'count/pods': '1',
    pods: '1',
    cpu: '100m',
    'requests.cpu': '100m',
    'limits.memory': '1Gi',
    'requests.example.com/gpu': '2',
    'hugepages-2Mi': '4Mi',
    'requests.hugepages-2Mi': '4Mi',
  })
})

test('a pod that has ended, or should have, is only an object', () => {
  const gone = { deletionTimestamp: new Date(nowMs - 60_000).toISOString(), deletionGracePeriodSeconds: 30 }
  const going = { ...gone, deletionGracePeriodSeconds: 90 }
  assert.deepEqual(usage('pods', pod({ status: { phase: 'Succeeded' } })), { 'count/pods': '1' })
  assert.deepEqual(usage('pods', pod({ metadata: gone })), { 'count/pods': '1' })
  assert.equal(usage('pods', pod({ metadata: going }))['pods'], '1')
})

test('while it is resized the larger of what it asks for and what it has counts', () => {
  const resized = pod({
    status: { containerStatuses: [{ name: 'c', image: '', imageID: '', ready: true, restartCount: 0, allocatedResources: { cpu: '1' } }] },
  })
  assert.equal(usage('pods', resized)['cpu'], '1')
})

test('services, claims and other kinds', () => {
  const service = (spec: Service['spec']) => usage('services', { spec })
  const ports = [{ port: 80 }, { port: 443, nodePort: 30_000 }]
  assert.deepEqual(service({ type: 'ClusterIP', ports })['services.nodeports'], '0')
  assert.deepEqual(service({ type: 'NodePort', ports })['services.nodeports'], '2')
  assert.deepEqual(service({ type: 'LoadBalancer', ports, allocateLoadBalancerNodePorts: false }), {
    'count/services': '1',
    services: '1',
    'services.nodeports': '1',
    'services.loadbalancers': '1',
  })
  assert.deepEqual(usage('persistentvolumeclaims', { spec: { storageClassName: 'gold', resources: { requests: { storage: '1500m' } } } }), {
    persistentvolumeclaims: '1',
    'count/persistentvolumeclaims': '1',
    'requests.storage': '2',
    'gold.storageclass.storage.k8s.io/persistentvolumeclaims': '1',
    'gold.storageclass.storage.k8s.io/requests.storage': '2',
  })
  const requests = [
    { name: 'a', exactly: { deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 2 } },
    {
      name: 'b',
      firstAvailable: [
        { deviceClassName: 'gpu', allocationMode: 'All' },
        { deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 1 },
      ],
    },
  ]
  assert.equal(
    usage('resourceclaims', { spec: { devices: { requests } } }, 'resource.k8s.io')['gpu.deviceclass.resource.k8s.io/devices'],
    '34',
  )
  assert.deepEqual(usage('secrets', {}), { 'count/secrets': '1', secrets: '1' })
  assert.deepEqual(usage('widgets', {}, 'example.com'), { 'count/widgets.example.com': '1' })
  assert.equal(quotaEvaluatorOf('', 'events'), undefined)
})

test('which resources a name of a quota counts', () => {
  assert.deepEqual(
    resourcesCountedBy(['requests.cpu', 'count/widgets.example.com', 'gold.storageclass.storage.k8s.io/requests.storage', 'count/events']),
    ['pods', 'widgets.example.com', 'persistentvolumeclaims'],
  )
})

test('scopes', () => {
  const evaluator = quotaEvaluatorOf('', 'pods')!
  const rows: readonly [scope: string, operator: string, values: readonly string[], pod: Pod, expected: boolean][] = [
    ['Terminating', 'Exists', [], pod({ spec: { containers: [], activeDeadlineSeconds: 5 } }), true],
    ['NotTerminating', 'Exists', [], pod(), true],
    ['BestEffort', 'Exists', [], pod({ status: { qosClass: 'BestEffort' } }), true],
    ['NotBestEffort', 'Exists', [], pod({ status: { qosClass: 'BestEffort' } }), false],
    ['PriorityClass', 'In', ['high'], pod({ spec: { containers: [], priorityClassName: 'high' } }), true],
    ['PriorityClass', 'In', ['high'], pod(), false],
    ['PriorityClass', 'NotIn', ['high'], pod(), true],
    ['PriorityClass', 'DoesNotExist', [], pod(), true],
    ['PriorityClass', 'Exists', [], pod(), false],
    ['CrossNamespacePodAffinity', 'Exists', [], pod(), false],
  ]
  for (const [scopeName, operator, values, object, expected] of rows)
    assert.equal(evaluator.matchesScope(object, { scopeName, operator, values }), expected, `${scopeName} ${operator}`)
  const claim = { status: { currentVolumeAttributesClassName: 'silver' }, spec: { volumeAttributesClassName: 'gold' } }
  const claims = quotaEvaluatorOf('', 'persistentvolumeclaims')!
  assert.ok(claims.matchesScope(claim, { scopeName: 'VolumeAttributesClass', operator: 'In', values: ['silver'] }))
  assert.ok(!claims.matchesScope({}, { scopeName: 'VolumeAttributesClass', operator: 'Exists' }))
})

test('containers must say what cpu and memory they ask for once a quota limits it', () => {
  const spec = { containers: [{ name: 'b' }, { name: 'a' }], initContainers: [{ name: 'i', resources: { requests: { cpu: '1' } } }] }
  assert.equal(missingDemands({ spec }, ['cpu', 'limits.memory', 'pods']), 'must specify cpu for: a,b; limits.memory for: a,b,i')
  assert.equal(missingDemands({ spec: { ...spec, resources: { requests: { cpu: '1' } } } }, ['cpu']), undefined)
})
