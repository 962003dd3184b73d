import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Container, ContainerStatus, Pod } from '../api/generated/core/v1.ts'
import { parseImageName } from './image-name.ts'
import { phaseOf } from './pod-phase.ts'
import { podStatusPatch } from './pod-status.ts'
import { cpuQuota, cpuShares, oomScoreAdjust, qosClass } from './resources.ts'

/** "running", "waiting", "exited:1", "waiting:1" (after a run that ended with 1). */
function status(name: string, text: string): ContainerStatus {
  const [word, code] = text.split(':')
  const terminated = code === undefined ? undefined : { exitCode: Number(code) }
  const state = word === 'running' ? { running: {} } : word === 'waiting' ? { waiting: {} } : { terminated: terminated! }
  return {
    name,
    state,
    lastState: word === 'waiting' && terminated ? { terminated } : {},
    ready: false,
    started: word === 'running',
    restartCount: 0,
    image: '',
    imageID: '',
  }
}

const two = { containers: [{ name: 'a' }, { name: 'b' }] }
const init = { initContainers: [{ name: 'i' }], containers: [{ name: 'a' }] }
const sidecar = { initContainers: [{ name: 'i', restartPolicy: 'Always' }], containers: [{ name: 'a' }] }

for (const [spec, policy, statuses, phase] of [
  [two, 'Always', {}, 'Pending'],
  [two, 'Always', { a: 'running', b: 'waiting' }, 'Pending'],
  [two, 'Always', { a: 'running', b: 'running' }, 'Running'],
  [two, 'Always', { a: 'waiting:1', b: 'running' }, 'Running'],
  [two, 'Always', { a: 'exited:0', b: 'exited:0' }, 'Running'],
  [two, 'OnFailure', { a: 'exited:0', b: 'exited:1' }, 'Running'],
  [two, 'OnFailure', { a: 'exited:0', b: 'exited:0' }, 'Succeeded'],
  [two, 'Never', { a: 'exited:0', b: 'exited:1' }, 'Failed'],
  [two, 'Never', { a: 'exited:1', b: 'running' }, 'Running'],
  [init, 'Always', { i: 'running', a: 'waiting' }, 'Pending'],
  [init, 'Always', { i: 'exited:1', a: 'waiting' }, 'Pending'],
  [init, 'Never', { i: 'exited:1', a: 'waiting' }, 'Failed'],
  [init, 'Never', { i: 'exited:0', a: 'running' }, 'Running'],
  [sidecar, 'Never', { i: 'running', a: 'exited:0' }, 'Running'],
  [sidecar, 'Never', { i: 'exited:137', a: 'exited:0' }, 'Succeeded'],
] as const)
  test(`restartPolicy ${policy} with ${JSON.stringify(statuses)} is ${phase}`, () => {
    const pod: Pod = { spec: { restartPolicy: policy, ...spec } }
    const list = Object.entries(statuses).map(([name, text]) => status(name, text))
    assert.equal(
      phaseOf(
        pod,
        list,
        false,
        list.some(({ name, state }) => name === 'a' && state?.running),
      ),
      phase,
    )
  })

test('all that is over is Succeeded or Failed, whatever the policy', () => {
  const pod: Pod = { spec: { restartPolicy: 'Always', containers: [{ name: 'a' }] } }
  assert.equal(phaseOf(pod, [status('a', 'exited:0')], true, false), 'Succeeded')
  assert.equal(phaseOf(pod, [status('a', 'exited:2')], true, false), 'Failed')
})

test('a patch has what differs, leaves conditions of others alone, and takes back what no longer holds', () => {
  const pod: Pod = {
    metadata: { uid: 'u' },
    status: {
      phase: 'Pending',
      reason: 'Old',
      podIPs: [{ ip: '10.0.0.1' }],
      conditions: [
        { type: 'Ready', status: 'False', reason: 'ContainersNotReady' },
        { type: 'PodScheduled', status: 'True' },
        { type: 'PodResizeInProgress', status: 'True' },
        { type: 'example.com/gate', status: 'True' },
      ],
    },
  }
  const next = {
    phase: 'Running',
    podIPs: [{ ip: '10.0.0.2' }],
    conditions: [
      { type: 'example.com/gate', status: 'True' },
      { type: 'Ready', status: 'True', lastTransitionTime: 't' },
      { type: 'PodScheduled', status: 'True', lastTransitionTime: 'other' },
    ],
  }
  assert.deepEqual(podStatusPatch(pod, next), {
    metadata: { uid: 'u' },
    status: {
      phase: 'Running',
      reason: null,
      podIPs: [{ ip: '10.0.0.2' }, { $patch: 'replace' }],
      conditions: [
        { type: 'Ready', status: 'True', lastTransitionTime: 't', reason: null },
        { $patch: 'delete', type: 'PodResizeInProgress' },
      ],
    },
  })
  assert.equal(podStatusPatch({ ...pod, status: next }, next), undefined)
})

const withResources = (...list: NonNullable<Container['resources']>[]): Pod => ({
  spec: { containers: list.map((resources, index) => ({ name: String(index), resources })) },
})
const full = { cpu: '1', memory: '1Gi' }

test('quality of service and what the kernel is told', () => {
  assert.equal(qosClass(withResources({})), 'BestEffort')
  assert.equal(qosClass(withResources({ requests: full, limits: { cpu: '1000m', memory: '1024Mi' } })), 'Guaranteed')
  assert.equal(qosClass(withResources({ requests: full, limits: full }, {})), 'Burstable')
  assert.deepEqual(
    [cpuShares(0), cpuShares(100), cpuShares(1000), cpuQuota(0), cpuQuota(500), cpuQuota(1)],
    [2, 102, 1024, 0, 50_000, 1000],
  )
  const burstable = withResources({ requests: { memory: '1Gi' } })
  assert.equal(oomScoreAdjust(burstable, burstable.spec!.containers[0]!, 10 * 2 ** 30), 900)
})

for (const [image, repository, tag] of [
  ['nginx', 'docker.io/library/nginx', 'latest'],
  ['user/app:1', 'docker.io/user/app', '1'],
  ['localhost:5000/a/b', 'localhost:5000/a/b', 'latest'],
  ['registry.k8s.io/pause:3.10', 'registry.k8s.io/pause', '3.10'],
] as const)
  test(`the image name ${image}`, () =>
    assert.deepEqual([parseImageName(image)?.repository, parseImageName(image)?.tag], [repository, tag]))

for (const image of ['', 'Upper', 'a b', 'a:', '-x', 'a@sha256:1'] as const)
  test(`"${image}" is no image name`, () => assert.equal(parseImageName(image), undefined))
