/** What is measured: each case asks a fresh server the same, whoever made it. Two sizes: the short one and that of --full. */
import { execFile, fork } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { missingPrograms } from '../src/cluster/machine.ts'
import { PAUSE_IMAGE } from '../src/node/cri/pause-image.ts'
import type { JobName, JobOptions, JobResult } from './jobs.ts'
import { checkInterrupted, endWithRun } from '../upstream/processes.ts'
import { median } from './report.ts'
import type { SchedulingShape } from './scheduling.ts'
import type { Start, StartOptions, Target } from './target.ts'

export interface Case {
  readonly name: string
  title(isFull: boolean): string
  readonly unit: string
  readonly better: 'less' | 'more'
  readonly runs: number
  /** The figure that is to be reached, and how many times better than upstream's. */
  readonly target?: number
  readonly wantedRatio?: number
  /** Nobody else is measured beside it. */
  readonly isAlone?: boolean
  /** One run's figure. `note` gets details worth printing. */
  measure(start: Start, isFull: boolean, note: (text: string) => void): Promise<number>
}

function load<N extends JobName>(target: Target, job: N, options: JobOptions<N>, onBegin?: () => void): Promise<JobResult<N>> {
  checkInterrupted()
  const child = fork(join(import.meta.dirname, 'load.ts'), { execArgv: ['--disable-warning=ExperimentalWarning'] })
  endWithRun(child)
  return new Promise((resolve, reject) => {
    child.on('message', (message) => {
      const answer = message as { readonly hasBegun?: boolean; readonly result?: JobResult<N>; readonly error?: string }
      if (answer.hasBegun) onBegin?.()
      else if (answer.error) reject(new Error(answer.error))
      else resolve(answer.result!)
    })
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`the load process ended with code ${code}`)))
    child.send({ kubeconfig: target.kubeconfig, job, options })
  })
}

/** Starts, measures and stops, whatever happens. */
async function onFreshServer(start: Start, options: StartOptions, measure: (target: Target) => Promise<number>): Promise<number> {
  const target = await start(options)
  try {
    return await measure(target)
  } finally {
    await target.stop()
  }
}

/** Time for the server to come to rest before its memory is read. */
const REST_MS = 5_000

/** Three heartbeats of the nodes. */
const WATCHED_REST_MS = 30_000

const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function memoryAtRest(target: Target): Promise<number> {
  await rest(REST_MS)
  return target.memoryMb()
}

const thousands = (value: number): string => value.toLocaleString('en')

/** What the server's processors did for each, told beside the rates: those depend on what else the machine does. */
function cpuOf(target: Target) {
  let since = 0
  return {
    begin: () => void (since = target.cpuSeconds()),
    each: (count: number) => `server CPU ${(((target.cpuSeconds() - since) * 1e6) / count).toFixed(1)} µs each`,
  }
}

/** Pods of which memory is measured: of all other cases, none has so many. */
const heldPods = (isFull: boolean): number => (isFull ? 100_000 : 10_000)

/** Requests of one kind by 64 clients, each asking again when it is answered; upstream has its API server alone then. */
interface RequestsOptions extends Pick<JobOptions<'creates'>, 'subject'> {
  /** Default: that of the job. */
  readonly name?: string
  readonly wantedRatio?: number
}

function requests(
  job: 'creates' | 'gets' | 'applies' | 'reviews',
  title: string,
  { name = job, wantedRatio, ...more }: RequestsOptions = {},
): Case {
  return {
    name,
    title: () => `${title}, 64 connections`,
    unit: '/s',
    better: 'more',
    runs: 3,
    ...(wantedRatio === undefined ? {} : { wantedRatio }),
    measure: (start, isFull, note) =>
      onFreshServer(start, {}, async (target) => {
        const seconds = isFull ? 15 : 5
        const cpu = cpuOf(target)
        const { perSecond, p50Ms, p99Ms, errors } = await load(target, job, { connections: 64, seconds, ...more }, cpu.begin)
        const times = `p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`
        note(`${times}, ${cpu.each(perSecond * seconds + errors)}${errors > 0 ? `, ${errors} errors` : ''}`)
        return perSecond
      }),
  }
}

