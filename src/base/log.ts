/**
 * Structured log: a constant message and fields. `error` is for what a person must look at, `warn` for what was worked around,
 * `info` for changes of state, `debug` for following a single object. No secret may be a field.
 */
export type LogFields = Readonly<Record<string, unknown>>

export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** A log that adds these fields to every line. */
  with(fields: LogFields): Log
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Receives each line; adapters print it, tests keep it. */
export type LogSink = (level: LogLevel, message: string, fields: LogFields) => void

const ORDER: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']

/** `minimum` may be asked anew for each line. */
export function createLog(sink: LogSink, minimum: LogLevel | (() => LogLevel) = 'info', fields: LogFields = {}): Log {
  const least = typeof minimum === 'function' ? minimum : () => minimum
  const write = (level: LogLevel) => (message: string, extra?: LogFields) => {
    if (ORDER.indexOf(level) >= ORDER.indexOf(least())) sink(level, message, extra ? { ...fields, ...extra } : fields)
  }
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    with: (more) => createLog(sink, minimum, { ...fields, ...more }),
  }
}

/** A log that nobody reads. */
export const silentLog: Log = createLog(() => {}, 'error')
