/** Whether an error is only the end that an AbortSignal asked for. */
export const isAbort = (error: unknown): boolean => error instanceof Error && error.name === 'AbortError'