function lists(name: string, title: string, options: Partial<JobOptions<'list'>> = {}, wantedRatio?: number): Case {
  return {
    name,
    title: () => title,
    unit: 'ms',
    better: 'less',
    runs: 3,
    ...(wantedRatio === undefined ? {} : { wantedRatio }),
    measure: (start, _isFull, note) =>
      onFreshServer(start, {}, async (target) => {
        const runs = options.query ? 200 : 15
        const result = await load(target, 'list', { objects: 10_000, runs, query: '', isCompressed: false, ...options })
        note(`${(result.bytes / 1e6).toFixed(result.bytes < 1e5 ? 3 : 1)} MB`)
        return median(result.ms)
      }),
  }
}

/** How many times longer the slowest hundredth of a modest client's requests takes while another is greedy. */
const fairness: Case = {
  name: 'fairness',
  title: () => 'p99 of a client beside a greedy one, against alone',
  unit: 'times',
  better: 'less',
  runs: 3,
  measure: (start, isFull, note) =>
    onFreshServer(start, {}, async (target) => {
      const tokens = await load(target, 'fairnessClients', {})
      const seconds = isFull ? 15 : 5
      const modest = () => load(target, 'fairness', { client: 'modest', token: tokens.modest, seconds })
      const quiet = await modest()
      const [beside, greedy] = await Promise.all([
        modest(),
        load(target, 'fairness', { client: 'greedy', token: tokens.greedy, seconds: seconds + 2 }),
      ])
      const told = (of: typeof quiet) => `${of.p99Ms.toFixed(1)} ms (${Math.round(of.perSecond)}/s)`
      note(`p99 ${told(quiet)} alone, ${told(beside)} beside; the greedy one ${told(greedy)}, ${greedy.errors} turned away`)
      return beside.p99Ms / quiet.p99Ms
    }),
}

/** `connections`: of HTTP/2 that all watches share, as those of client-go's informers do; else each has one of HTTP/1.1 for itself. */
function watch(name: string, watchers: number, title: string, connections?: number): Case {
  return {
    name,
    title: () => `watch deliveries to ${thousands(watchers)} watchers${title}`,
    unit: '/s',
    better: 'more',
    runs: 3,
    wantedRatio: 8,
    measure: (start, isFull, note) =>
      onFreshServer(start, {}, async (target) => {
        const objects = (isFull ? 2_000_000 : 500_000) / watchers
        const cpu = cpuOf(target)
        const options = { watchers, writers: 64, objects, ...(connections ? { connections } : {}) }
        const result = await load(target, 'watches', options, cpu.begin)
        const { deliveries, seconds, resumed, clientCpuMicros } = result
        note(
          `${thousands(deliveries)} in ${seconds.toFixed(2)} s, ${cpu.each(deliveries)}, client ${clientCpuMicros.toFixed(1)} µs${resumed > 0 ? `, ${resumed} watches ended by the server and resumed` : ''}`,
        )
        return result.perSecond
      }),
  }
}

/** Of a scheduling case; shapes are scheduler_perf's, sizes our own. */
type Sizes = readonly [nodes: number, before: number, pods: number]

function schedulingCase(shape: SchedulingShape, short: Sizes, full: Sizes): Case {
  return {
    name: `schedule-${shape}`,
    title: (isFull) => `pods scheduled on ${thousands((isFull ? full : short)[0])} nodes: ${shape}`,
    unit: '/s',
    better: 'more',
    runs: 1,
    measure: (start, isFull, note) =>
      onFreshServer(start, { hasControllers: true }, async (target) => {
        const [nodes, before, pods] = isFull ? full : short
        note(`${thousands(pods)} pods after ${thousands(before)}`)
        return (await load(target, 'scheduling', { shape, nodes, before, pods })).perSecond
      }),
  }
}

