/** What the user sees while something takes time: a line a step, with the time since the command began. */
export interface Progress {
  step(text: string): void
}

/** Writes to stderr, so that stdout keeps what other programs read. */
export function createProgress(startedAtMs: number): Progress {
  return {
    step: (text) => {
      const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(2).padStart(6)
      process.stderr.write(`${seconds} s  ${text}\n`)
    },
  }
}
