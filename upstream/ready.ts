/** When a server that was started as a process answers. */
import { existsSync } from 'node:fs'
import { request } from 'node:https'
import { readEndpoint } from './endpoint.ts'
import type { Group } from './processes.ts'

const START_TIMEOUT_MS = 60_000
const POLL_MS = 5

function isReady(kubeconfig: string): Promise<boolean> {
  if (!existsSync(kubeconfig)) return Promise.resolve(false)
  return new Promise((resolve) => {
    // Not listening yet, or the file is half written: the caller asks again until its time is over.
    const notYet = () => resolve(false)
    try {
      const call = request({ ...readEndpoint(kubeconfig), path: '/readyz', agent: false }, (response) => {
        response.resume()
        response.on('end', () => resolve(response.statusCode === 200)).on('error', notYet)
      })
      call.on('error', notYet).end()
    } catch {
      notYet()
    }
  })
}

/** Resolves with the milliseconds since `since` (of performance.now) when /readyz answers 200. */
export async function untilReady(group: Group, kubeconfig: string, since: number): Promise<number> {
  while (performance.now() - since < START_TIMEOUT_MS) {
    group.check()
    if (await isReady(kubeconfig)) return performance.now() - since
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  throw new Error(`the server was not ready after ${START_TIMEOUT_MS / 1000} s:\n${group.tail()}`)
}
