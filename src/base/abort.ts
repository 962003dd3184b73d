/** Whether an error is only the end that an AbortSignal asked for. */
export const isAbort = (error: unknown): boolean => error instanceof Error && error.name === 'AbortError'

/** Resolves when the signal aborts, at once when it has. */
export const aborted = (signal: AbortSignal): Promise<void> =>
  signal.aborted ? Promise.resolve() : new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
