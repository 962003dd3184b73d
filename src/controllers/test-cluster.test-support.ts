/** Controllers over the fake API server, with a node agent that makes every pod run and be ready. */
import type { Pod } from '../api/generated/core/v1.ts'
import type { ResourceInfo } from '../api/schema.ts'
import { timestamp } from '../base/clock.ts'
import { createLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { createClient } from '../client/create-client.ts'
import { createFakeClock } from '../client/fake-clock.test-support.ts'
import { createFakeServer } from '../client/fake-server.test-support.ts'
import { createInformer } from '../client/informer.ts'
import type { Controller } from './controller.ts'
import { runControllers } from './run.ts'

export interface TestClusterOptions {
  readonly pods?: 'become ready' | 'are left alone'
  readonly extraResources?: readonly ResourceInfo[]
}

export async function startTestCluster(
  t: { after(fn: () => Promise<void>): void },
  controllers: readonly Controller[],
  options: TestClusterOptions = {},
) {
  const clock = createFakeClock()
  const problems: string[] = []
  const log = createLog(
    (level, message, fields) =>
      problems.push(`${level} ${message} ${String(fields['controller'])} ${String(fields['key'])} ${String(fields['error'])}`),
    'warn',
  )
  const runtime = { clock, random: seededRandom(1), log }
  const server = createFakeServer(clock, options.extraResources)
  const client = createClient(server.transport)
  const stop = new AbortController()
  const running = [runControllers(runtime, client, controllers, stop.signal)]
  if (options.pods === 'become ready') {
    const pods = createInformer(runtime, client, 'v1/Pod')
    const makeReady = (pod: Pod): void => {
      if (pod.status?.phase || pod.metadata?.deletionTimestamp) return
      const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime: timestamp(clock) }]
      client
        .update('v1/Pod', { ...pod, status: { phase: 'Running', conditions } }, { subresource: 'status' })
        .catch((error: unknown) => problems.push(String(error)))
    }
    pods.addHandlers({ added: makeReady })
    running.push(pods.run(stop.signal))
  }
  t.after(async () => {
    stop.abort()
    await clock.advance(0)
    await Promise.all(running)
  })
  await clock.advance(0)
  return { clock, runtime, server, client, problems, signal: stop.signal }
}
