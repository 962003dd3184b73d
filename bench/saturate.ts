/** Load by connections of which each asks again as soon as it is answered, and what that measures. */
import { tellBegun } from './asking.ts'
import type { Connection } from './connection.ts'

export interface Throughput {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly errors: number
}

function percentile(sorted: Float64Array, share: number): number {
  return sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
}

/** Each connection asks again as soon as it is answered; what ends inside the window counts. */
export async function saturate(
  connections: readonly Connection[],
  warmUpMs: number,
  windowMs: number,
  ask: (connection: Connection) => Promise<boolean>,
): Promise<Throughput> {
  const start = performance.now() + warmUpMs
  const end = start + windowMs
  const latencies: number[] = []
  let errors = 0
  setTimeout(tellBegun, warmUpMs)
  await Promise.all(
    connections.map(async (connection) => {
      for (let now = performance.now(); now < end;) {
        const asked = now
        const isRight = await ask(connection)
        now = performance.now()
        if (now < start || now >= end) continue
        if (isRight) latencies.push(now - asked)
        else errors++
      }
    }),
  )
  const sorted = Float64Array.from(latencies).toSorted()
  return { perSecond: (latencies.length * 1000) / windowMs, p50Ms: percentile(sorted, 0.5), p99Ms: percentile(sorted, 0.99), errors }
}
