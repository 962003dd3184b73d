import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Deployment, ReplicaSet } from '../../api/generated/apps/v1.ts'
import { finished, isChanged } from './draft.ts'
import { planDeployment } from './plan.ts'
import type { DeploymentPlan } from './plan.ts'
import { DESIRED_REPLICAS, MAX_REPLICAS, REVISION } from './revisions.ts'

const now = { ms: Date.UTC(2026, 0, 1, 1), text: '2026-01-01T01:00:00Z' }
const template = (image: string) => ({ metadata: { labels: { app: 'a' } }, spec: { containers: [{ name: 'c', image }] } })

function deployment(replicas: number, extra: Partial<NonNullable<Deployment['spec']>> = {}, status: Deployment['status'] = {}): Deployment {
  return {
    metadata: { namespace: 'n', name: 'd', uid: 'd-uid', generation: 2 },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'a' } },
      template: template('v2'),
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 1 } },
      ...extra,
    },
    status,
  }
}

/** image, wanted replicas, available replicas. */
function set(
  name: string,
  image: string,
  replicas: number,
  available: number,
  options: { revision?: number; desired?: number; max?: number; minute?: number } = {},
): ReplicaSet {
  const { revision = 1, desired, max = 0, minute = 0 } = options
  return {
    metadata: {
      namespace: 'n',
      name,
      uid: `${name}-uid`,
      generation: 1,
      creationTimestamp: `2026-01-01T00:${String(minute).padStart(2, '0')}:00Z`,
      annotations: {
        [REVISION]: String(revision),
        ...(desired === undefined ? {} : { [DESIRED_REPLICAS]: String(desired), [MAX_REPLICAS]: String(max) }),
      },
    },
    spec: { replicas, selector: {}, template: template(image) },
    status: { replicas, availableReplicas: available, readyReplicas: available, observedGeneration: 1 },
  }
}

const plan = (object: Deployment, ...sets: ReplicaSet[]) => planDeployment({ deployment: object, sets, podsOf: () => [], now })
const sizes = (result: DeploymentPlan) =>
  Object.fromEntries(
    result.writes
      .filter((draft) => draft.isNew || isChanged(draft))
      .map((draft) => [draft.isNew ? 'new' : draft.set.metadata!.name!, draft.replicas]),
  )

test('sizes of the sets in each situation', () => {
  const rolling = (maxSurge: number | string, maxUnavailable: number | string) => ({
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } },
  })
  const rows: readonly [string, Deployment, ReplicaSet[], Record<string, number>][] = [
    ['the first set gets everything', deployment(3), [], { new: 3 }],
    ['a rollout begins with the surge', deployment(3), [set('old', 'v1', 3, 3, { desired: 3 })], { new: 1 }],
    ['25% of 10 surges by 3', deployment(10, rolling('25%', '25%')), [set('old', 'v1', 10, 10, { desired: 10 })], { new: 3 }],
    [
      'old ones go as far as maxUnavailable allows',
      deployment(3),
      [set('old', 'v1', 3, 3, { desired: 3 }), set('new', 'v2', 1, 0, { revision: 2, desired: 3, minute: 1 })],
      { old: 2 },
    ],
    [
      'unavailable old ones go first although none may be missing',
      deployment(3, rolling(1, 0)),
      [set('old', 'v1', 3, 2, { desired: 3 }), set('new', 'v2', 1, 1, { revision: 2, desired: 3, minute: 1 })],
      { old: 2 },
    ],
    [
      'new ones that are not available hold the old ones back',
      deployment(3, rolling(1, 0)),
      [set('old', 'v1', 3, 3, { desired: 3 }), set('new', 'v2', 1, 0, { revision: 2, desired: 3, minute: 1 })],
      {},
    ],
    [
      'the new one grows into the room that is there',
      deployment(3),
      [set('old', 'v1', 2, 2, { desired: 3 }), set('new', 'v2', 1, 1, { revision: 2, desired: 3, minute: 1 })],
      { new: 2 },
    ],
    ['scaling a settled deployment', deployment(5), [set('new', 'v2', 3, 3, { desired: 3, max: 4 })], { new: 5 }],
    [
      'scaling amid a rollout is spread in proportion',
      deployment(20, rolling(2, 2)),
      [set('old', 'v1', 8, 8, { desired: 10, max: 12 }), set('new', 'v2', 4, 4, { revision: 2, desired: 10, max: 12, minute: 1 })],
      { old: 15, new: 7 },
    ],
    [
      'scaling to nothing',
      deployment(0),
      [set('old', 'v1', 2, 2, { desired: 3, max: 4 }), set('new', 'v2', 2, 2, { revision: 2, desired: 3, max: 4, minute: 1 })],
      { old: 0, new: 0 },
    ],
    [
      'a paused deployment is scaled but not rolled',
      deployment(5, { paused: true }),
      [set('old', 'v1', 3, 3, { desired: 3, max: 4 })],
      { old: 5 },
    ],
    [
      'Recreate first ends all old pods',
      deployment(3, { strategy: { type: 'Recreate' } }),
      [set('old', 'v1', 3, 3, { desired: 3 })],
      { old: 0 },
    ],
    [
      'Recreate then starts the new ones',
      deployment(3, { strategy: { type: 'Recreate' } }),
      [set('old', 'v1', 0, 0, { desired: 3 })],
      { new: 3 },
    ],
  ]
  for (const [name, object, sets, expected] of rows) assert.deepEqual(sizes(plan(object, ...sets)), expected, name)
})

