import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiRequest } from '../../api/exchange.ts'
import { requestInfo } from '../request-info.ts'
import { MaxInFlight } from './max-in-flight.ts'

test('so many read and so many write at once; who comes then is turned away, but for masters, watches and streams', () => {
  const limiter = new MaxInFlight({ reading: 2, writing: 1 })
  const PODS = '/api/v1/namespaces/n/pods'
  const ask = (method: ApiRequest['method'], url: string, ...groups: readonly string[]) => {
    const { pathname, searchParams } = new URL(url, 'http://x')
    const request = { method, path: pathname, query: searchParams, headers: {}, signal: AbortSignal.any([]) }
    return limiter.admit(request, requestInfo(request), { name: 'u', groups })
  }
  const isServed = (...asked: Parameters<typeof ask>) => ask(...asked)?.isServed
  const [first, second] = [ask('GET', PODS), ask('GET', `${PODS}/p`)]
  assert.ok(first?.isServed && second?.isServed)
  const refused = ask('GET', PODS)
  assert.ok(refused && !refused.isServed && refused.answer.status === 429)
  assert.equal((refused.answer as { headers?: Record<string, string> }).headers?.['Retry-After'], '1')
  assert.deepEqual(
    [
      isServed('POST', PODS),
      isServed('DELETE', `${PODS}/p`),
      isServed('GET', PODS, 'system:masters'),
      isServed('GET', `${PODS}?watch=1`),
      isServed('GET', `${PODS}/p/log`),
    ],
    [true, false, undefined, undefined, undefined],
  )
  first.seat.release()
  assert.deepEqual([isServed('GET', PODS), isServed('GET', PODS)], [true, false])
  assert.equal(
    new MaxInFlight({ reading: 0, writing: 0 }).admit(
      {} as ApiRequest,
      requestInfo({ method: 'GET', path: PODS, query: new URLSearchParams() }),
      { name: 'u', groups: [] },
    ),
    undefined,
  )
})
