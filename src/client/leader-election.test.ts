import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Lease } from '../api/generated/coordination/v1.ts'
import { failure } from '../api/status.ts'
import { silentLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { createClient } from './create-client.ts'
import { createFakeClock } from './fake-clock.test-support.ts'
import { createFakeServer } from './fake-server.test-support.ts'
import { runWhenLeading } from './leader-election.ts'

function start() {
  const clock = createFakeClock()
  const server = createFakeServer(clock)
  const leading: string[] = []
  const stand = (identity: string) => {
    const runtime = { clock, random: seededRandom(identity.length), log: silentLog }
    const stop = new AbortController()
    const done = runWhenLeading(
      runtime,
      createClient(server.transport),
      { namespace: 'kube-system', name: 'x', identity },
      stop.signal,
      async (signal) => {
        leading.push(identity)
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
        leading.splice(leading.indexOf(identity), 1)
      },
    )
    return { stop: () => stop.abort(), done }
  }
  const lease = () => server.objects('coordination.k8s.io/v1/Lease')[0] as Lease
  return { clock, server, leading, stand, lease }
}

test('one leads; when it stops it gives the lease up and another takes it at once', async () => {
  const { clock, leading, stand, lease } = start()
  const first = stand('one')
  await clock.advance(0)
  const second = stand('second')
  await clock.advance(60_000)
  assert.deepEqual(leading, ['one'])
  first.stop()
  await clock.advance(5000)
  await first.done
  assert.deepEqual(leading, ['second'])
  assert.equal(lease().spec?.holderIdentity, 'second')
  assert.equal(lease().spec?.leaseTransitions, 1)
  second.stop()
  await clock.advance(5000)
  await second.done
})

test('a leader that cannot renew stops before another begins', async () => {
  const { clock, server, leading, stand } = start()
  const first = stand('one')
  await clock.advance(0)
  const second = stand('second')
  await clock.advance(4000)
  server.intercept = (request) =>
    request.method === 'PUT' && request.body && JSON.stringify(request.body).includes('"holderIdentity":"one"')
      ? failure('InternalError', 'cut off')
      : undefined
  for (let i = 0; i < 40; i++) {
    await clock.advance(1000)
    assert.ok(leading.length <= 1, `two leaders: ${leading.join()}`)
  }
  assert.deepEqual(leading, ['second'])
  first.stop()
  second.stop()
  await clock.advance(5000)
  await Promise.all([first.done, second.done])
})
