/** V8's own profilers behind /debug/pprof, by the inspector of this process. They cost nothing until a profile is asked for. */
import { Session, type HeapProfiler, type Profiler as Cpu } from 'node:inspector/promises'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Clock } from '../../base/clock.ts'
import { encodePprof, type Profile, type ProfileNode } from '../debug/pprof.ts'
import type { ProfileKind, Profiler } from '../debug/profiling.ts'

const CPU_INTERVAL_US = 1000
/** One allocation in so many bytes is looked at (Go's default). */
const HEAP_INTERVAL_BYTES = 512 * 1024

const compress = promisify(gzip)

export function createProfiler(clock: Clock): Profiler {
  let isTaken = false
  return async (kind, seconds, signal) => {
    if (isTaken) return undefined
    isTaken = true
    const session = new Session()
    try {
      session.connect()
      const startMs = clock.now()
      const stop = await start(session, kind)
      await wait(clock, seconds * 1000, signal)
      const { types, period, root } = await stop()
      return await compress(encodePprof({ types, period, root, startMs, durationMs: clock.now() - startMs }))
    } finally {
      session.disconnect()
      isTaken = false
    }
  }
}

/** Shorter when nobody waits for it any more. */
const wait = (clock: Clock, ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const end = (): void => {
      cancel()
      resolve()
    }
    const cancel = clock.setTimeout(end, ms)
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
  })

type Taken = Pick<Profile, 'types' | 'period' | 'root'>

/** Begins; what it returns ends it. */
async function start(session: Session, kind: ProfileKind): Promise<() => Promise<Taken>> {
  if (kind === 'profile') {
    await session.post('Profiler.enable')
    await session.post('Profiler.setSamplingInterval', { interval: CPU_INTERVAL_US })
    await session.post('Profiler.start')
    return async () => cpuTree((await session.post('Profiler.stop')).profile)
  }
  const isAll = kind === 'allocs'
  await session.post('HeapProfiler.enable')
  await session.post('HeapProfiler.startSampling', {
    samplingInterval: HEAP_INTERVAL_BYTES,
    includeObjectsCollectedByMajorGC: isAll,
    includeObjectsCollectedByMinorGC: isAll,
  })
  return async () => {
    const { profile } = await session.post('HeapProfiler.stopSampling')
    return { types: [[isAll ? 'alloc_space' : 'inuse_space', 'bytes']], period: HEAP_INTERVAL_BYTES, root: heapTree(profile.head) }
  }
}

/** Time in which nothing ran is no function's. */
const IDLE = '(idle)'

function cpuTree({ nodes, samples = [], timeDeltas = [] }: Cpu.Profile): Taken {
  const spent = new Map<number, { count: number; us: number }>()
  for (const [index, id] of samples.entries()) {
    const sum = spent.get(id) ?? { count: 0, us: 0 }
    sum.count++
    // A delta leads up to its sample; what is negative is the clock's noise.
    sum.us += Math.max(0, timeDeltas[index + 1] ?? CPU_INTERVAL_US)
    spent.set(id, sum)
  }
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const treeOf = (node: Cpu.ProfileNode): ProfileNode => {
    const { count, us } = (node.callFrame.functionName !== IDLE && spent.get(node.id)) || { count: 0, us: 0 }
    return { callFrame: node.callFrame, values: [count, us * 1000], children: (node.children ?? []).map((id) => treeOf(byId.get(id)!)) }
  }
  return {
    types: [
      ['samples', 'count'],
      ['cpu', 'nanoseconds'],
    ],
    period: CPU_INTERVAL_US * 1000,
    root: treeOf(nodes[0]!),
  }
}

/** V8 tells how many bytes, scaled from its samples, and not how many objects. */
const heapTree = ({ callFrame, selfSize, children }: HeapProfiler.SamplingHeapProfileNode): ProfileNode => ({
  callFrame,
  values: [selfSize],
  children: children.map(heapTree),
})
