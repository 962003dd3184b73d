import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node } from '../../api/generated/core/v1.ts'
import type {
  AllocationResult,
  Device,
  DeviceClass,
  DeviceClaim,
  ExactDeviceRequest,
  ResourceClaim,
  ResourceSlice,
} from '../../api/generated/resource/v1.ts'
import { allocateDevices, AllocationError } from './device-allocator.ts'
import type { AllocatedState } from './device-allocator.ts'
import { groupSlices, poolsOf } from './device-pools.ts'

const node: Node = { metadata: { name: 'n1', labels: { rack: 'a' } } }
const classes: Readonly<Record<string, DeviceClass>> = {
  gpu: {
    metadata: { name: 'gpu' },
    spec: {
      selectors: [{ cel: { expression: 'device.driver == "gpu.example.com"' } }],
      config: [{ opaque: { driver: 'gpu.example.com', parameters: { mode: 'fast' } } }],
    },
  },
}
const slice = (devices: readonly Device[], spec: Partial<ResourceSlice['spec']> = {}, name = 's1'): ResourceSlice => ({
  metadata: { name },
  spec: { driver: 'gpu.example.com', pool: { name: 'p', generation: 1, resourceSliceCount: 1 }, nodeName: 'n1', devices, ...spec },
})
const gpus: readonly Device[] = [
  { name: 'a', attributes: { model: { string: 'small' }, cores: { int: 4 }, numa: { int: 0 } }, capacity: { memory: { value: '8Gi' } } },
  {
    name: 'b',
    attributes: { model: { string: 'large' }, cores: { int: 16 }, numa: { int: 1 }, firmware: { version: '2.1.0' } },
    capacity: { memory: { value: '40Gi' } },
  },
  { name: 'c', attributes: { model: { string: 'large' }, cores: { int: 16 }, numa: { int: 1 } }, capacity: { memory: { value: '40Gi' } } },
]
const claim = (devices: DeviceClaim, name = 'c'): ResourceClaim => ({ metadata: { name, namespace: 'ns', uid: name }, spec: { devices } })
const exactly = (more: Partial<ExactDeviceRequest> = {}): ExactDeviceRequest => ({
  deviceClassName: 'gpu',
  allocationMode: 'ExactCount',
  count: 1,
  ...more,
})
const select = (expression: string, more: Partial<ExactDeviceRequest> = {}): DeviceClaim => ({
  requests: [{ name: 'r', exactly: exactly({ selectors: [{ cel: { expression } }], ...more }) }],
})
const nothing: AllocatedState = { devices: new Set(), shared: new Map() }

function allocate(claims: readonly ResourceClaim[], slices: readonly ResourceSlice[] = [slice(gpus)], state = nothing) {
  return allocateDevices(claims, node, poolsOf(groupSlices(slices), node), { state, classOf: (name) => classes[name] })
}
const names = (results: readonly AllocationResult[] | undefined) =>
  results?.map(({ devices }) => devices?.results?.map(({ request, device }) => `${request}=${device}`).join(' '))

const cases: readonly (readonly [name: string, claim: DeviceClaim, want: string | undefined])[] = [
  ['the first that fits', { requests: [{ name: 'r', exactly: exactly() }] }, 'r=a'],
  ['by an attribute', select('device.attributes["gpu.example.com"].model == "large"'), 'r=b'],
  ['by a number', select('device.attributes["gpu.example.com"].cores > 8'), 'r=b'],
  ['by a capacity', select('device.capacity["gpu.example.com"].memory.compareTo(quantity("10Gi")) > 0'), 'r=b'],
  [
    'by a version that not all have',
    select(
      '"firmware" in device.attributes["gpu.example.com"] && device.attributes["gpu.example.com"].firmware.isGreaterThan(semver("2.0.0"))',
    ),
    'r=b',
  ],
  ['by a domain that none has', select('"x" in device.attributes["other.example.com"]'), undefined],
  ['two of them', select('device.attributes["gpu.example.com"].cores > 8', { count: 2 }), 'r=b r=c'],
  ['more than there are', { requests: [{ name: 'r', exactly: exactly({ count: 4 }) }] }, undefined],
  ['all', { requests: [{ name: 'r', exactly: exactly({ allocationMode: 'All' }) }] }, 'r=a r=b r=c'],
  [
    'going back to meet a constraint',
    {
      requests: [
        { name: 'x', exactly: exactly() },
        { name: 'y', exactly: exactly() },
      ],
      constraints: [{ matchAttribute: 'gpu.example.com/numa' }],
    },
    'x=b y=c',
  ],
  [
    'different ones',
    { requests: [{ name: 'r', exactly: exactly({ count: 2 }) }], constraints: [{ distinctAttribute: 'gpu.example.com/numa' }] },
    'r=a r=b',
  ],
  [
    'the first alternative that can be met',
    {
      requests: [
        {
          name: 'r',
          firstAvailable: [
            {
              name: 'huge',
              deviceClassName: 'gpu',
              allocationMode: 'ExactCount',
              count: 1,
              selectors: [{ cel: { expression: 'device.attributes["gpu.example.com"].cores > 99' } }],
            },
            { name: 'any', deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 1 },
          ],
        },
      ],
    },
    'r/any=a',
  ],
]
for (const [name, devices, want] of cases)
  test(`devices: ${name}`, () => assert.deepEqual(names(allocate([claim(devices)])), want === undefined ? undefined : [want]))

