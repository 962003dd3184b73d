import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as dns from 'dns-packet'
import type { Answer, Packet } from 'dns-packet'
import type { Clock } from '../../base/clock.ts'
import { createDnsCache } from './dns-cache.ts'

const query = (id: number, name = 'www.example.org') => Buffer.from(dns.encode({ type: 'query', id, questions: [{ type: 'A', name }] }))
const address = (ttl: number): Answer => ({ type: 'A', name: 'www.example.org', ttl, data: '192.0.2.1' })
const soa = (ttl: number, minimum: number): Answer => ({
  type: 'SOA',
  name: 'example.org',
  ttl,
  data: { mname: 'ns.example.org', rname: 'root.example.org', serial: 1, refresh: 1, retry: 1, expire: 1, minimum },
})
const opt: Answer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: 1232,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
}

/** A cache before a server that gives one answer; tells how often that was asked, and the times to live of the last answer. */
function make(reply: Packet) {
  let nowMs = 0
  let asked = 0
  const clock = { now: () => nowMs, monotonic: () => nowMs } as Clock
  const ask = createDnsCache(clock, async (bytes) => {
    asked++
    return Buffer.from(
      dns.encode({ type: 'response', id: bytes.readUInt16BE(0), questions: [{ type: 'A', name: 'www.example.org' }], ...reply }),
    )
  })
  return async (atMs: number, id = 7) => {
    nowMs = atMs
    const answer = dns.decode(await ask(query(id), 'udp'))
    assert.equal(answer.id, id)
    return [
      asked,
      ...[...(answer.answers ?? []), ...(answer.authorities ?? [])].map((record) => ('ttl' in record ? record.ttl : undefined)),
    ]
  }
}

test('DNS cache: as long as the shortest record says, told as what is left', async () => {
  const ask = make({ answers: [address(20), address(10)], additionals: [opt] })
  assert.deepEqual(await ask(0), [1, 20, 10])
  assert.deepEqual(await ask(9_900, 8), [1, 11, 1])
  assert.deepEqual(await ask(10_000), [2, 20, 10])
})

test('DNS cache: half a minute at most', async () => {
  const ask = make({ answers: [address(3600)] })
  assert.deepEqual(await ask(0), [1, 3600])
  assert.deepEqual(await ask(29_999), [1, 3571])
  assert.deepEqual(await ask(30_000), [2, 3600])
})

test("DNS cache: what does not exist by the zone's word, else not at all", async () => {
  const named = make({ flags: 3, authorities: [soa(100, 5)] })
  assert.deepEqual(await named(0), [1, 100])
  assert.deepEqual(await named(4_999), [1, 96])
  assert.deepEqual(await named(5_000), [2, 100])
  const nameless = make({ flags: 3 })
  await nameless(0)
  assert.deepEqual(await nameless(1), [2])
})

test('DNS cache: failures and what was cut off are asked again', async () => {
  for (const flags of [2, dns.TRUNCATED_RESPONSE]) {
    const ask = make({ flags, answers: [address(20)] })
    await ask(0)
    assert.deepEqual(await ask(1), [2, 20])
  }
})

test('DNS cache: what cannot be read is passed on', async () => {
  let asked = 0
  const cut = Buffer.from(dns.encode({ type: 'response', id: 1, answers: [address(20)] })).subarray(0, 30)
  const ask = createDnsCache({ now: () => 0, monotonic: () => 0 } as Clock, async () => (asked++, cut))
  assert.deepEqual((await ask(query(1), 'udp')).subarray(2), cut.subarray(2))
  await ask(query(1), 'udp')
  assert.equal(asked, 2)
})
