/** Where the time went: the functions of a CPU profile with the most time of their own. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

export interface Hotspot {
  readonly place: string
  readonly share: number
}

const root = join(import.meta.dirname, '..')

function placeOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const name = functionName || '(anonymous)'
  if (!url) return name
  const file = url.startsWith('file:') ? fileURLToPath(url).replace(`${root}/`, '') : url
  return `${name} ${file}:${lineNumber + 1}`
}

/** Shares of the busy time, idling left out. */
export function hotspots(profile: CpuProfile, count: number): readonly Hotspot[] {
  const placeById = new Map(profile.nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]))
  const times = new Map<string, number>()
  let busy = 0
  for (let i = 0; i < profile.samples.length; i++) {
    const place = placeById.get(profile.samples[i]!)!
    if (place === '(idle)' || place === '(program)') continue
    const time = profile.timeDeltas[i]!
    busy += time
    times.set(place, (times.get(place) ?? 0) + time)
  }
  return [...times]
    .toSorted((a, b) => b[1] - a[1])
    .slice(0, count)
    .map(([place, time]) => ({ place, share: time / busy }))
}

/** The largest profile in the directory: the main thread's, workers write their own. */
export function readMainProfile(directory: string): CpuProfile {
  const texts = readdirSync(directory)
    .filter((name) => name.endsWith('.cpuprofile'))
    .map((name) => readFileSync(join(directory, name), 'utf8'))
  const largest = texts.toSorted((a, b) => b.length - a.length)[0]
  if (!largest) throw new Error(`no CPU profile in ${directory}`)
  return JSON.parse(largest) as CpuProfile
}
