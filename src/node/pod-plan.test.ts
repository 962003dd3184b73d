import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Container, Pod, PodSpec } from '../api/generated/core/v1.ts'
import type { BackOff } from './back-off.ts'
import type { ContainerStatus, SandboxStatus } from './container-runtime.ts'
import { containerAnnotations } from './identity.ts'
import type { ProbeKind, ProbeResult } from './observation.ts'
import { planPod, type Hold, type PodPlan } from './pod-plan.ts'

const NOW = 1_000_000
const podOf = (spec: Partial<PodSpec>): Pod => ({
  metadata: { name: 'p', namespace: 'ns', uid: 'u' },
  spec: { restartPolicy: 'Always', containers: [{ name: 'a', image: 'i' }], ...spec },
})
const box = (more: Partial<SandboxStatus> = {}): SandboxStatus => ({
  id: 's0',
  metadata: { name: 'p', namespace: 'ns', uid: 'u', attempt: 0 },
  isReady: true,
  createdAtMs: 0,
  ips: ['10.0.0.2'],
  labels: {},
  annotations: {},
  ...more,
})

/** "a:running", "a:exited:1:5000" (exit code, when): the id is the name. */
function container(pod: Pod, text: string): ContainerStatus {
  const [name, state, exitCode = '0', finished = '0'] = text.split(':') as [string, string, string?, string?]
  const spec = [...(pod.spec!.containers ?? []), ...(pod.spec!.initContainers ?? [])].find((one) => one.name === name)!
  return {
    id: name,
    metadata: { name, attempt: 0 },
    state: state.toUpperCase() as ContainerStatus['state'],
    createdAtMs: 1,
    startedAtMs: 1,
    finishedAtMs: NOW - Number(finished),
    exitCode: Number(exitCode),
    reason: '',
    message: '',
    image: 'i',
    imageRef: 'i',
    labels: {},
    annotations: containerAnnotations(pod, spec, 3, undefined),
    logPath: '',
  }
}

interface Row {
  readonly what: string
  readonly spec?: Partial<PodSpec>
  readonly sandboxes?: readonly SandboxStatus[]
  readonly runs?: readonly string[]
  readonly probes?: Readonly<Record<string, ProbeResult>>
  readonly backOffs?: Readonly<Record<string, BackOff>>
  readonly holds?: Readonly<Record<string, Hold>>
  readonly resize?: readonly string[]
  readonly changed?: string
  /** "create-sandbox 1", "start a", "kill a: message", "wait 5000", "finished", "CrashLoopBackOff a". */
  readonly plan: readonly string[]
}

const brief = ({ actions, waiting, wakeAtMs, isFinished }: PodPlan): string[] => [
  ...actions.map((action) =>
    action.do === 'create-sandbox'
      ? `create-sandbox ${action.attempt}`
      : action.do === 'start'
        ? `start ${action.name}`
        : `kill ${action.name}: ${action.message}`,
  ),
  ...[...waiting].map(([name, { reason }]) => `${reason} ${name}`),
  ...(wakeAtMs === undefined ? [] : [`wait ${wakeAtMs - NOW}`]),
  ...(isFinished ? ['finished'] : []),
]

const two: Partial<PodSpec> = { containers: [{ name: 'a' }, { name: 'b' }] }
const inits: Partial<PodSpec> = { initContainers: [{ name: 'x' }, { name: 'y' }] }
const sidecar = (more: Partial<Container> = {}): Partial<PodSpec> => ({
  initContainers: [{ name: 's', restartPolicy: 'Always', ...more }, { name: 'y' }],
})
const ready = [box()]
const hold: Hold = { reason: 'ErrImagePull', message: '', untilMs: NOW + 700 }