/** Inside the scheduler, by itself: decisions a second of the processor, or megabytes. */
function decisionCase(shape: string, target: number, [nodes, pods]: readonly [nodes: number, pods: number]): Case {
  const isMemory = shape === 'memory'
  const what = isMemory ? `the scheduler's memory with ${thousands(pods)} pods` : `decisions inside the scheduler: ${shape}`
  return {
    name: `decide-${shape}`,
    title: () => `${what}, ${thousands(nodes)} nodes`,
    unit: isMemory ? 'MB' : '/s',
    better: isMemory ? 'less' : 'more',
    runs: isMemory ? 1 : 3,
    target,
    isAlone: true,
    async measure() {
      checkInterrupted()
      const script = join(import.meta.dirname, 'scheduler.ts')
      return Number((await promisify(execFile)(process.execPath, [script, shape, String(nodes), String(pods)])).stdout)
    },
  }
}

/** Why there can be no real containers here. */
function checkContainers(): void {
  const missing = missingPrograms()
  if (process.getuid?.() !== 0) throw new Error('real containers need root')
  if (missing.length > 0) throw new Error(`real containers need ${missing.join(', ')}`)
}

function containerCase(name: string, title: string, unit: string, measure: (target: Target) => Promise<number>): Case {
  return {
    name,
    title: () => title,
    unit,
    better: 'less',
    runs: 1,
    async measure(start) {
      checkContainers()
      return onFreshServer(start, { hasRealNode: true }, measure)
    },
  }
}

