import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Service } from '../api/generated/core/v1.ts'
import type { Clock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import type { PacketFilter } from './filter-loop.ts'
import { createProxyLoop } from './proxy-loop.ts'
import { createServiceTable } from './service-table.ts'

/** Waits pass at once. */
const clock: Clock = {
  now: () => 0,
  monotonic: () => 0,
  setTimeout(callback) {
    queueMicrotask(callback)
    return () => {}
  },
}

function make(filter: Partial<PacketFilter>) {
  const done: string[] = []
  const services = createServiceTable()
  const loop = createProxyLoop(
    { clock, random: seededRandom(1), log: silentLog },
    {
      services,
      filter: {
        async load() {
          done.push('load')
        },
        async apply(commands) {
          done.push(`apply ${commands.length}`)
        },
        async forgetUdpFlow({ address }) {
          done.push(`forget ${address}`)
        },
        async removeTable(family, name) {
          done.push(`remove ${family} ${name}`)
        },
        watchTable: () => () => undefined,
        ...filter,
      },
      table: { name: 'proa-t', family: 'ip', clusterCidrs: ['10.244.0.0/16'], nodeCidr: '10.244.0.0/24', bridge: 'proa-t' },
      node: { nodeName: 'n1', family: 'ip', addresses: ['192.0.2.1'] },
    },
  )
  return { done, services, loop }
}

const service = (i: number): Service => ({
  metadata: { name: `s${i}`, namespace: 'default' },
  spec: { clusterIP: `10.96.0.${i}`, ports: [{ port: 80 }] },
})

test('proxy loop: loads, gathers changes, removes the table at the end', async () => {
  const { done, services, loop } = make({})
  const stop = new AbortController()
  services.serviceHandlers.added(service(1))
  const running = loop.run(stop.signal)
  await loop.settled()
  for (let i = 2; i < 50; i++) services.serviceHandlers.added(service(i))
  await loop.settled()
  stop.abort()
  await running
  assert.deepEqual(
    done.filter((line) => line !== 'apply 0'),
    ['load', 'apply 2', 'remove ip proa-t'],
  )
})

test('proxy loop: a failed change leads to a load, tried until it succeeds', async () => {
  let failures = 3
  const { done, services, loop } = make({
    async apply() {
      throw new Error('no such table')
    },
    async load() {
      if (done.push('load') > 1 && failures-- > 0) throw new Error('busy')
    },
  })
  const stop = new AbortController()
  const running = loop.run(stop.signal)
  await loop.settled()
  services.serviceHandlers.added(service(1))
  await loop.settled()
  assert.ok(done.filter((line) => line === 'load').length >= 5)
  stop.abort()
  await running
})
