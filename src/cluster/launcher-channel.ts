/**
 * How the server process tells the one that launched it how far it is: over the IPC channel. The launcher goes when it has heard what
 * it waits for, at any moment; what comes after that nobody needs, and the server lives on.
 */
import type { ServerReport } from './launch.ts'

/** The part of `process` that is the channel. */
export interface LauncherChannel {
  readonly connected?: boolean
  send?(message: unknown, handle: undefined, options: object, callback: (error: Error | null) => void): boolean
}

/** The channel breaks some moments before `connected` says so. */
const GONE: ReadonlySet<string | undefined> = new Set(['EPIPE', 'ECONNRESET', 'ERR_IPC_CHANNEL_CLOSED', 'ERR_IPC_DISCONNECTED'])

export function tellLauncher(channel: LauncherChannel, report: ServerReport): void {
  if (!channel.connected) return
  channel.send?.(report, undefined, {}, (error: NodeJS.ErrnoException | null) => {
    if (error && !GONE.has(error.code)) throw error
  })
}
