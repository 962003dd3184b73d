/**
 * Time is passed in: no part of proa reads a clock or sets a timer except through this interface, so that a whole cluster can
 * run in virtual time (see src/simulation) and a test never waits for the wall.
 */
export interface Clock {
  /** Wall time in milliseconds since 1970 (UTC). */
  now(): number
  /** Milliseconds from an arbitrary start, never going back: for durations. */
  monotonic(): number
  /** Calls `callback` once after `delayMs`; the returned function cancels it. */
  setTimeout(callback: () => void, delayMs: number): () => void
}

/** The wall time as the API writes it (RFC 3339, whole seconds): metav1.Time. */
export function timestamp(clock: Clock): string {
  const second = Math.floor(clock.now() / 1000)
  if (second !== lastSecond) {
    lastSecond = second
    lastText = `${new Date(second * 1000).toISOString().slice(0, 19)}Z`
  }
  return lastText
}

/** Thousands of timestamps a second are the same text. */
let lastSecond = Number.NaN
let lastText = ''

/** The wall time with microseconds, as metav1.MicroTime is written. */
export function microTimestamp(clock: Clock): string {
  return `${new Date(clock.now()).toISOString().slice(0, 23)}000Z`
}

/** Resolves after `delayMs`, or rejects with the signal's reason when it aborts first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const onAbort = () => {
      cancel()
      reject(signal!.reason)
    }
    const cancel = clock.setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, delayMs)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** Runs `task` every `periodMs` until the signal aborts; the next run starts a period after the last one ended. */
export async function every(clock: Clock, periodMs: number, signal: AbortSignal, task: () => Promise<void> | void): Promise<void> {
  while (!signal.aborted) {
    await task()
    await sleep(clock, periodMs, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  }
}
