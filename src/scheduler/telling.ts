/**
 * Holds back what is to be told of pods that found their node while others are still being placed: the writes that bind pods go before
 * those that tell of it. Told when no pod has been decided on for a moment, when many wait, or after a second.
 */
import type { Clock } from '../base/clock.ts'

const QUIET_MS = 5
const MAXIMUM_DELAY_MS = 1_000
const MAXIMUM_HELD = 500

export interface Telling {
  /** A pod is being decided on: who tells, waits. */
  busy(): void
  later(tell: () => void): void
  /** Tells everything now. */
  flush(): void
}

export function createTelling(clock: Clock): Telling {
  let held: (() => void)[] = []
  let sinceMs = 0
  let busyMs = -Infinity
  let cancel: (() => void) | undefined

  function flush(): void {
    cancel?.()
    cancel = undefined
    const telling = held
    held = []
    for (const tell of telling) tell()
  }

  function look(): void {
    cancel = undefined
    const now = clock.monotonic()
    if (now - busyMs >= QUIET_MS || now - sinceMs >= MAXIMUM_DELAY_MS) flush()
    else cancel = clock.setTimeout(look, QUIET_MS)
  }

  return {
    busy() {
      busyMs = clock.monotonic()
    },
    later(tell) {
      if (held.length === 0) sinceMs = clock.monotonic()
      held.push(tell)
      if (held.length >= MAXIMUM_HELD) flush()
      else cancel ??= clock.setTimeout(look, QUIET_MS)
    },
    flush,
  }
}
