/**
 * What is measured, and against what. A target is a figure, never an assertion: the project's own first aims for two cores. For
 * the rollout it is what upstream's programs took on a machine of this kind with kwok's nodes: 177 s.
 */
import { fork } from 'node:child_process'
import { join } from 'node:path'
import type { JobName, JobOptions, JobResult } from './jobs.ts'
import type { StartOptions, Target } from './target.ts'

export interface Case {
  readonly name: string
  readonly title: string
  readonly unit: string
  readonly better: 'less' | 'more'
  readonly target: number
  readonly runs: number
  /** One run's figure; the median of all counts. `note` gets details worth printing. */
  measure(start: (options?: StartOptions) => Promise<Target>, note: (text: string) => void): Promise<number>
}

function load<N extends JobName>(target: Target, job: N, options: JobOptions<N>): Promise<JobResult<N>> {
  const child = fork(join(import.meta.dirname, 'load.ts'), { execArgv: ['--disable-warning=ExperimentalWarning'] })
  return new Promise((resolve, reject) => {
    child.once('message', (message) => {
      const answer = message as { readonly result?: JobResult<N>; readonly error?: string }
      if (answer.error) reject(new Error(answer.error))
      else resolve(answer.result!)
    })
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`the load process ended with code ${code}`)))
    child.send({ kubeconfig: target.kubeconfig, job, options })
  })
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

/** Starts, measures and stops, whatever happens. */
async function onFreshServer(
  start: (options?: StartOptions) => Promise<Target>,
  measure: (target: Target) => Promise<number>,
): Promise<number> {
  const target = await start()
  try {
    return await measure(target)
  } finally {
    await target.stop()
  }
}

const latencies = ({ p50Ms, p99Ms, errors }: JobResult<'gets'>): string =>
  `p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms${errors > 0 ? `, ${errors} errors` : ''}`

/** Time for the server to come to rest before its memory is read. */
const REST_MS = 5_000

export const cases: readonly Case[] = [
  {
    name: 'start',
    title: 'exec to /readyz',
    unit: 'ms',
    better: 'less',
    target: 1000,
    runs: 5,
    measure: (start) => onFreshServer(start, async ({ startMs }) => startMs),
  },
  {
    name: 'memory',
    title: 'memory at rest',
    unit: 'MB',
    better: 'less',
    target: 150,
    runs: 3,
    measure: (start) =>
      onFreshServer(start, async (target) => {
        await new Promise((resolve) => setTimeout(resolve, REST_MS))
        return target.memoryMb()
      }),
  },
  {
    name: 'creates',
    title: 'durable creates of 1 kB, 64 connections',
    unit: '/s',
    better: 'more',
    target: 5_000,
    runs: 3,
    measure: (start, note) =>
      onFreshServer(start, async (target) => {
        const result = await load(target, 'creates', { connections: 64, seconds: 5 })
        note(latencies(result))
        return result.perSecond
      }),
  },
  {
    name: 'gets',
    title: 'GETs of 1 kB, 64 connections',
    unit: '/s',
    better: 'more',
    target: 10_000,
    runs: 3,
    measure: (start, note) =>
      onFreshServer(start, async (target) => {
        const result = await load(target, 'gets', { connections: 64, seconds: 5 })
        note(latencies(result))
        return result.perSecond
      }),
  },
  {
    name: 'list',
    title: 'LIST of 10,000 objects (10 MB)',
    unit: 'ms',
    better: 'less',
    target: 30,
    runs: 3,
    measure: (start, note) =>
      onFreshServer(start, async (target) => {
        const result = await load(target, 'list', { objects: 10_000, runs: 9 })
        note(`${(result.bytes / 1e6).toFixed(1)} MB`)
        return median(result.ms)
      }),
  },
  {
    name: 'watch',
    title: 'watch deliveries to 100 watchers',
    unit: '/s',
    better: 'more',
    target: 200_000,
    runs: 3,
    measure: (start, note) =>
      onFreshServer(start, async (target) => {
        const result = await load(target, 'watches', { watchers: 100, writers: 16, objects: 5_000 })
        note(`${result.deliveries} in ${result.seconds.toFixed(2)} s`)
        return result.perSecond
      }),
  },
  {
    name: 'rollout',
    title: 'a Deployment of 5,000 pods on 1,000 nodes',
    unit: 's',
    better: 'less',
    target: 177,
    runs: 1,
    measure: (start, note) =>
      onFreshServer(
        () => start({ nodes: 1_000 }),
        async (target) => {
          const seconds = await load(target, 'rollout', { nodes: 1_000, replicas: 5_000, timeoutSeconds: 600 })
          note(`${Math.round(5_000 / seconds)} pods/s; then ${Math.round(target.memoryMb())} MB`)
          return seconds
        },
      ),
  },
]