const rows: readonly Row[] = [
  { what: 'a new pod', plan: ['create-sandbox 0'] },
  { what: 'a sandbox that could not be made waits', holds: { '': { ...hold, reason: 'x' } }, plan: ['wait 700'] },
  { what: 'a sandbox stands', sandboxes: ready, spec: two, plan: ['start a', 'start b'] },
  { what: 'a sandbox without an address', sandboxes: [box({ ips: [] })], plan: ['create-sandbox 1'] },
  { what: 'one without an address on the node network', sandboxes: [box({ ips: [] })], spec: { hostNetwork: true }, plan: ['start a'] },
  { what: 'a sandbox that died', sandboxes: [box({ isReady: false })], runs: ['a:running'], plan: ['create-sandbox 1'] },
  {
    what: 'a sandbox that died when nothing is left to do',
    spec: { restartPolicy: 'OnFailure' },
    sandboxes: [box({ isReady: false })],
    runs: ['a:exited:0'],
    plan: ['finished'],
  },
  {
    what: 'a sandbox that died with restartPolicy Never',
    spec: { restartPolicy: 'Never' },
    sandboxes: [box({ isReady: false })],
    runs: ['a:exited:1'],
    plan: ['finished'],
  },
  { what: 'all runs', spec: two, sandboxes: ready, runs: ['a:running', 'b:running'], plan: [] },
  { what: 'one of two is missing', spec: two, sandboxes: ready, runs: ['a:running'], plan: ['start b'] },
  { what: 'Always restarts a success', sandboxes: ready, runs: ['a:exited:0'], plan: ['start a'] },
  { what: 'OnFailure restarts a failure', spec: { restartPolicy: 'OnFailure' }, sandboxes: ready, runs: ['a:exited:1'], plan: ['start a'] },
  { what: 'OnFailure lets a success be', spec: { restartPolicy: 'OnFailure' }, sandboxes: ready, runs: ['a:exited:0'], plan: ['finished'] },
  { what: 'Never lets a failure be', spec: { restartPolicy: 'Never' }, sandboxes: ready, runs: ['a:exited:1'], plan: ['finished'] },
  {
    what: 'Never with one that still runs',
    spec: { ...two, restartPolicy: 'Never' },
    sandboxes: ready,
    runs: ['a:exited:1', 'b:running'],
    plan: [],
  },
  {
    what: 'a container with its own policy',
    spec: { containers: [{ name: 'a', restartPolicy: 'Never' }] },
    sandboxes: ready,
    runs: ['a:exited:1'],
    plan: ['finished'],
  },
  {
    what: 'a rule by exit code restarts against the policy',
    spec: {
      containers: [
        { name: 'a', restartPolicy: 'Never', restartPolicyRules: [{ action: 'Restart', exitCodes: { operator: 'In', values: [42] } }] },
      ],
    },
    sandboxes: ready,
    runs: ['a:exited:42'],
    plan: ['start a'],
  },
  {
    what: 'a crash waits out its back-off',
    sandboxes: ready,
    runs: ['a:exited:1:4000'],
    backOffs: { a: { delayMs: 10_000, updatedMs: NOW - 4000 } },
    plan: ['CrashLoopBackOff a', 'wait 6000'],
  },
  {
    what: 'a back-off that is over',
    sandboxes: ready,
    runs: ['a:exited:1:10000'],
    backOffs: { a: { delayMs: 10_000, updatedMs: NOW - 10_000 } },
    plan: ['start a'],
  },
  {
    what: 'a back-off of long ago is forgotten',
    sandboxes: ready,
    runs: ['a:exited:1:100'],
    backOffs: { a: { delayMs: 300_000, updatedMs: NOW - 700_000 } },
    plan: ['start a'],
  },
  { what: 'a start that failed is held', spec: two, sandboxes: ready, holds: { a: hold }, plan: ['start b', 'ErrImagePull a', 'wait 700'] },
  {
    what: 'a hold that is over still says why until the start works',
    sandboxes: ready,
    holds: { a: { ...hold, untilMs: NOW } },
    plan: ['start a', 'ErrImagePull a'],
  },
  {
    what: 'liveness failed',
    sandboxes: ready,
    runs: ['a:running'],
    probes: { 'a liveness': 'failure' },
    plan: ['kill a: Container a failed liveness probe, will be restarted'],
  },
  {
    what: 'liveness failed with Never',
    spec: { restartPolicy: 'Never' },
    sandboxes: ready,
    runs: ['a:running'],
    probes: { 'a liveness': 'failure' },
    plan: ['kill a: Container a failed liveness probe'],
  },
  {
    what: 'startup failed',
    sandboxes: ready,
    runs: ['a:running'],
    probes: { 'a startup': 'failure' },
    plan: ['kill a: Container a failed startup probe, will be restarted'],
  },
  { what: 'readiness failed', sandboxes: ready, runs: ['a:running'], probes: { 'a readiness': 'failure' }, plan: [] },
  {
    what: 'another image',
    sandboxes: ready,
    runs: ['a:running'],
    changed: 'other',
    plan: ['kill a: Container a definition changed, will be restarted'],
  },
  {
    what: 'a resize that needs a restart',
    sandboxes: ready,
    runs: ['a:running'],
    resize: ['a'],
    plan: ['kill a: Container a resize requires restart, will be restarted'],
  },
  { what: 'the first init container', spec: inits, sandboxes: ready, plan: ['start x'] },
  { what: 'an init container runs', spec: inits, sandboxes: ready, runs: ['x:running'], plan: [] },
  { what: 'the second init container', spec: inits, sandboxes: ready, runs: ['x:exited:0'], plan: ['start y'] },
  { what: 'all init containers are done', spec: inits, sandboxes: ready, runs: ['x:exited:0', 'y:exited:0'], plan: ['start a'] },
  { what: 'done init containers may be gone', spec: inits, sandboxes: ready, runs: ['a:running'], plan: [] },
  { what: 'an init container failed', spec: inits, sandboxes: ready, runs: ['x:exited:1'], plan: ['start x'] },
  {
    what: 'an init container failed for good',
    spec: { ...inits, restartPolicy: 'Never' },
    sandboxes: ready,
    runs: ['x:exited:1'],
    plan: ['finished'],
  },
  { what: 'a held init container holds the rest', spec: inits, sandboxes: ready, holds: { x: hold }, plan: ['ErrImagePull x', 'wait 700'] },
  { what: 'a sidecar first', spec: sidecar(), sandboxes: ready, plan: ['start s'] },
  { what: 'a sidecar runs: the next init container', spec: sidecar(), sandboxes: ready, runs: ['s:running'], plan: ['start y'] },
  {
    what: 'a sidecar whose startup probe has not passed',
    spec: sidecar({ startupProbe: {} }),
    sandboxes: ready,
    runs: ['s:running'],
    plan: [],
  },
  {
    what: 'a sidecar whose startup probe has',
    spec: sidecar({ startupProbe: {} }),
    sandboxes: ready,
    runs: ['s:running'],
    probes: { 's startup': 'success' },
    plan: ['start y'],
  },
  {
    what: 'a sidecar that ended is started again',
    spec: sidecar(),
    sandboxes: ready,
    runs: ['s:exited:0', 'y:exited:0', 'a:running'],
    plan: ['start s'],
  },
  {
    what: 'a sidecar does not keep a pod alive',
    spec: { ...sidecar(), restartPolicy: 'Never' },
    sandboxes: ready,
    runs: ['s:running', 'y:exited:0', 'a:exited:0'],
    plan: ['finished'],
  },
  {
    what: 'an ephemeral container',
    spec: { ephemeralContainers: [{ name: 'e' }] },
    sandboxes: ready,
    runs: ['a:running'],
    plan: ['start e'],
  },
]

for (const row of rows)
  test(`plan: ${row.what}`, () => {
    const pod = podOf(row.spec ?? {})
    const runs = (row.runs ?? []).map((text) => container(pod, text))
    const seen = row.changed ? podOf({ containers: [{ name: 'a', image: row.changed }] }) : pod
    const plan = planPod({
      pod: seen,
      observed: { sandboxes: row.sandboxes ?? [], containers: runs },
      probes: { get: (id: string, kind: ProbeKind) => row.probes?.[`${id} ${kind}`] },
      nowMs: NOW,
      backOffs: new Map(Object.entries(row.backOffs ?? {})),
      holds: new Map(Object.entries(row.holds ?? {})),
      resizeRestarts: new Set(row.resize),
    })
    assert.deepEqual(brief(plan), row.plan)
  })
