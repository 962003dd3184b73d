/**
 * exec, attach and port-forward against a runtime's streaming server: CRI answers with a URL that takes one SPDY/3.1 connection.
 * (containerd's WebSocket cannot say that stdin has ended, so SPDY it is, whatever the client at our other end speaks.)
 */
import type { ByteDuplex, ExecOutcome, ExecStreams } from '../../api/node-service.ts'
import { COMMAND_PROTOCOL, FORWARD_PROTOCOL, forwardPort, readText, runCommand } from '../../streaming/remote-command.ts'
import { SpdyConnection } from '../../streaming/spdy-connection.ts'
import { RuntimeError } from '../container-runtime.ts'

/** Not imported: that would read every export, and load `fetch` and its friends for those that are made when asked for (30 ms, 10 MB). */
const http = process.getBuiltinModule('node:http')

/** Runs to the end of the command or of the client. Fails with RuntimeError when it could not be started. */
export const runCommandAt = async (url: string, tty: boolean, streams: ExecStreams): Promise<ExecOutcome> =>
  runCommand(await connect(url, COMMAND_PROTOCOL, streams.signal), tty, streams)

/** Resolves when both ends have said all; fails with the runtime's words when it could not reach the port. */
export async function forwardPortAt(url: string, port: number, client: ByteDuplex, signal: AbortSignal): Promise<void> {
  const message = await forwardPort(await connect(url, FORWARD_PROTOCOL, signal), port, client)
  if (message !== '') throw new RuntimeError('Unknown', message)
}

function connect(url: string, protocol: string, signal: AbortSignal): Promise<SpdyConnection> {
  return new Promise((resolve, reject) => {
    const headers = { Connection: 'Upgrade', Upgrade: 'SPDY/3.1', 'X-Stream-Protocol-Version': protocol }
    const asking = http.request(url, { method: 'POST', headers, agent: false, signal })
    asking.on('error', (error) =>
      reject(signal.aborted ? signal.reason : new RuntimeError('Unavailable', `streaming server: ${error.message}`)),
    )
    asking.on('response', (response) => {
      const refused = (text: string) => reject(new RuntimeError('Unknown', `streaming server: ${response.statusCode} ${text.trim()}`))
      readText(response).then(refused, reject)
    })
    asking.on('upgrade', (_response, socket, head) => {
      socket.setNoDelay(true)
      resolve(new SpdyConnection(socket, { role: 'client', head }))
    })
    asking.end()
  })
}