test('a new set is named by its hash, owned, and numbered', () => {
  const result = plan(deployment(3), set('old', 'v1', 3, 3, { revision: 4, desired: 3 }))
  const created = finished(result.writes.find((draft) => draft.isNew)!)
  assert.match(created.metadata!.name!, /^d-[bcdfghjklmnpqrstvwxz2-9]{1,10}$/)
  assert.equal(created.metadata!.labels!['pod-template-hash'], created.metadata!.name!.slice(2))
  assert.equal(created.spec!.selector.matchLabels!['pod-template-hash'], created.metadata!.name!.slice(2))
  assert.equal(created.metadata!.ownerReferences![0]!.uid, 'd-uid')
  assert.deepEqual(created.metadata!.annotations, { [REVISION]: '5', [DESIRED_REPLICAS]: '3', [MAX_REPLICAS]: '4' })
  assert.equal(result.revision, '5')
  const again = plan(deployment(3, {}, { collisionCount: 1 }), set('old', 'v1', 3, 3, { desired: 3 }))
  assert.notEqual(
    finished(again.writes.find((draft) => draft.isNew)!).metadata!.name,
    created.metadata!.name,
    'a collision changes the name',
  )
})

test('rolling back gives the old set the next revision and remembers its earlier one', () => {
  const result = plan(
    deployment(3),
    set('back', 'v2', 0, 0, { revision: 1, desired: 3 }),
    set('old', 'v1', 3, 3, { revision: 2, desired: 3, minute: 1 }),
  )
  const back = result.writes.find((draft) => draft.set.metadata?.name === 'back')!
  assert.equal(back.annotations[REVISION], '3')
  assert.equal(back.annotations['deployment.kubernetes.io/revision-history'], '1')
  assert.equal(result.revision, '3')
})

test('conditions tell progress, completion and a missed deadline', () => {
  const withDeadline = { progressDeadlineSeconds: 600 }
  const progressing = (result: DeploymentPlan) => result.status.conditions?.find((condition) => condition.type === 'Progressing')
  const started = plan(deployment(1, withDeadline))
  assert.equal(progressing(started)?.reason, 'NewReplicaSetCreated')
  assert.equal(started.afterMs, 601_000)

  const complete = plan(deployment(1, withDeadline), set('new', 'v2', 1, 1, { desired: 1, max: 2 }))
  assert.equal(progressing(complete)?.reason, 'NewReplicaSetAvailable')
  assert.equal(progressing(complete)?.message, 'ReplicaSet "new" has successfully progressed.')
  assert.equal(complete.afterMs, undefined)

  const condition = (reason: string, time: string) => ({
    conditions: [{ type: 'Progressing', status: 'True', reason, lastUpdateTime: time, lastTransitionTime: time }],
    replicas: 1,
    updatedReplicas: 1,
  })
  const late = plan(
    deployment(1, withDeadline, condition('ReplicaSetUpdated', '2026-01-01T00:49:59Z')),
    set('new', 'v2', 1, 0, { desired: 1, max: 2 }),
  )
  assert.deepEqual([progressing(late)?.reason, progressing(late)?.status], ['ProgressDeadlineExceeded', 'False'])
  const waiting = plan(
    deployment(1, withDeadline, condition('ReplicaSetUpdated', '2026-01-01T00:55:00Z')),
    set('new', 'v2', 1, 0, { desired: 1, max: 2 }),
  )
  assert.equal(waiting.afterMs, 301_000)
})

test('old sets beyond the history limit are deleted once the rollout is complete', () => {
  const status = { updatedReplicas: 1, replicas: 1, availableReplicas: 1, observedGeneration: 2 }
  const sets = [1, 2, 3].map((revision) => set(`old${revision}`, `v1.${revision}`, 0, 0, { revision, minute: revision }))
  const newest = set('new', 'v2', 1, 1, { revision: 4, desired: 1, max: 2, minute: 9 })
  const names = (result: DeploymentPlan) => result.delete.map((object) => object.metadata?.name)
  assert.deepEqual(names(plan(deployment(1, { revisionHistoryLimit: 1 }, status), ...sets, newest)), ['old1', 'old2'])
  assert.deepEqual(names(plan(deployment(1, { revisionHistoryLimit: 1 }), ...sets, newest)), [])
})
