/**
 * Parts that run until they are told to stop: started in the order of their listing, stopped in reverse, each fully before the
 * next. A part that ends by itself or fails stops the others.
 */
import { aborted, isAbort } from '../base/abort.ts'

export interface Part {
  readonly name: string
  /** Resolves when the signal has aborted and everything of the part has ended. */
  run(signal: AbortSignal): Promise<void>
}

interface Running {
  readonly stop: AbortController
  readonly ended: Promise<void>
}

export interface Lifecycle {
  start(part: Part): void
  /** Rejects when a part fails; pending otherwise. */
  readonly failed: Promise<never>
  /** Stops everything, in reverse order of starting. Rejects with the first failure of a part. */
  stop(): Promise<void>
}

export function createLifecycle(): Lifecycle {
  const running: Running[] = []
  const failure = Promise.withResolvers<never>()
  failure.promise.catch(() => {})
  let isStopping = false
  return {
    failed: failure.promise,
    start(part) {
      const stop = new AbortController()
      const ended = part.run(stop.signal).then(
        () => {
          if (!isStopping) failure.reject(new Error(`${part.name} ended although nobody stopped it`))
        },
        (error: unknown) => {
          if (stop.signal.aborted && isAbort(error)) return
          failure.reject(new Error(`${part.name} failed: ${error instanceof Error ? error.message : String(error)}`, { cause: error }))
        },
      )
      running.push({ stop, ended })
    },
    async stop() {
      isStopping = true
      for (let part = running.pop(); part; part = running.pop()) {
        part.stop.abort()
        await part.ended
      }
    },
  }
}

/** For a part that only has to be closed: waits for the signal, then closes it. */
export async function until(signal: AbortSignal, close: () => Promise<void>): Promise<void> {
  await aborted(signal)
  await close()
}
