/**
 * The scheduler's fast decisions are those of the plain rules (reference.ts), whatever has happened before: on random clusters pods come
 * and go, nodes change and vanish, and each time the nodes that fit, the reasons of the others and the scores must be the same.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node, Pod } from '../../src/api/generated/core/v1.ts'
import { randomInt, seededRandom } from '../../src/base/random.ts'
import { emptyView } from '../../src/scheduler/cluster-view.ts'
import { podInfoOf } from '../../src/scheduler/pod-info.ts'
import { createDefaultProfile } from '../../src/scheduler/profile.ts'
import { scoreNodes } from '../../src/scheduler/scoring.ts'
import { createDecisionMemory, findFeasible } from '../../src/scheduler/search.ts'
import { createClusterState } from '../../src/scheduler/snapshot.ts'
import { makeCluster } from './clusters.ts'
import { refusalOf, scoresOf } from './reference.ts'
import type { World } from './reference.ts'
import { viewOf } from './replay.ts'

const withoutVolumes = (pod: Pod): Pod => ({ ...pod, spec: { ...pod.spec!, volumes: [] } })

function run(seed: number, steps: number): number {
  const random = seededRandom(seed)
  const below = (bound: number) => randomInt(random, bound)
  const cluster = makeCluster(seed)
  const state = createClusterState({ ...emptyView, ...viewOf(cluster) })
  const profile = createDefaultProfile()
  const memory = createDecisionMemory()
  const templates = [...cluster.waiting, ...cluster.placed].map(withoutVolumes)
  const nodes = new Map(cluster.nodes.map((node) => [node.metadata!.name!, node]))
  const pods = new Map<string, Pod[]>()
  for (const node of nodes.values()) state.setNode(node)
  let serial = 0
  let compared = 0

  function put(template: Pod, nodeName: string): void {
    const name = `pod-${serial++}`
    const pod: Pod = { ...template, metadata: { ...template.metadata, name, uid: name }, spec: { ...template.spec!, nodeName } }
    pods.set(nodeName, [...(pods.get(nodeName) ?? []), pod])
    state.setPod(podInfoOf(pod), nodeName)
  }
  function world(): World {
    return {
      nodes: [...nodes.values()],
      pods,
      namespaces: new Map(cluster.namespaces.map(({ metadata }) => [metadata!.name!, metadata!.labels ?? {}])),
      services: cluster.services.map(({ metadata, spec }) => ({ namespace: metadata!.namespace!, selector: spec!.selector! })),
    }
  }
  function compare(template: Pod): readonly string[] {
    const { spec, ...rest } = template
    const { nodeName: _nodeName, ...unbound } = spec!
    const pod = { ...rest, spec: unbound }
    const snapshot = state.snapshot()
    const info = podInfoOf(pod)
    const search = findFeasible(snapshot, info, profile, { memory })
    const there = world()
    const where = `seed ${seed}, step ${serial}, ${JSON.stringify(pod)}`
    const feasible: Node[] = []
    for (const [place, { node, name }] of snapshot.nodes.entries()) {
      const expected = refusalOf(there, pod, node)
      if (!expected) feasible.push(node)
      if (search.absent) continue
      assert.deepEqual(search.rejections[place]?.reasons, expected, `${name}, ${where}`)
    }
    const names = search.feasible.map((place) => snapshot.nodes[place]!.name)
    assert.deepEqual(names.toSorted(), feasible.map(({ metadata }) => metadata!.name!).toSorted(), where)
    if (names.length > 0) {
      const fast = [...scoreNodes(snapshot, info, profile, search.feasible, memory)]
      const slow = scoresOf(
        there,
        pod,
        search.feasible.map((place) => snapshot.nodes[place]!.node),
      )
      assert.deepEqual(fast, slow, `${names.join()}, ${where}`)
    }
    compared++
    return names
  }

  for (const pod of cluster.placed) put(withoutVolumes(pod), pod.spec!.nodeName!)
  for (let step = 0; step < steps; step++) {
    const template = templates[below(templates.length)]!
    const fitting = compare(template)
    const choice = below(10)
    const names = [...nodes.keys()]
    const name = names[below(names.length)]!
    if (choice < 5 && fitting.length > 0) put(template, fitting[below(fitting.length)]!)
    else if (choice < 7) {
      const list = pods.get(name) ?? []
      if (list.length > 0) {
        const gone = list[below(list.length)]!
        pods.set(
          name,
          list.filter((pod) => pod !== gone),
        )
        state.removePod(gone.metadata!.uid!)
      }
    } else if (choice < 9) {
      const node = nodes.get(name)!
      const labels = { ...node.metadata!.labels, 'topology.kubernetes.io/zone': `z${1 + below(3)}` }
      const changed: Node = { ...node, metadata: { ...node.metadata, labels }, spec: below(4) === 0 ? { unschedulable: true } : {} }
      nodes.set(name, changed)
      state.setNode(changed)
    } else if (nodes.size > 2) {
      nodes.delete(name)
      pods.delete(name)
      for (const { uid } of state.snapshot().node(name)?.pods ?? []) state.removePod(uid)
      state.removeNode(name)
    }
  }
  return compared
}

test('fast decisions are those of the plain rules', () => {
  let compared = 0
  for (let seed = 5001; seed <= 5150; seed++) compared += run(seed, 20)
  assert.equal(compared, 3_000)
})