export const cases: readonly Case[] = [
  {
    name: 'start',
    title: () => 'exec to /readyz',
    unit: 'ms',
    better: 'less',
    runs: 5,
    target: 500,
    measure: (start) => onFreshServer(start, {}, async ({ startMs }) => startMs),
  },
  {
    name: 'memory',
    title: () => 'memory at rest, no nodes',
    unit: 'MB',
    better: 'less',
    runs: 3,
    target: 150,
    measure: (start) => onFreshServer(start, { hasControllers: true }, memoryAtRest),
  },
  {
    name: 'memory-pods',
    title: (isFull) => (isFull ? 'memory with 1,000 nodes and 10,000 pods' : 'memory with 100 nodes and 1,000 pods'),
    unit: 'MB',
    better: 'less',
    runs: 1,
    measure: (start, isFull) => {
      const nodes = isFull ? 1_000 : 100
      return onFreshServer(start, { nodes }, async (target) => {
        await load(target, 'fill', { nodes, pods: nodes * 10 })
        return memoryAtRest(target)
      })
    },
  },
  {
    name: 'memory-held',
    title: (isFull) => `memory with ${thousands(heldPods(isFull))} pods that wait`,
    unit: 'MB',
    better: 'less',
    runs: 1,
    wantedRatio: 1,
    measure: (start, isFull) =>
      onFreshServer(start, { hasControllers: true }, async (target) => {
        await load(target, 'hold', { objects: heldPods(isFull) })
        return memoryAtRest(target)
      }),
  },
  requests('creates', 'durable creates of 1 kB', { wantedRatio: 4 }),
  requests('gets', 'GETs of 1 kB', { wantedRatio: 8 }),
  requests('applies', 'server-side applies of 1 kB', { wantedRatio: 4 }),
  requests('reviews', 'SubjectAccessReviews among 5,000 bindings', { name: 'authorize' }),
  requests('creates', 'creates of 1 kB of a custom kind', { name: 'custom', subject: 'custom' }),
  requests('creates', 'creates of 1 kB past a validating webhook', { name: 'webhook', subject: 'webhook' }),
  requests('creates', 'creates of 1 kB past a policy of three rules', { name: 'policy', subject: 'policy' }),
  fairness,
  lists('list', 'LIST of 10,000 pods', {}, 10),
  lists('list-gzip', 'LIST of 10,000 pods, compressed', { isCompressed: true }),
  lists('list-selector', 'LIST of 10 of 10,000 pods by a label', { query: '?labelSelector=part%3Dp-7' }),
  lists('list-node', 'LIST of 100 of 10,000 pods by their node', { query: '?fieldSelector=spec.nodeName%3Dnode-7', nodes: 100 }),
  {
    name: 'gets-beside-lists',
    title: () => 'p99 of GETs by 8 while 10,000 pods are listed',
    unit: 'ms',
    better: 'less',
    runs: 1,
    measure: (start, isFull, note) =>
      onFreshServer(start, {}, async (target) => {
        const options = { connections: 8, seconds: isFull ? 15 : 5, objects: 10_000 }
        const { perSecond, p50Ms, p99Ms, lists: count } = await load(target, 'getsBesideLists', options)
        note(`p50 ${p50Ms.toFixed(1)} ms, ${thousands(Math.round(perSecond))} GETs/s, ${count} LISTs`)
        return p99Ms
      }),
  },
  watch('watch-100', 100, ''),
  watch('watch-1000', 1_000, ''),
  watch('watch-shared', 1_000, ' on 10 connections of HTTP/2', 10),
  schedulingCase('plain', [500, 500, 1_000], [5_000, 1_000, 5_000]),
  schedulingCase('affinity', [500, 200, 500], [5_000, 1_000, 2_000]),
  schedulingCase('anti-affinity', [500, 100, 400], [5_000, 1_000, 2_000]),
  schedulingCase('spread', [500, 500, 500], [5_000, 5_000, 2_000]),
  // As many low ones as fill the nodes: each measured pod needs the room of several.
  schedulingCase('preemption', [100, 400, 100], [5_000, 20_000, 2_000]),
  decisionCase('plain', 5_000, [5_000, 5_000]),
  decisionCase('affinity', 1_000, [5_000, 5_000]),
  decisionCase('anti-affinity', 1_000, [5_000, 5_000]),
  decisionCase('spread', 1_500, [5_000, 5_000]),
  decisionCase('preemption', 1_000, [5_000, 2_000]),
  decisionCase('memory', 3_000, [15_000, 300_000]),
  {
    name: 'deployment',
    title: (isFull) => (isFull ? 'a Deployment of 5,000 pods on 1,000 nodes' : 'a Deployment of 500 pods on 100 nodes'),
    unit: 's',
    better: 'less',
    runs: 1,
    measure: (start, isFull, note) => {
      const nodes = isFull ? 1_000 : 100
      return onFreshServer(start, { nodes }, async (target) => {
        const seconds = await load(target, 'deployment', { nodes, replicas: nodes * 5 })
        note(`${Math.round((nodes * 5) / seconds)} pods/s`)
        return seconds
      })
    },
  },
  {
    name: 'rolling',
    title: (isFull) => `${isFull ? 500 : 50} Deployments of 2 pods roll to a new image`,
    unit: 's',
    better: 'less',
    runs: 1,
    measure: (start, isFull) =>
      onFreshServer(start, { nodes: 100 }, (target) => load(target, 'rolling', { nodes: 100, deployments: isFull ? 500 : 50 })),
  },
  {
    name: 'fleet',
    title: (isFull) => (isFull ? '10,000 Deployments of 5 pods on 1,000 nodes' : '300 Deployments of 5 pods on 30 nodes'),
    unit: 'pods/s',
    better: 'more',
    runs: 1,
    target: 100,
    measure: (start, isFull, note) => {
      const [nodes, deployments] = isFull ? [1_000, 10_000] : [30, 300]
      return onFreshServer(start, { nodes }, async (target) => {
        const seconds = await load(target, 'fleet', { nodes, deployments })
        await rest(REST_MS)
        const [memoryMb, before] = [target.memoryMb(), target.cpuSeconds()]
        await rest(WATCHED_REST_MS)
        const share = (target.cpuSeconds() - before) / (WATCHED_REST_MS / 1000)
        note(`${Math.round(seconds)} s; then ${Math.round(memoryMb)} MB, and at rest ${(share * 100).toFixed(1)}% of a core`)
        return (deployments * 5) / seconds
      })
    },
  },
  {
    name: 'namespace',
    title: () => 'deleting a namespace with 5,000 objects',
    unit: 's',
    better: 'less',
    runs: 3,
    measure: (start) => onFreshServer(start, { hasControllers: true }, (target) => load(target, 'namespaceDeletion', { objects: 5_000 })),
  },
  containerCase('container', 'create to Running of a real container, median of 10', 'ms', async (target) =>
    median(await load(target, 'containers', { pods: 10, image: PAUSE_IMAGE })),
  ),
  containerCase('containers-30', '30 real containers at once, create to Running', 's', (target) =>
    load(target, 'containersAtOnce', { pods: 30, image: PAUSE_IMAGE }),
  ),
]
