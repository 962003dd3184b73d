/**
 * The log format of the Container Runtime Interface: `<RFC 3339 time with nanoseconds> <stdout|stderr> <P|F> <text>`; P is a part
 * of a line that was too long, F the end of one. In bytes, because what a container writes need not be text. Pure.
 */
export interface LogLine {
  readonly time: string
  readonly stream: 'stdout' | 'stderr'
  /** Without a line end. */
  readonly text: Uint8Array
  readonly isPartial: boolean
}

const SPACE = 0x20
const NEWLINE = 0x0a
const decoder = new TextDecoder()

/** Undefined for what is not a line of this format: a torn or foreign line. */
export function parseLogLine(line: Uint8Array): LogLine | undefined {
  const first = line.indexOf(SPACE)
  const second = first < 0 ? -1 : line.indexOf(SPACE, first + 1)
  if (second < 0) return undefined
  const third = line.indexOf(SPACE, second + 1)
  const tagEnd = third < 0 ? line.length : third
  const stream = decoder.decode(line.subarray(first + 1, second))
  if (stream !== 'stdout' && stream !== 'stderr') return undefined
  const isPartial = line[second + 1] === 0x50
  return {
    time: decoder.decode(line.subarray(0, first)),
    stream,
    text: third < 0 ? new Uint8Array() : line.subarray(tagEnd + 1),
    isPartial,
  }
}

/** The lines of a chunk and what is left of the last one, which has not ended. */
export function splitLines(bytes: Uint8Array): { readonly lines: readonly Uint8Array[]; readonly rest: Uint8Array } {
  const lines: Uint8Array[] = []
  let from = 0
  for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, from)) {
    lines.push(bytes.subarray(from, end))
    from = end + 1
  }
  return { lines, rest: bytes.subarray(from) }
}

/** The text of the last whole lines of a log, at most `maxBytes` of it. */
export function lastText(log: Uint8Array, maxLines: number, maxBytes: number): string {
  const parsed = splitLines(log)
    .lines.map(parseLogLine)
    .filter((line) => line !== undefined)
  const text = parsed.slice(-maxLines).map((line) => decoder.decode(line.text) + (line.isPartial ? '' : '\n'))
  return text.join('').slice(-maxBytes)
}

export const formatLogLine = (time: string, stream: 'stdout' | 'stderr', text: string): string => `${time} ${stream} F ${text}\n`
