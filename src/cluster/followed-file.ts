/** Configuration files: read once before anything starts, and some looked at again while the server runs. */
import { readFileSync } from 'node:fs'
import { every } from '../base/clock.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Lifecycle } from './lifecycle.ts'
import { UserError } from './user-error.ts'

/** A file whose text is followed, and what it said at the start. */
export interface Followed<T> {
  readonly path: string
  readonly text: string
  readonly value: T
  /** Of a text that changed. */
  read(text: string): T
}

/** How often files are looked at. */
const FOLLOW_MS = 10_000

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** What goes wrong with a flag's file is the user's to mend. */
export function reading<T>(what: string, file: string, read: (text: string) => T): T {
  try {
    return read(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new UserError(`${what} ${file}: ${messageOf(error)}`)
  }
}

/** `reread` where a running server takes less than one that starts: it is told what the file said then. */
export function followed<T>(
  what: string,
  path: string | undefined,
  read: (text: string) => T,
  reread: (text: string, first: T) => T = read,
): Followed<T> | undefined {
  if (path === undefined) return undefined
  return reading(what, path, (text) => {
    const value = read(text)
    return { path, text, value, read: (next) => reread(next, value) }
  })
}

/** Takes what the file says from now on; one that cannot be used is logged, and the one before it stays in force. */
export function follow<T>(runtime: Runtime, lifecycle: Lifecycle, { path, text, read }: Followed<T>, take: (value: T) => void): void {
  let known = text
  const look = (): void => {
    try {
      const now = readFileSync(path, 'utf8')
      if (now === known) return
      known = now
      take(read(now))
      runtime.log.info('a configuration was read anew', { path })
    } catch (error) {
      runtime.log.error('a configuration that changed cannot be used; the one before it stays', { path, error: messageOf(error) })
    }
  }
  lifecycle.start({ name: `follow ${path}`, run: (signal) => every(runtime.clock, FOLLOW_MS, signal, look) })
}
