/**
 * The asking half of exec, attach and port-forward: the streams that are opened over a SPDY/3.1 connection to a container runtime's
 * streaming server or to a node's API, and how they are joined to those that somebody else holds.
 */
import type { Duplex } from 'node:stream'
import type { ByteDuplex, ExecOutcome, ExecStreams, TerminalSize } from '../api/node-service.ts'
import type { SpdyConnection, SpdyStream } from './spdy-connection.ts'

/** What to ask for when upgrading. */
export const COMMAND_PROTOCOL = 'v4.channel.k8s.io'
export const FORWARD_PROTOCOL = 'portforward.k8s.io'
/** The longest error text that is taken. */
const MAX_ERROR_BYTES = 64 * 1024

/** Runs to the end of the command or of the client; the connection is over then. */
export async function runCommand(connection: SpdyConnection, tty: boolean, streams: ExecStreams): Promise<ExecOutcome> {
  try {
    const open = (streamType: string) => connection.open({ streamtype: streamType })
    const [error, stdin, stdout, stderr, resize] = await Promise.all([
      open('error'),
      streams.stdin ? open('stdin') : undefined,
      streams.stdout ? open('stdout') : undefined,
      streams.stderr && !tty ? open('stderr') : undefined,
      tty ? open('resize') : undefined,
    ])
    const over = new AbortController()
    // The inputs may well go on when the command has ended; they are let go then.
    const inputs: Promise<void>[] = []
    if (stdin && streams.stdin) inputs.push(pumpIn(streams.stdin, stdin, over.signal))
    if (resize && streams.resize) inputs.push(pumpSizes(streams.resize, resize, over.signal))
    const outcome = readText(error).then(outcomeOf)
    await Promise.all([
      stdout && streams.stdout ? pumpOut(stdout, streams.stdout) : undefined,
      stderr && streams.stderr ? pumpOut(stderr, streams.stderr) : undefined,
      outcome,
    ])
    // The runtime may have stopped reading in the middle of an input: only the end of the connection frees its writer then.
    over.abort()
    connection.destroy()
    await Promise.all(inputs)
    return await outcome
  } finally {
    connection.destroy()
  }
}

/** Resolves when both ends have said all, with what the other end says against it; "" when it reached the port. */
export async function forwardPort(connection: SpdyConnection, port: number, client: ByteDuplex): Promise<string> {
  try {
    const headers = { port: String(port), requestid: '0' }
    const error = await connection.open({ streamtype: 'error', ...headers })
    error.end()
    const data = await connection.open({ streamtype: 'data', ...headers })
    const over = new AbortController()
    const sending = pumpIn(client.readable, data, over.signal)
    const [message] = await Promise.all([readText(error), pumpOut(data, client.writable)])
    over.abort()
    connection.destroy()
    await sending
    return message
  } finally {
    connection.destroy()
  }
}

/** Client to command. The end of the client's input is the end of the command's. */
async function pumpIn(source: ReadableStream<Uint8Array>, target: SpdyStream, signal: AbortSignal): Promise<void> {
  const reader = source.getReader()
  const stop = () => void reader.cancel().catch(() => target.destroy())
  signal.addEventListener('abort', stop, { once: true })
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      if (!(await written(target, value))) break
    }
    target.end()
  } catch {
    // The client's side broke: the command loses its input at once, and the caller sees the client gone by its own signal.
    target.destroy()
  } finally {
    signal.removeEventListener('abort', stop)
    // After the command's end the rest of the input is of no use to anybody.
    if (signal.aborted) target.destroy()
    reader.releaseLock()
  }
}

async function pumpSizes(sizes: ReadableStream<TerminalSize>, target: SpdyStream, signal: AbortSignal): Promise<void> {
  const lines = sizes.pipeThrough(new TransformStream({ transform: (size, controller) => controller.enqueue(sizeLine(size)) }))
  await pumpIn(lines, target, signal)
}

const sizeLine = ({ width, height }: TerminalSize): Buffer => Buffer.from(`${JSON.stringify({ Width: width, Height: height })}\n`)

/** Command to client. When the client does not take it any more, the command is cut off as by a closed pipe. */
async function pumpOut(source: SpdyStream, target: WritableStream<Uint8Array>): Promise<void> {
  const writer = target.getWriter()
  try {
    // The end of what we read must not end what we write to the same stream.
    for await (const chunk of source.iterator({ destroyOnReturn: false })) await writer.write(chunk as Buffer)
    await writer.close()
  } catch (error) {
    source.destroy()
    await writer.abort(error)
  } finally {
    writer.releaseLock()
  }
}

/** Whether the target still takes more. */
function written(target: Duplex, chunk: Uint8Array): Promise<boolean> {
  return new Promise((resolve) => target.write(chunk, (error) => resolve(!error)))
}

/** At most MAX_ERROR_BYTES of it. */
export async function readText(source: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of source as AsyncIterable<Buffer>) {
    if (length < MAX_ERROR_BYTES) chunks.push(chunk)
    length += chunk.length
  }
  return Buffer.concat(chunks).toString('utf8', 0, MAX_ERROR_BYTES)
}

/** What the error stream of protocol v4 carries: a Status, at the very end. */
function outcomeOf(text: string): ExecOutcome {
  if (text === '') return { error: 'the connection to the container ended before the command did' }
  const status = JSON.parse(text) as {
    readonly status?: string
    readonly message?: string
    readonly reason?: string
    readonly details?: { readonly causes?: readonly { readonly reason?: string; readonly message?: string }[] }
  }
  if (status.status === 'Success') return { exitCode: 0 }
  const cause = status.reason === 'NonZeroExitCode' ? status.details?.causes?.find(({ reason }) => reason === 'ExitCode') : undefined
  if (cause?.message) return { exitCode: Number(cause.message) }
  return { error: (status.message ?? text).replace(/^Internal error occurred: error (executing command in|attaching to) container: /, '') }
}
