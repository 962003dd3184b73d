/** Calls on their way to the server, at most so many at a time; the scheduling loop waits while the limit is reached. */
export interface Limiter {
  readonly running: number
  /** Starts the task at once. It must handle its own failures. */
  start(task: () => Promise<void>): void
  /** Resolves when fewer than the maximum run. */
  room(): Promise<void>
  /** Resolves when none runs. */
  idle(): Promise<void>
}

export function createLimiter(maximum: number): Limiter {
  let running = 0
  const waiting: { readonly below: number; readonly resolve: () => void }[] = []

  function below(limit: number): Promise<void> {
    if (running < limit) return Promise.resolve()
    return new Promise((resolve) => waiting.push({ below: limit, resolve }))
  }

  function release(): void {
    running--
    for (let i = waiting.length - 1; i >= 0; i--) if (running < waiting[i]!.below) waiting.splice(i, 1)[0]!.resolve()
  }

  return {
    get running() {
      return running
    },
    start(task) {
      running++
      void task().finally(release)
    },
    room: () => below(maximum),
    idle: () => below(1),
  }
}
