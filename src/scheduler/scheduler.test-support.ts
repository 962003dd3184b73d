/** A scheduler on a small server, for tests of what it does in time. */
import type { ApiRequest, Transport } from '../api/exchange.ts'
import type { Event, Pod } from '../api/generated/core/v1.ts'
import { failure } from '../api/status.ts'
import { silentLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { createClient } from '../client/create-client.ts'
import { createEventRecorder } from '../client/events.ts'
import { createFakeClock } from '../client/fake-clock.test-support.ts'
import { createFakeServer } from '../client/fake-server.test-support.ts'
import { createInformers } from '../client/informers.ts'
import type { Profile } from './framework.ts'
import { makePod } from './objects.test-support.ts'
import type { PodOptions } from './objects.test-support.ts'
import { createDefaultProfile } from './profile.ts'
import { runScheduler } from './scheduler.ts'

/** Bindings work as the real server's do. */
export async function startScheduler(profiles: readonly Profile[] = [createDefaultProfile()]) {
  const clock = createFakeClock()
  const server = createFakeServer(clock)
  let refuseBinding: ((request: ApiRequest) => boolean) | undefined
  const transport: Transport = async (request) => {
    if (!request.path.endsWith('/binding')) return server.transport(request)
    if (refuseBinding?.(request)) {
      const { status } = failure('InternalError', 'no luck')
      return { type: 'object', status: 500, stored: { object: status, bytes: new Uint8Array() } }
    }
    const body = request.body as { object: { target: { name: string } } }
    return server.transport({
      ...request,
      method: 'PATCH',
      path: request.path.slice(0, -'/binding'.length),
      body: { object: { spec: { nodeName: body.object.target.name } } },
    })
  }
  const runtime = { clock, random: seededRandom(1), log: silentLog }
  const client = createClient(transport)
  const informers = createInformers(runtime, client)
  const events = createEventRecorder(runtime, client, { component: 'default-scheduler' })
  const stop = new AbortController()
  const running = Promise.all([runScheduler(runtime, client, { informers, events, profiles }, stop.signal), informers.run(stop.signal)])
  return {
    clock,
    client,
    server,
    refuseBindings: (condition: ((request: ApiRequest) => boolean) | undefined) => (refuseBinding = condition),
    create: (name: string, options?: PodOptions) => client.create('v1/Pod', makePod(name, options)),
    pod: (name: string) => server.objects('v1/Pod').find((pod) => pod.metadata?.name === name) as Pod | undefined,
    events: () =>
      (server.objects('v1/Event') as readonly Event[]).map(
        ({ type, reason, message, involvedObject }) => `${type} ${reason} ${involvedObject.name}: ${message}`,
      ),
    async [Symbol.asyncDispose]() {
      stop.abort()
      await clock.advance(0)
      await running
    },
  }
}
