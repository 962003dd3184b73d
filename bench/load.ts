/** The process that loads a server: told by its parent what to do, answers with what it measured. It knows a kubeconfig, no more. */
import { jobs } from './jobs.ts'
import type { JobName } from './jobs.ts'
import { readEndpoint } from '../upstream/endpoint.ts'
import type { Endpoint } from '../upstream/endpoint.ts'

interface Order {
  readonly kubeconfig: string
  readonly job: JobName
  readonly options: never
}

process.once('message', async (message) => {
  const { kubeconfig, job, options } = message as Order
  const run: (endpoint: Endpoint, options: never) => Promise<unknown> = jobs[job]
  try {
    process.send!({ result: await run(readEndpoint(kubeconfig), options) })
  } catch (error) {
    process.send!({ error: error instanceof Error ? error.stack : String(error) })
  }
  process.disconnect?.()
})
