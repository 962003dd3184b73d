/** Pods whose claims decide where they may run. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../base/random.ts'
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '../api/generated/core/v1.ts'
import type { StorageClass } from '../api/generated/storage/v1.ts'
import { emptyView } from './cluster-view.ts'
import type { ClusterView } from './cluster-view.ts'
import { makeNode, makePod, makeSnapshot } from './objects.test-support.ts'
import { podInfoOf } from './pod-info.ts'
import { createDefaultProfile } from './profile.ts'
import { scheduleOne } from './schedule-one.ts'

interface Storage {
  readonly claims?: readonly PersistentVolumeClaim[]
  readonly volumes?: readonly PersistentVolume[]
  readonly classes?: readonly StorageClass[]
}

const viewOf = ({ claims = [], volumes = [], classes = [] }: Storage): ClusterView => ({
  ...emptyView,
  claim: (namespace, name) => claims.find(({ metadata }) => metadata?.name === name && metadata.namespace === namespace),
  volume: (name) => volumes.find(({ metadata }) => metadata?.name === name),
  volumes: () => volumes,
  storageClass: (name) => classes.find(({ metadata }) => metadata?.name === name),
})

const claim = (name: string, more: Partial<PersistentVolumeClaim> = {}): PersistentVolumeClaim => ({
  metadata: { name, namespace: 'default', uid: `claim-${name}`, ...more.metadata },
  spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'late', resources: { requests: { storage: '1Gi' } }, ...more.spec },
  ...(more.status ? { status: more.status } : {}),
})

const boundClaim = (name: string, volumeName: string, accessMode = 'ReadWriteOnce'): PersistentVolumeClaim =>
  claim(name, {
    metadata: { name, namespace: 'default', uid: `claim-${name}`, annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } },
    spec: { accessModes: [accessMode], volumeName },
  })

const volume = (name: string, zone: string | undefined, more: Partial<NonNullable<PersistentVolume['spec']>> = {}): PersistentVolume => ({
  metadata: { name },
  spec: {
    capacity: { storage: '10Gi' },
    accessModes: ['ReadWriteOnce'],
    storageClassName: 'late',
    ...(zone
      ? { nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'zone', operator: 'In', values: [zone] }] }] } } }
      : {}),
    ...more,
  },
  status: { phase: 'Available' },
})

const late: StorageClass = {
  metadata: { name: 'late' },
  provisioner: 'kubernetes.io/no-provisioner',
  volumeBindingMode: 'WaitForFirstConsumer',
}
const provisioned: StorageClass = { ...late, provisioner: 'example.com/disk' }

const podWith = (...names: readonly string[]): Pod =>
  makePod('p', { spec: { volumes: names.map((claimName, i) => ({ name: `v${i}`, persistentVolumeClaim: { claimName } })) } })

const nodes = [makeNode('a1', { labels: { zone: 'a' } }), makeNode('b1', { labels: { zone: 'b' } })]

function outcome(pod: Pod, storage: Storage, placed: readonly (readonly [Pod, string])[] = []): string {
  const decision = scheduleOne(makeSnapshot(nodes, placed, viewOf(storage)), podInfoOf(pod), createDefaultProfile(), seededRandom(1))
  return decision.kind === 'node' ? decision.nodeName : decision.message
}

const cases: readonly (readonly [name: string, pod: Pod, storage: Storage, want: string])[] = [
  ['a claim that is not there', podWith('c'), {}, '0/2 nodes are available: persistentvolumeclaim "c" not found.'],
  [
    'a claim that must be bound first',
    podWith('c'),
    { claims: [claim('c')] },
    '0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.',
  ],
  [
    'a lost claim',
    podWith('c'),
    { claims: [claim('c', { spec: { volumeName: 'v' }, status: { phase: 'Lost' } })] },
    '0/2 nodes are available: persistentvolumeclaim "c" bound to non-existent persistentvolume "v".',
  ],
  ['a bound claim goes where its volume is', podWith('c'), { claims: [boundClaim('c', 'v')], volumes: [volume('v', 'b')] }, 'b1'],
  [
    'a bound claim whose volume is nowhere near',
    podWith('c'),
    { claims: [boundClaim('c', 'v')], volumes: [volume('v', 'z')] },
    "0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity.",
  ],
  [
    'a bound claim without its volume',
    podWith('c'),
    { claims: [boundClaim('c', 'v')] },
    '0/2 nodes are available: persistentvolume "v" not found.',
  ],
  ['a late claim finds a volume', podWith('c'), { claims: [claim('c')], volumes: [volume('v', 'a')], classes: [late] }, 'a1'],
  [
    'a late claim finds none large enough',
    podWith('c'),
    { claims: [claim('c')], volumes: [volume('v', 'a', { capacity: { storage: '500Mi' } })], classes: [late] },
    "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.",
  ],
  [
    'two late claims need two volumes',
    podWith('c', 'd'),
    { claims: [claim('c'), claim('d')], volumes: [volume('v', 'a'), volume('w', 'b'), volume('x', 'b')], classes: [late] },
    'b1',
  ],
  [
    'a late claim is left to the provisioner',
    podWith('c'),
    {
      claims: [claim('c')],
      classes: [{ ...provisioned, allowedTopologies: [{ matchLabelExpressions: [{ key: 'zone', values: ['b'] }] }] }],
    },
    'b1',
  ],
  [
    'a late claim that has a node keeps it',
    podWith('c'),
    {
      claims: [claim('c', { metadata: { name: 'c', namespace: 'default', annotations: { 'volume.kubernetes.io/selected-node': 'a1' } } })],
      classes: [provisioned],
    },
    'a1',
  ],
  [
    'a volume that is another claim’s',
    podWith('c'),
    { claims: [claim('c')], volumes: [volume('v', 'a', { claimRef: { namespace: 'default', name: 'd' } })], classes: [late] },
    "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.",
  ],
  [
    'an ephemeral volume before its claim is made',
    makePod('p', { spec: { volumes: [{ name: 'scratch', ephemeral: {} }] } }),
    {},
    '0/2 nodes are available: waiting for ephemeral volume controller to create the persistentvolumeclaim "p-scratch".',
  ],
]

for (const [name, pod, storage, want] of cases) {
  test(`claims: ${name}`, () => {
    const got = outcome(pod, storage)
    const ends = ['', ' not found'].map((end) => want + end)
    assert.ok(ends.includes(got) || got.startsWith(`${want} no new claims to deallocate, preemption:`), got)
  })
}

test('a ReadWriteOncePod claim serves one pod in the cluster', () => {
  const storage = { claims: [boundClaim('c', 'v', 'ReadWriteOncePod')], volumes: [volume('v', undefined)] }
  assert.match(outcome(podWith('c'), storage), /^[ab]1$/)
  assert.match(
    outcome(podWith('c'), storage, [[podWith('c'), 'a1']]),
    /2 node\(s\) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod/,
  )
})
