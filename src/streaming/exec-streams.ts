/** The streams of exec and attach as the node's side takes them, from those that the client opened. */
import type { Duplex } from 'node:stream'
import type { ExecStreams } from '../api/node-service.ts'
import { terminalSizes } from './upgrade-resize.ts'
import { readableFrom, writableTo } from './web-streams.ts'

export interface OpenedStreams {
  readonly stdin: Duplex | undefined
  readonly stdout: Duplex | undefined
  readonly stderr: Duplex | undefined
  readonly resize: Duplex | undefined
}

export const execStreams = ({ stdin, stdout, stderr, resize }: OpenedStreams, signal: AbortSignal): ExecStreams => ({
  ...(stdin ? { stdin: readableFrom(stdin) } : {}),
  ...(stdout ? { stdout: writableTo(stdout) } : {}),
  ...(stderr ? { stderr: writableTo(stderr) } : {}),
  ...(resize ? { resize: terminalSizes(resize) } : {}),
  signal,
})
