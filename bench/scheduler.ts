/**
 * Decisions a second inside the scheduler, without an API server: `node bench/scheduler.ts SHAPE NODES PODS` prints the figure, for the
 * shape `memory` the megabytes that nodes and pods take. The shapes are those of scheduling.ts. Seconds are of the processor, so that what
 * else runs on the machine does not count.
 */
import type { Node, Pod, PodSpec } from '../src/api/generated/core/v1.ts'
import { seededRandom } from '../src/base/random.ts'
import { emptyView } from '../src/scheduler/cluster-view.ts'
import { podInfoOf } from '../src/scheduler/pod-info.ts'
import { createDefaultProfile } from '../src/scheduler/profile.ts'
import { scheduleOne } from '../src/scheduler/schedule-one.ts'
import type { ScheduleOptions } from '../src/scheduler/schedule-one.ts'
import { createDecisionMemory } from '../src/scheduler/search.ts'
import { createClusterState } from '../src/scheduler/snapshot.ts'

const ZONE = 'topology.kubernetes.io/zone'
const HOST = 'kubernetes.io/hostname'

const nodeOf = (i: number): Node => ({
  metadata: { name: `node-${i}`, labels: { [HOST]: `node-${i}`, [ZONE]: `zone-${i % 3}` } },
  status: { allocatable: { cpu: '4', memory: '32Gi', pods: '110' } },
})

const term = (color: string, topologyKey: string) => ({
  requiredDuringSchedulingIgnoredDuringExecution: [{ labelSelector: { matchLabels: { color } }, topologyKey }],
})
const spread = (topologyKey: string, maxSkew: number): Partial<PodSpec> => ({
  topologySpreadConstraints: [
    { maxSkew, topologyKey, whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: { color: 'blue' } } },
  ],
})

const shapes: Readonly<Record<string, { readonly color?: string; readonly spec: Partial<PodSpec> }>> = {
  plain: { spec: {} },
  affinity: { color: 'blue', spec: { affinity: { podAffinity: term('blue', ZONE) } } },
  'anti-affinity': { color: 'green', spec: { affinity: { podAntiAffinity: term('green', HOST) } } },
  spread: { color: 'blue', spec: spread(ZONE, 5) },
  'spread over hosts': { color: 'blue', spec: spread(HOST, 1) },
}

function podOf(name: string, shape: keyof typeof shapes, cpu = '100m', priority = 0): Pod {
  const { color, spec } = shapes[shape]!
  return {
    metadata: { name, namespace: 'default', uid: name, ...(color ? { labels: { color } } : {}) },
    spec: {
      schedulerName: 'default-scheduler',
      priority,
      containers: [{ name: 'main', image: 'pause', resources: { requests: { cpu, memory: '500Mi' } } }],
      ...spec,
    },
  }
}

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function start(nodes: number) {
  const state = createClusterState(emptyView)
  for (let i = 0; i < nodes; i++) state.setNode(nodeOf(i))
  const profile = createDefaultProfile()
  const random = seededRandom(1)
  const memory = createDecisionMemory()
  let from = 0
  const decide = (pod: Pod, options: ScheduleOptions = {}) => {
    const info = podInfoOf(pod)
    const decision = scheduleOne(state.snapshot(), info, profile, random, { start: from, memory, ...options })
    from = decision.nextStart
    if (decision.kind === 'node') state.assume(info, decision.nodeName)
    return { info, decision }
  }
  return { state, decide }
}

function place(shape: string, nodes: number, pods: number): number {
  const { decide } = start(nodes)
  const since = cpuMs()
  for (let i = 0; i < pods; i++)
    if (decide(podOf(`${shape}-${i}`, shape)).decision.kind === 'none' && i < nodes) throw new Error(`${shape}: pod ${i} fits nowhere`)
  return (pods / (cpuMs() - since)) * 1000
}

/** Nodes are full of four pods each; each of the others needs the room of several, and gets it. */
function preempt(nodes: number, pods: number): number {
  const { state, decide } = start(nodes)
  for (let i = 0; i < nodes * 4; i++) state.setPod(podInfoOf(podOf(`low-${i}`, 'plain', '900m')), `node-${i % nodes}`)
  const since = cpuMs()
  for (let i = 0; i < pods; i++) {
    const { info, decision } = decide(podOf(`high-${i}`, 'plain', '3', 10))
    if (decision.kind !== 'none' || !decision.preemption) throw new Error('there is nobody to push aside')
    state.nominate(info, decision.preemption.nominate)
    for (const { uid } of decision.preemption.victims) state.removePod(uid)
    if (decide(info.pod, { nominatedNode: decision.preemption.nominate }).decision.kind !== 'node') throw new Error('no room was made')
  }
  return (pods / (cpuMs() - since)) * 1000
}

function memoryMb(nodes: number, pods: number): number {
  const { state, decide } = start(nodes)
  for (let i = 0; i < pods; i++) state.setPod(podInfoOf(podOf(`pod-${i}`, 'plain', '10m')), `node-${i % nodes}`)
  for (let i = 0; i < 1_000; i++) decide(podOf(`more-${i}`, i % 2 === 0 ? 'plain' : 'spread', '10m'))
  return process.memoryUsage().rss / 1e6
}

const [shape = '', nodes, pods] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])]
const measure = { preemption: preempt, memory: memoryMb }[shape] ?? ((n: number, p: number) => place(shape, n, p))
process.stdout.write(`${measure(nodes, pods)}\n`)