test('devices in use, tainted, elsewhere or of a pool that is being changed are not to be had', () => {
  const any = claim({ requests: [{ name: 'r', exactly: exactly() }] })
  assert.deepEqual(names(allocate([any], undefined, { devices: new Set(['gpu.example.com/p/a']), shared: new Map() })), ['r=b'])
  const tainted = [{ ...gpus[0]!, taints: [{ key: 'broken', effect: 'NoSchedule' }] }, gpus[1]!]
  assert.deepEqual(names(allocate([any], [slice(tainted)])), ['r=b'])
  const tolerant = claim({ requests: [{ name: 'r', exactly: exactly({ tolerations: [{ key: 'broken', operator: 'Exists' }] }) }] })
  assert.deepEqual(names(allocate([tolerant], [slice(tainted)])), ['r=a'])
  assert.equal(allocate([any], [slice(gpus, { nodeName: 'n2' })]), undefined)
  assert.equal(allocate([any], [slice(gpus, { pool: { name: 'p', generation: 1, resourceSliceCount: 2 } })]), undefined)
})

test('an administrator gets what others use, and takes it from nobody', () => {
  const watch = claim({ requests: [{ name: 'r', exactly: exactly({ adminAccess: true }) }] })
  const used = { devices: new Set(['gpu.example.com/p/a']), shared: new Map() }
  const [result] = allocate([watch], undefined, used)!
  assert.equal(result?.devices?.results?.[0]?.device, 'a')
  assert.equal(result?.devices?.results?.[0]?.adminAccess, true)
})

test('results name the node, the configuration of class and claim', () => {
  const wanted = claim({
    requests: [{ name: 'r', exactly: exactly() }],
    config: [
      { requests: ['r'], opaque: { driver: 'gpu.example.com', parameters: { a: 1 } } },
      { requests: ['other'], opaque: { driver: 'x', parameters: {} } },
    ],
  })
  const [result] = allocate([wanted])!
  assert.deepEqual(result?.nodeSelector, {
    nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] }],
  })
  assert.deepEqual(
    result?.devices?.config?.map(({ source, requests }) => [source, requests]),
    [
      ['FromClass', ['r']],
      ['FromClaim', ['r']],
    ],
  )
  const shared = slice(gpus, {
    nodeSelector: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'rack', operator: 'In', values: ['a'] }] }] },
  })
  const { nodeName: _nodeName, ...spec } = shared.spec
  const [near] = allocate([wanted], [{ ...shared, spec }])!
  assert.deepEqual(near?.nodeSelector, spec.nodeSelector)
})

test('partitions of a device use up its counters', () => {
  const counters = slice(
    [],
    {
      sharedCounters: [{ name: 'gpu0', counters: { memory: { value: '40Gi' } } }],
      pool: { name: 'p', generation: 1, resourceSliceCount: 2 },
    },
    's0',
  )
  const part = (name: string, value: string): Device => ({
    name,
    consumesCounters: [{ counterSet: 'gpu0', counters: { memory: { value } } }],
  })
  const parts = slice([part('half-1', '20Gi'), part('half-2', '20Gi'), part('whole', '40Gi')], {
    pool: { name: 'p', generation: 1, resourceSliceCount: 2 },
  })
  const any = (name: string) => claim({ requests: [{ name: 'r', exactly: exactly() }] }, name)
  assert.deepEqual(names(allocate([any('x'), any('y')], [counters, parts])), ['r=half-1', 'r=half-2'])
  assert.equal(allocate([any('x'), any('y'), any('z')], [counters, parts]), undefined)
  const used = { devices: new Set(['gpu.example.com/p/whole']), shared: new Map() }
  assert.equal(allocate([any('x')], [counters, parts], used), undefined)
})

test('shares of a device use up its capacity', () => {
  const nic: Device = {
    name: 'nic',
    allowMultipleAllocations: true,
    capacity: { bandwidth: { value: '10G', requestPolicy: { default: '1G', validRange: { min: '1G', step: '1G' } } } },
  }
  const wanting = (bandwidth: string | undefined, name: string) =>
    claim({ requests: [{ name: 'r', exactly: exactly(bandwidth ? { capacity: { requests: { bandwidth } } } : {}) }] }, name)
  const results = allocate([wanting('4500M', 'x'), wanting(undefined, 'y')], [slice([nic])])!
  assert.deepEqual(
    results.map(({ devices }) => devices?.results?.[0]?.consumedCapacity),
    [{ bandwidth: '5G' }, { bandwidth: '1G' }],
  )
  assert.equal(allocate([wanting('6G', 'x'), wanting('5G', 'y')], [slice([nic])]), undefined)
  const used = {
    devices: new Set<string>(),
    shared: new Map([['gpu.example.com/p/nic', new Map([['bandwidth', 9_500_000_000n * 1_000_000_000n]])]]),
  }
  assert.equal(allocate([wanting('1G', 'x')], [slice([nic])], used), undefined)
})

test('what is wrong with a claim or a class is an error, not a node without devices', () => {
  assert.throws(() => allocate([claim(select('device.nothing'))]), AllocationError)
  assert.throws(
    () => allocate([claim(select('device.attributes["gpu.example.com"].firmware.isGreaterThan(semver("1.0.0"))'))]),
    /claim ns\/c: selector #0: CEL runtime error: no such key: firmware/,
  )
  assert.throws(
    () => allocate([claim({ requests: [{ name: 'r', exactly: exactly({ deviceClassName: 'none' }) }] })]),
    /could not retrieve device class none/,
  )
})
