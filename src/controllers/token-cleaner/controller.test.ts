import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from '../../cluster/cluster.ts'
import { tokenExpiresAfterMs } from './plan.ts'

const type = 'bootstrap.kubernetes.io/token'
const token = (expiration: string) => ({ type, data: { expiration: btoa(expiration) } })

test('when tokens expire', () => {
  const nowMs = Date.parse('2026-01-01T00:00:00Z')
  assert.equal(tokenExpiresAfterMs(token('2026-01-01T00:01:00Z'), nowMs), 60_000)
  assert.equal(tokenExpiresAfterMs(token('2026-01-01T01:00:00+01:00'), nowMs), 0)
  assert.equal(tokenExpiresAfterMs(token('tomorrow'), nowMs), 0)
  assert.equal(tokenExpiresAfterMs({ type }, nowMs), undefined)
  assert.equal(tokenExpiresAfterMs({ ...token('2026-01-01T00:01:00Z'), type: 'Opaque' }, nowMs), undefined)
})

test('a token goes when its time is over; what is no token stays', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual' })
  const expiration = new Date(cluster.now() + 60_000).toISOString()
  const key = { namespace: 'kube-system', name: 'bootstrap-token-abcdef' }
  await cluster.client.create('v1/Secret', { metadata: key, ...token(expiration) })
  await cluster.client.create('v1/Secret', { metadata: { namespace: 'kube-system', name: 'other' }, ...token(expiration), type: 'Opaque' })
  await cluster.advance(50_000)
  assert.ok(await cluster.client.get('v1/Secret', key))
  await cluster.until('v1/Secret', key, (secret) => secret === undefined)
  assert.ok(await cluster.client.get('v1/Secret', { namespace: 'kube-system', name: 'other' }))
})
