/**
 * Keeps the thread shared. Work that only awaits promises never lets timers and sockets have their turn, however long it goes on: in one
 * process a controller, the server and its memory store can answer each other for minutes. Who starts such work asks here first.
 */
import { sleep } from './clock.ts'
import type { Clock } from './clock.ts'

export interface Turns {
  /** What to wait for before going on; undefined when the others need not have their turn yet. */
  due(): Promise<void> | undefined
}

/** How long promises may keep the thread. */
const SLICE_MS = 20
/** When nobody asked for this long, others had their turn. */
const PAUSE_MS = 4

export function createTurns(clock: Clock): Turns {
  let sinceMs = -Infinity
  let askedMs = -Infinity
  let turn: Promise<void> | undefined
  return {
    due() {
      if (turn) return turn
      const now = clock.monotonic()
      if (now - askedMs > PAUSE_MS) sinceMs = now
      askedMs = now
      if (now - sinceMs < SLICE_MS) return undefined
      turn = sleep(clock, 0).then(() => {
        turn = undefined
        sinceMs = askedMs = clock.monotonic()
      })
      return turn
    },
  }
}
