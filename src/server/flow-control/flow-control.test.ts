import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiRequest, ApiResponse, UserInfo } from '../../api/exchange.ts'
import type { FlowSchema, PriorityLevelConfiguration } from '../../api/generated/flowcontrol/v1.ts'
import type { Clock } from '../../base/clock.ts'
import { randomInt, seededRandom } from '../../base/random.ts'
import { createVirtualClock } from '../../simulation/virtual-clock.ts'
import { requestInfo } from '../request-info.ts'
import { resources } from '../resources/index.ts'
import { startServer } from '../server.test-support.ts'
import { allocate } from './allocation.ts'
import { mandatoryLevels, mandatorySchemas, suggestedLevels, suggestedSchemas } from './bootstrap.ts'
import { DroppedRequests } from './dropped-requests.ts'
import { Levels, type Flow } from './levels.ts'
import { Seat, type Asked } from './queue-set.ts'
import { deal, flowHash } from './shuffle-sharding.ts'
import { estimateWork, ONE_SEAT } from './work-estimate.ts'

const LEVELS = [...suggestedLevels, ...mandatoryLevels]
const SCHEMAS = [...suggestedSchemas, ...mandatorySchemas]
const user = (name: string, ...groups: readonly string[]): UserInfo => ({ name, groups: [...groups, 'system:authenticated'] })
const infoOf = (method: ApiRequest['method'], url: string) => {
  const { pathname, searchParams } = new URL(url, 'http://x')
  return requestInfo({ method, path: pathname, query: searchParams })
}

test('a hand has different cards, and two flows seldom the same', () => {
  assert.deepEqual(deal(0n, 8, 3), [0, 1, 2])
  const hands = Array.from({ length: 200 }, (_, i) => deal(flowHash('schema', `user-${i}`), 128, 6))
  for (const hand of hands) assert.equal(new Set(hand).size, 6)
  assert.ok(new Set(hands.map((hand) => hand.toSorted().join())).size > 195)
  const counts = new Map<number, number>()
  for (const card of hands.flat()) counts.set(card, (counts.get(card) ?? 0) + 1)
  assert.ok(counts.size > 120 && Math.max(...counts.values()) < 30, 'cards are spread')
})

test('what is shared out adds up, and each share is fair or at its bound', () => {
  const random = seededRandom(7)
  for (let round = 0; round < 2000; round++) {
    const claimants = Array.from({ length: 1 + randomInt(random, 8) }, () => {
      const lowerBound = Math.max(0, random.next() * 5 - 1)
      return { lowerBound, target: lowerBound + 2 * random.next(), upperBound: lowerBound + 3 * random.next() }
    })
    const low = claimants.reduce((sum, { lowerBound }) => sum + lowerBound, 0)
    const high = claimants.reduce((sum, { upperBound }) => sum + upperBound, 0)
    const total = Math.round(low + (high - low) * random.next())
    const found = allocate(total, claimants)
    if (total < low || total > high) {
      assert.equal(found, undefined)
      continue
    }
    assert.ok(found)
    const { shares, fairFraction } = found
    assert.ok(Math.abs(shares.reduce((sum, share) => sum + share, 0) - total) < 1e-6, `round ${round}`)
    for (const [i, { lowerBound, target, upperBound }] of claimants.entries()) {
      const fair = fairFraction * Math.max(target, 0.001)
      assert.ok(Math.abs(shares[i]! - Math.max(lowerBound, Math.min(upperBound, fair))) < 1e-6)
    }
  }
})

test('the levels of a new cluster have the seats that upstream gives them', () => {
  const levels = new Levels(createVirtualClock(), 600)
  levels.configure(SCHEMAS, LEVELS)
  const nominal = Object.fromEntries([...levels.all()].map((level) => [level.name, [level.nominal, level.minimum, level.maxSeats]]))
  assert.deepEqual(nominal, {
    system: [74, 50, 12],
    'node-high': [98, 73, 15],
    'leader-election': [25, 25, 4],
    'workload-high': [98, 49, 15],
    'workload-low': [245, 24, 37],
    'global-default': [49, 24, 8],
    exempt: [0, 0, 0],
    'catch-all': [13, 13, 0],
  })
})

