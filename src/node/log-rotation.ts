/**
 * Keeps containers' logs small: one that has grown to its greatest size is renamed, and the runtime begins a new one. The newest rotated
 * log stays as it is, so that whoever follows it can finish; older ones are compressed, and the oldest go. As upstream's
 * pkg/kubelet/logs, so that log collectors find what they know: `0.log`, `0.log.20260102-150405`, `0.log.20260102-140000.gz`.
 */
import { toNumber } from '../api/quantity.ts'
import type { Clock } from '../base/clock.ts'
import type { NodeConfiguration } from './configuration.ts'
import type { Host } from './host.ts'

const COMPRESSED = '.gz'
const UNFINISHED = '.tmp'

export interface RotationStep {
  readonly remove: readonly string[]
  readonly compress: readonly string[]
}

/** What to do with rotated logs, named without their directory, before another is added. */
export function planRotation(rotated: readonly string[], maxFiles: number): RotationStep {
  const isInUse = (name: string) => !name.endsWith(UNFINISHED) && (name.endsWith(COMPRESSED) || !rotated.includes(name + COMPRESSED))
  const used = rotated.filter(isInUse).toSorted()
  // The current log and the one it is about to become are not among them.
  const excess = Math.max(0, used.length - Math.max(0, maxFiles - 2))
  return {
    remove: [...rotated.filter((name) => !isInUse(name)), ...used.slice(0, excess)],
    compress: used.slice(excess).filter((name) => !name.endsWith(COMPRESSED)),
  }
}

/** "20260102-150405" */
const stamp = (ms: number): string => new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')

export const splitPath = (path: string): { readonly directory: string; readonly name: string } => {
  const slash = path.lastIndexOf('/')
  return { directory: path.slice(0, slash), name: path.slice(slash + 1) }
}

export interface RotationOptions {
  readonly clock: Clock
  readonly host: Host
  readonly configuration: Pick<NodeConfiguration, 'containerLogMaxFiles' | 'containerLogMaxSize'>
  reopen(containerId: string): Promise<void>
}

/** Looks at one log of a running container. */
export async function rotateLog({ clock, host, configuration, reopen }: RotationOptions, containerId: string, path: string): Promise<void> {
  const size = await host.fileSize(path)
  // Somebody removed it, or an earlier rotation was cut short.
  if (size === undefined) return reopen(containerId)
  if (size < toNumber(configuration.containerLogMaxSize)) return
  const { directory, name } = splitPath(path)
  const rotated = (await host.listDirectory(directory)).filter((other) => other.startsWith(`${name}.`))
  const { remove, compress } = planRotation(rotated, configuration.containerLogMaxFiles)
  for (const old of remove) await host.removeTree(`${directory}/${old}`)
  for (const old of compress) {
    const from = `${directory}/${old}`
    await host.compress(from, from + COMPRESSED, from + UNFINISHED)
  }
  const next = `${path}.${stamp(clock.now())}`
  await host.rename(path, next)
  try {
    await reopen(containerId)
  } catch (error) {
    // Tried again at the next look, with nothing lost.
    await host.rename(next, path)
    throw error
  }
}

/** A run's log with all that was rotated away from it. */
export async function removeLogs(host: Host, path: string): Promise<void> {
  const { directory, name } = splitPath(path)
  for (const other of await host.listDirectory(directory))
    if (other === name || other.startsWith(`${name}.`)) await host.removeTree(`${directory}/${other}`)
}
