/** The log of the server process: a line of JSON an entry, on standard output. */
import type { LogFields, LogLevel } from '../base/log.ts'

/** Errors are not enumerable: say what they say. */
const printable = (_key: string, value: unknown): unknown => (value instanceof Error ? (value.stack ?? value.message) : value)

export function printLine(level: LogLevel, message: string, fields: LogFields): void {
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields }, printable)}\n`)
}
