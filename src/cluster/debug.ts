/** The paths by which people look into a running API server: profiles, flags, and since when it runs. */
import type { Runtime } from '../base/runtime.ts'
import { createFlagPaths } from '../server/debug/flag-paths.ts'
import { createProfilingPaths } from '../server/debug/profiling.ts'
import { createZpages } from '../server/debug/zpages.ts'
import { createProfiler } from '../server/http/profiler.ts'
import type { PathHandler } from '../server/router.ts'
import { apiServerFlags, type ApiServerSettings } from './api-server-flags.ts'
import { UserError } from './user-error.ts'

export interface DebugSetup {
  readonly isProfiling?: boolean
  /** Values by name, as the server was started. */
  readonly flags?: Readonly<Record<string, string>>
  /** Absent: how much is logged does not change. */
  readonly setVerbosity?: (level: number) => void
}

export function readDebugSetup(settings: ApiServerSettings): DebugSetup {
  const { profiling = 'true' } = settings
  if (profiling !== 'true' && profiling !== 'false')
    throw new UserError(`--profiling must be true or false, not ${JSON.stringify(profiling)}`)
  const flags = Object.fromEntries(apiServerFlags.map(({ name }) => [name, settings[name] ?? '']))
  return { isProfiling: profiling === 'true', flags: { ...flags, profiling } }
}

export const debugPaths = (
  { clock }: Runtime,
  { isProfiling = true, flags = {}, setVerbosity }: DebugSetup = {},
): readonly PathHandler[] => [
  createZpages({ clock, flags }),
  ...(isProfiling ? [createProfilingPaths(createProfiler(clock)), ...(setVerbosity ? [createFlagPaths(setVerbosity)] : [])] : []),
]
