/**
 * Lives of a cluster by chance, in virtual time: Deployments are scaled, changed and deleted, Jobs run, pods fail or are evicted,
 * controllers are killed. While it goes on no budget is broken and no completion index runs twice at a time; after the dust has
 * settled everything is as it was last asked for. A failure names its seed; `PROA_SEEDS=500` tries more of them.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../api/generated/core/v1.ts'
import { isApiError } from '../api/status.ts'
import { randomInt, seededRandom } from '../base/random.ts'
import { createNodes, keepsRunning, startApi } from './built-in.test-support.ts'
import type { Api, RunPod } from './built-in.test-support.ts'
import { completionIndexOf } from './job/job-pods.ts'
import { createMortal } from './mortal.test-support.ts'
import { controllerOf } from './owner-references.ts'
import { isPodActive, isPodReady } from './pods/pod-state.ts'

const SEEDS = Number(process.env['PROA_SEEDS'] ?? 6)
const STEPS = 40
const SETTLE_MS = 300_000
const NAMESPACE = 'chaos'
const MIN_AVAILABLE = 3
const APPS = ['a', 'b', 'c']
const DEPLOYMENT = 'apps/v1/Deployment'
const JOB = 'batch/v1/Job'

const labelled = (app: string) => ({ matchLabels: { app } })
const template = (app: string, image: string, more: object = {}) => ({
  metadata: { labels: { app } },
  spec: { containers: [{ name: 'c', image }], ...more },
})

/** What was asked for last. */
interface Wanted {
  readonly sizes: Map<string, number>
  readonly images: Map<string, string>
  readonly jobs: Map<string, number>
}

/** Watches over what must hold at every moment. */
function watchInvariants({ pods }: Api, broken: string[]): void {
  const isRunning = (pod: Pod) => isPodActive(pod)
  const check = (pod: Pod): void => {
    const owner = controllerOf(pod)
    if (owner?.kind !== 'Job') return
    const index = completionIndexOf(pod)
    const twins = [...pods.cache.values()].filter(
      (other) => isRunning(other) && controllerOf(other)?.uid === owner.uid && completionIndexOf(other) === index,
    )
    if (twins.length > 1) broken.push(`index ${index} of ${owner.name} runs ${twins.length} times`)
  }
  pods.addHandlers({ added: check })
}

async function ignoringMissing(call: Promise<unknown>): Promise<boolean> {
  try {
    await call
    return true
  } catch (error) {
    if (isApiError(error, 'NotFound', 'TooManyRequests', 'Conflict', 'AlreadyExists')) return false
    throw error
  }
}

async function run(api: Api, seed: number): Promise<string[]> {
  const { admin, clock, pods } = api
  const random = seededRandom(seed)
  const pick = <T>(list: readonly T[]): T | undefined => list[randomInt(random, Math.max(1, list.length))]
  const broken: string[] = []
  const wanted: Wanted = { sizes: new Map(), images: new Map(), jobs: new Map() }
  watchInvariants(api, broken)
  await createNodes(api)
  const mortal = createMortal(api)
  await admin.create('v1/Namespace', { metadata: { name: NAMESPACE } })
  // This one is evicted from and rolled over, never scaled: nothing but a broken budget takes it below its minimum.
  const strategy = { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } }
  const guarded = { replicas: MIN_AVAILABLE + 1, selector: labelled('guarded'), strategy, template: template('guarded', 'v0') }
  await admin.create(DEPLOYMENT, { metadata: { namespace: NAMESPACE, name: 'guarded' }, spec: guarded })
  const budget = { minAvailable: MIN_AVAILABLE, selector: labelled('guarded') }
  await admin.create('policy/v1/PodDisruptionBudget', { metadata: { namespace: NAMESPACE, name: 'guarded' }, spec: budget })
  wanted.sizes.set('guarded', guarded.replicas)
  wanted.images.set('guarded', 'v0')
  await mortal.pass(30_000)

  const podsOf = (app: string) => [...pods.cache.values()].filter(({ metadata }) => metadata?.labels?.['app'] === app)
  const healthy = () => podsOf('guarded').filter((pod) => isPodActive(pod) && isPodReady(pod)).length
  const key = (name: string) => ({ namespace: NAMESPACE, name })
  const image = (name: string) => ({ spec: { template: { spec: { containers: [{ name: 'c', image: name }] } } } })

  const steps: readonly (() => Promise<unknown>)[] = [
    async () => {
      const app = pick(APPS)!
      const replicas = randomInt(random, 6)
      const spec = { replicas, selector: labelled(app), template: template(app, 'v0') }
      if (wanted.sizes.has(app)) await admin.patch(DEPLOYMENT, key(app), 'merge', { spec: { replicas } })
      else if (await ignoringMissing(admin.create(DEPLOYMENT, { metadata: key(app), spec }))) wanted.images.set(app, 'v0')
      else return
      wanted.sizes.set(app, replicas)
    },
    async () => {
      const app = pick([...wanted.sizes.keys()])!
      const name = `v${randomInt(random, 4)}`
      await admin.patch(DEPLOYMENT, key(app), 'strategic', image(name))
      wanted.images.set(app, name)
    },
    async () => {
      const app = pick(APPS)!
      const propagationPolicy = randomInt(random, 2) === 0 ? 'Background' : 'Foreground'
      await ignoringMissing(admin.delete(DEPLOYMENT, key(app), { propagationPolicy }))
      wanted.sizes.delete(app)
      wanted.images.delete(app)
      // In the foreground the name stays taken until its pods are gone.
      await mortal.pass(5000)
    },
    async () => {
      const name = `job-${wanted.jobs.size}`
      const completions = 1 + randomInt(random, 5)
      const spec = {
        completionMode: 'Indexed',
        completions,
        parallelism: 1 + randomInt(random, 4),
        backoffLimit: 100,
        template: template(name, 'v1', { restartPolicy: 'Never' }),
      }
      await admin.create(JOB, { metadata: key(name), spec })
      wanted.jobs.set(name, completions)
    },
    async () => {
      const victim = pick(podsOf('guarded').filter(isPodActive))
      if (!victim) return
      const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: key(victim.metadata!.name!) }
      await ignoringMissing(admin.createSubresource('v1/Pod', key(victim.metadata!.name!), 'eviction', eviction))
      await clock.settle()
      if (healthy() < MIN_AVAILABLE) broken.push(`only ${healthy()} guarded pods are well`)
    },
    async () => {
      const victim = pick(APPS.flatMap(podsOf))
      if (victim) await ignoringMissing(admin.delete('v1/Pod', key(victim.metadata!.name!)))
    },
    () => mortal.kill(),
    () => mortal.pass(randomInt(random, 20_000)),
  ]
  for (let i = 0; i < STEPS; i++) {
    await pick(steps)!()
    await mortal.pass(randomInt(random, 1500))
  }
  await mortal.pass(SETTLE_MS)
  await checkEnd(api, wanted, broken)
  await mortal.end()
  return broken
}