test('requests belong to the first schema that matches', () => {
  const levels = new Levels(createVirtualClock(), 600)
  levels.configure(SCHEMAS, LEVELS)
  const pods = '/api/v1/namespaces/default/pods'
  const cases: readonly [ApiRequest['method'], string, UserInfo, string][] = [
    ['GET', pods, user('admin', 'system:masters'), 'exempt'],
    ['GET', pods, user('alice'), 'global-default'],
    ['GET', '/readyz', user('alice'), 'probes'],
    ['GET', '/readyz/ping', user('alice'), 'probes'],
    ['GET', '/version', user('alice'), 'global-default'],
    ['GET', pods, user('system:node:a', 'system:nodes'), 'system-nodes'],
    ['PATCH', '/api/v1/nodes/a/status', user('system:node:a', 'system:nodes'), 'system-node-high'],
    ['GET', pods, user('system:kube-scheduler'), 'kube-scheduler'],
    ['PUT', '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x', user('system:kube-scheduler'), 'system-leader-election'],
    ['GET', pods, user('system:serviceaccount:kube-system:x', 'system:serviceaccounts'), 'kube-system-service-accounts'],
    ['GET', pods, user('system:serviceaccount:default:x', 'system:serviceaccounts'), 'service-accounts'],
  ]
  for (const [method, url, asker, expected] of cases)
    assert.equal(levels.flowOf(infoOf(method, url), asker).name, expected, `${method} ${url}`)
})

test('lists are as wide as what they hold, writes linger for those who watch', () => {
  const stock = { objectCount: 5000, averageBytes: 1000, watcherCount: 0 }
  const seats = (method: ApiRequest['method'], url: string, known = stock, most = 0) => {
    const { searchParams } = new URL(url, 'http://x')
    const { initialSeats, finalSeats, additionalMs } = estimateWork(infoOf(method, url), searchParams, () => known, most)
    return [initialSeats, finalSeats, additionalMs]
  }
  assert.deepEqual(seats('GET', '/api/v1/pods/x'), [1, 0, 0])
  assert.deepEqual(seats('GET', '/api/v1/pods'), [10, 0, 0])
  assert.deepEqual(seats('GET', '/api/v1/pods?limit=150'), [2, 0, 0])
  assert.deepEqual(seats('GET', '/api/v1/pods', stock, 4), [4, 0, 0])
  assert.deepEqual(seats('GET', '/api/v1/pods?fieldSelector=metadata.name%3Dx'), [1, 0, 0])
  assert.deepEqual(seats('GET', '/api/v1/pods?watch=1&resourceVersion=7'), [1, 0, 0])
  assert.deepEqual(seats('GET', '/api/v1/pods?watch=1'), [10, 0, 0])
  assert.deepEqual(seats('POST', '/api/v1/namespaces/a/pods', { ...stock, watcherCount: 9 }), [1, 0, 0])
  assert.deepEqual(seats('POST', '/api/v1/namespaces/a/pods', { ...stock, watcherCount: 25 }), [1, 3, 5])
  assert.deepEqual(seats('POST', '/api/v1/namespaces/a/pods', { ...stock, watcherCount: 400 }), [1, 10, 20])
  assert.deepEqual(seats('POST', '/api/v1/namespaces/a/serviceaccounts/x/token', { ...stock, watcherCount: 25 }), [1, 0, 0])
})

test('who is turned away again and again is told to wait longer', () => {
  const dropped = new DroppedRequests()
  const second = (at: number, count: number) => {
    for (let i = 0; i < count; i++) dropped.record(at * 1000)
    return dropped.retryAfterS
  }
  assert.equal(second(100, 10), 1)
  assert.equal(second(101, 10), 2)
  for (let at = 102; at < 160; at++) second(at, 100)
  assert.equal(dropped.retryAfterS, 32)
  assert.ok(second(400, 1) < 32)
})

const limitedLevel = (name: string, queuing?: object, more: object = {}): PriorityLevelConfiguration => ({
  metadata: { name },
  spec: {
    type: 'Limited',
    limited: {
      nominalConcurrencyShares: 10,
      limitResponse: queuing ? { type: 'Queue', queuing } : { type: 'Reject' },
      ...more,
    },
  },
})

const schemaTo = (level: string): FlowSchema => ({
  metadata: { name: 'all' },
  spec: {
    priorityLevelConfiguration: { name: level },
    matchingPrecedence: 100,
    distinguisherMethod: { type: 'ByUser' },
    rules: [
      {
        subjects: [{ kind: 'Group', group: { name: '*' } }],
        resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'] }],
      },
    ],
  },
})

function only(levels: Levels, configuration: PriorityLevelConfiguration): Flow {
  levels.configure([schemaTo(configuration.metadata!.name!)], [configuration])
  return levels.flows.find(({ name }) => name === 'all')!
}

const patient = () => ({ signal: new AbortController().signal, maxWaitMs: 15_000 })
const take = (clock: Clock, flow: Flow, name: string, waiting = patient) =>
  flow.level.queues.start(
    clock.monotonic(),
    { work: ONE_SEAT, shard: flow.shard(name, ''), counters: flow.counters, asked: askedBy(name) },
    waiting,
  )
const askedBy = (name: string): Asked => ({
  user: { name, groups: [] },
  info: infoOf('GET', '/api/v1/pods'),
})

