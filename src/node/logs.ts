/**
 * Reads a container's log as `kubectl logs` wants it: the last lines, since a time, at most so many bytes, one stream of the two,
 * with times in front, and on to what is written yet. As upstream's kubelet, from the current log only: what was rotated away before is left
 * to log collectors, what is rotated away meanwhile is followed.
 */
import type { LogOptions } from '../api/node-service.ts'
import type { Host } from './host.ts'
import { parseLogLine, splitLines, type LogLine } from './log-format.ts'

export interface LogRequest extends Omit<LogOptions, 'container' | 'previous'> {
  readonly path: string
  /** Wall clock now, for sinceSeconds. */
  readonly nowMs: number
  /** Resolves when the container writes no more. */
  readonly ended: Promise<void>
  readonly signal: AbortSignal
}

const FIRST_TAIL_BYTES = 64 * 1024
/** A line without end is cut here: no container may fill the node's memory by its log. */
const MAX_LINE_BYTES = 1024 * 1024
const NEWLINE = 0x0a
const encoder = new TextEncoder()

/** The offset at which the last `lines` lines begin, of those that are there now: the container may be writing on meanwhile. */
async function tailOffset(host: Host, path: string, lines: number, signal: AbortSignal): Promise<number> {
  const size = (await host.fileSize(path)) ?? 0
  if (lines === 0) return size
  for (let limit = FIRST_TAIL_BYTES; ; limit *= 4) {
    const start = Math.max(0, size - limit)
    const tail = await readRange(host, path, start, size, signal)
    let found = 0
    // The line end of the last line does not begin another.
    for (let at = tail.length - 2; at >= 0; at--) if (tail[at] === NEWLINE && ++found === lines) return start + at + 1
    if (start === 0) return 0
  }
}

async function readRange(host: Host, path: string, start: number, end: number, signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let left = end - start
  for await (const chunk of host.readLog(path, { fromByte: start, signal })) {
    chunks.push(chunk.subarray(0, left))
    left -= chunk.length
    if (left <= 0) break
  }
  return concat(chunks)
}

function sinceMs({ sinceSeconds, sinceTime, nowMs }: LogRequest): number | undefined {
  if (sinceTime !== undefined) return Date.parse(sinceTime)
  return sinceSeconds === undefined ? undefined : nowMs - sinceSeconds * 1000
}

export async function* readLogs(host: Host, request: LogRequest): AsyncGenerator<Uint8Array> {
  const since = sinceMs(request)
  const wanted = request.stream === 'Stdout' ? 'stdout' : request.stream === 'Stderr' ? 'stderr' : undefined
  let left = request.limitBytes ?? Infinity
  // No more lines than were asked for, whatever is written while they are read.
  let linesLeft = request.follow ? Infinity : (request.tailLines ?? Infinity)
  let isLineStart = true

  function* render(lines: readonly Uint8Array[]): Generator<Uint8Array> {
    const parts: Uint8Array[] = []
    for (const raw of lines) {
      if (linesLeft <= 0) break
      const line = parseLogLine(raw)
      if (line) linesLeft--
      if (!line || (wanted && line.stream !== wanted) || (since !== undefined && Date.parse(line.time) < since)) continue
      parts.push(...show(line))
    }
    const bytes = concat(parts)
    const shown = bytes.length > left ? bytes.subarray(0, left) : bytes
    left -= shown.length
    if (shown.length > 0) yield shown
  }

  function show(line: LogLine): Uint8Array[] {
    const prefix = request.timestamps && isLineStart ? [encoder.encode(`${line.time} `)] : []
    isLineStart = !line.isPartial
    return line.isPartial ? [...prefix, line.text] : [...prefix, line.text, Uint8Array.of(NEWLINE)]
  }

  const fromByte = request.tailLines === undefined ? 0 : await tailOffset(host, request.path, request.tailLines, request.signal)
  let rest: Uint8Array = new Uint8Array()
  const atEnd = new AbortController()
  if (request.follow) void request.ended.then(() => atEnd.abort())
  const following = request.follow ? { until: atEnd.signal } : {}
  for await (const chunk of host.readLog(request.path, { fromByte, signal: request.signal, ...following })) {
    const split = splitLines(rest.length > 0 ? concat([rest, chunk]) : chunk)
    rest = split.rest.length > MAX_LINE_BYTES ? new Uint8Array() : split.rest
    yield* render(split.lines)
    if (left <= 0 || linesLeft <= 0) return
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