async function checkEnd({ admin, pods }: Api, wanted: Wanted, broken: string[]): Promise<void> {
  const all = [...pods.cache.values()]
  for (const [app, size] of wanted.sizes) {
    const own = all.filter(({ metadata }) => metadata?.labels?.['app'] === app)
    const images = new Set(own.map(({ spec }) => spec!.containers[0]!.image))
    if (own.length !== size) broken.push(`${app} has ${own.length} pods in place of ${size}`)
    const image = wanted.images.get(app) ?? ''
    if (size > 0 && (images.size !== 1 || !images.has(image))) broken.push(`${app} runs ${[...images].join()}`)
    const { status } = await admin.get(DEPLOYMENT, { namespace: NAMESPACE, name: app })
    if ((status?.availableReplicas ?? 0) !== size) broken.push(`${app} tells of ${status?.availableReplicas} pods in place of ${size}`)
  }
  for (const [name, completions] of wanted.jobs) {
    const { status } = await admin.get(JOB, { namespace: NAMESPACE, name })
    const isDone = status?.conditions?.some(({ type, status: is }) => type === 'Complete' && is === 'True')
    if (!isDone || status?.succeeded !== completions) broken.push(`${name} has ended with ${JSON.stringify(status)}`)
  }
  const owners = new Set<string>()
  for (const kind of ['apps/v1/ReplicaSet', JOB]) for (const { metadata } of (await admin.list(kind)).items) owners.add(metadata!.uid!)
  const orphans = all.filter((pod) => !owners.has(controllerOf(pod)?.uid ?? ''))
  if (orphans.length > 0) broken.push(`${orphans.length} pods belong to nobody`)
  const deployments = new Set((await admin.list(DEPLOYMENT)).items.map(({ metadata }) => metadata!.uid))
  const sets = (await admin.list('apps/v1/ReplicaSet')).items.filter((set) => !deployments.has(controllerOf(set)?.uid ?? ''))
  if (sets.length > 0) broken.push(`${sets.length} ReplicaSets belong to nobody`)
}

test('whatever happens to a cluster, its invariants hold', async (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const chance = seededRandom(1000 + seed)
    // A pod of a Job fails now and then.
    const runPod: RunPod = (pod, now) => {
      if (controllerOf(pod)?.kind !== 'Job') return keepsRunning(pod, now)
      return { ...keepsRunning(pod, now), phase: chance.next() < 0.3 ? 'Failed' : 'Succeeded' }
    }
    const api = await startApi(t, { runPod, seed })
    assert.deepEqual(await run(api, seed), [], `seed ${seed}`)
  }
})