test('without queues, who finds no seat is turned away; with queues, when its queue is full', async () => {
  const clock = createVirtualClock()
  const levels = new Levels(clock, 15)
  // Shares 10 of 15: catch-all has the other 5.
  const strict = only(levels, limitedLevel('strict', undefined, { borrowingLimitPercent: 0 }))
  assert.equal(strict.level.current, 10)
  const seats = Array.from({ length: 10 }, () => take(clock, strict, 'a'))
  assert.ok(seats.every((seat) => seat instanceof Seat))
  assert.equal(take(clock, strict, 'a'), 'concurrency-limit')
  ;(seats[0] as Seat).release()
  assert.ok(take(clock, strict, 'b') instanceof Seat)

  const queued = only(levels, limitedLevel('queued', { queues: 1, handSize: 1, queueLengthLimit: 2 }, { borrowingLimitPercent: 0 }))
  const served = Array.from({ length: queued.level.current }, () => take(clock, queued, 'a')) as Seat[]
  const later = [take(clock, queued, 'a'), take(clock, queued, 'a')]
  assert.ok(later.every((outcome) => outcome instanceof Promise))
  assert.equal(take(clock, queued, 'a'), 'queue-full')
  served[0]!.release()
  await clock.settle()
  assert.ok((await later[0]) instanceof Seat)
  await clock.advance(15_000)
  assert.equal(await later[1], undefined)
  assert.deepEqual(queued.counters.rejected, { 'queue-full': 1, 'concurrency-limit': 0, 'time-out': 1, cancelled: 0 })
})

test('who goes away gives up its place', async () => {
  const clock = createVirtualClock()
  const flow = only(
    new Levels(clock, 2),
    limitedLevel('small', { queues: 1, handSize: 1, queueLengthLimit: 5 }, { borrowingLimitPercent: 0 }),
  )
  const held: unknown[] = []
  while (held.length < flow.level.current) held.push(take(clock, flow, 'a'))
  const stop = new AbortController()
  const waiting = take(clock, flow, 'a', () => ({ signal: stop.signal, maxWaitMs: 15_000 }))
  stop.abort()
  assert.equal(await waiting, undefined)
  assert.equal(flow.counters.inQueue, 0)
})

test('a level borrows what others do not use, and gives it back', async () => {
  const clock = createVirtualClock()
  const levels = new Levels(clock, 600)
  levels.configure(SCHEMAS, LEVELS)
  const flow = levels.flows.find(({ name }) => name === 'global-default')!
  const before = flow.level.current
  const waiting = Array.from({ length: 300 }, (_, i) => take(clock, flow, `user-${i % 50}`))
  await clock.advance(10_000)
  levels.adjust(clock.monotonic())
  assert.ok(flow.level.current > 3 * before, `${flow.level.current}`)
  const sum = [...levels.all()].reduce((all, level) => all + level.current, 0)
  assert.ok(sum <= 604, `${sum}`)
  for (const outcome of waiting) void Promise.resolve(outcome).then((seat) => seat instanceof Seat && seat.release())
  await clock.advance(20_000)
  const other = levels.flows.find(({ name }) => name === 'service-accounts')!
  for (let i = 0; i < 400; i++) take(clock, other, `user-${i % 50}`)
  await clock.advance(1_800_000)
  levels.adjust(clock.monotonic())
  assert.ok(other.level.current >= 245, `${other.level.current}`)
})

test("a greedy client leaves another's 99th percentile within twice its quiet value", async () => {
  const quiet = await measure(0)
  const loaded = await measure(150)
  assert.ok(loaded <= 2 * quiet, `${loaded} ms beside a greedy client, ${quiet} ms alone`)
})

/** The 99th percentile of a client that asks every 5 ms, beside one that always has so many requests under way. */
async function measure(greedy: number): Promise<number> {
  const clock = createVirtualClock()
  const random = seededRandom(3)
  const levels = new Levels(clock, 600)
  levels.configure(SCHEMAS, LEVELS)
  const flow = levels.flows.find(({ name }) => name === 'global-default')!
  const latencies: number[] = []
  let isOver = false
  const ask = async (name: string): Promise<void> => {
    const startMs = clock.monotonic()
    const outcome = take(clock, flow, name)
    const seat = outcome instanceof Promise ? await outcome : outcome
    if (!(seat instanceof Seat)) {
      assert.equal(name, 'greedy', 'the quiet client is never turned away')
      await new Promise<void>((resolve) => clock.setTimeout(resolve, 1000))
      return
    }
    await new Promise<void>((resolve) => clock.setTimeout(resolve, 2 + 18 * random.next()))
    seat.release()
    if (name === 'quiet') latencies.push(clock.monotonic() - startMs)
  }
  const again = async (): Promise<void> => {
    while (!isOver) await ask('greedy')
  }
  const all = Array.from({ length: greedy }, again)
  const period = (): void => {
    if (isOver) return
    void ask('quiet')
    clock.setTimeout(period, 5)
  }
  period()
  await clock.advance(1500)
  isOver = true
  await clock.advance(2000)
  await Promise.all(all)
  assert.ok(latencies.length > 290)
  return latencies.toSorted((a, b) => a - b)[Math.floor(latencies.length * 0.99)]!
}

test('what is begun in one turn of the event loop is bounded: the rest waits, and goes on in fair order', async () => {
  const clock = createVirtualClock()
  let skewMs = 0
  const busy = { ...clock, monotonic: () => clock.monotonic() + skewMs }
  const levels = new Levels(busy, 600)
  levels.configure(SCHEMAS, LEVELS)
  const flow = levels.flows.find(({ name }) => name === 'global-default')!
  const order: string[] = []
  const ask = async (name: string): Promise<void> => {
    const outcome = take(busy, flow, name)
    const seat = outcome instanceof Promise ? await outcome : outcome
    assert.ok(seat instanceof Seat)
    order.push(name)
    skewMs += 3
    seat.release()
  }
  const all = [...Array.from({ length: 20 }, () => ask('greedy')), ask('quiet')]
  assert.ok(order.length < 5, 'one turn does not do it all')
  await clock.advance(1000)
  await Promise.all(all)
  assert.ok(order.indexOf('quiet') < 6, order.join(' '))
})

async function askOutside(server: Awaited<ReturnType<typeof startServer>>['server'], path: string): Promise<ApiResponse> {
  let sent: ApiResponse | undefined
  const request: ApiRequest = { method: 'GET', path, query: new URLSearchParams(), headers: {}, signal: new AbortController().signal }
  await server.handle(request, {}, (answer) => void (sent = answer))
  return sent!
}

test('the bootstrap objects are there, answers tell their classification, and schemas tell whether they dangle', async (t) => {
  const { server, call } = await startServer(t, { resources })
  const GROUP = '/apis/flowcontrol.apiserver.k8s.io/v1'
  const schemas = await call('GET', `${GROUP}/flowschemas`)
  const items = schemas.body.items as readonly FlowSchema[]
  assert.equal(items.length, 11)
  assert.ok(items.every(({ status }) => status?.conditions?.[0]?.status === 'False'))
  assert.equal(((await call('GET', `${GROUP}/prioritylevelconfigurations`)).body.items as unknown[]).length, 8)

  const answer = await askOutside(server, '/version')
  const byDefault = items.find(({ metadata }) => metadata?.name === 'global-default')
  assert.equal(answer.headers?.['X-Kubernetes-PF-FlowSchema-UID'], byDefault?.metadata?.uid)
  assert.match(
    server.metrics.text(),
    /apiserver_flowcontrol_dispatched_requests_total\{flow_schema="global-default",priority_level="global-default"\} 1/,
  )

  const made = await call('POST', `${GROUP}/flowschemas`, { metadata: { name: 'all' }, spec: { ...schemaTo('nowhere').spec } })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  const condition = async () => ((await call('GET', `${GROUP}/flowschemas/all`)).body as FlowSchema).status?.conditions?.[0]
  for (let turn = 0; (await condition()) === undefined && turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(
    (await condition())?.message,
    'This FlowSchema references the PriorityLevelConfiguration object named "nowhere" but there is no such object',
  )
  await call('POST', `${GROUP}/prioritylevelconfigurations`, limitedLevel('nowhere'))
  for (let turn = 0; (await condition())?.status === 'True' && turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve))
  assert.equal((await condition())?.reason, 'Found')
})

test('mandatory objects stay as they are, suggested ones are put right as long as nobody changed them', async (t) => {
  const { call, clock } = await startServer(t, { resources })
  const path = '/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations'
  const change = async (name: string, annotations: Record<string, string>) => {
    const { body } = await call('GET', `${path}/${name}`)
    const limited = { ...body.spec.limited, nominalConcurrencyShares: 77 }
    const spec = { ...body.spec, limited }
    return (await call('PUT', `${path}/${name}`, { ...body, metadata: { ...body.metadata, annotations }, spec })).status
  }
  assert.equal(await change('catch-all', {}), 422)
  assert.equal(await change('system', { 'apf.kubernetes.io/autoupdate-spec': 'false' }), 200)
  assert.equal(await change('workload-low', { 'apf.kubernetes.io/autoupdate-spec': 'true' }), 200)
  await call('DELETE', `${path}/node-high`)
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  clock.advance(60_000)
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  const shares = async (name: string) => (await call('GET', `${path}/${name}`)).body.spec?.limited?.nominalConcurrencyShares as unknown
  assert.deepEqual(await Promise.all(['catch-all', 'system', 'workload-low', 'node-high'].map(shares)), [5, 77, 100, 40])
})
