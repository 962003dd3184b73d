import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import type { Secret } from '../../api/generated/core/v1.ts'
import { sign, signingTokens } from './controller.ts'

const token = (fields: Readonly<Record<string, string>>): Secret => ({
  metadata: { name: `bootstrap-token-${fields['token-id']}` },
  type: 'bootstrap.kubernetes.io/token',
  data: Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, btoa(value)])),
})
const good = { 'token-id': 'abcdef', 'token-secret': '0123456789abcdef', 'usage-bootstrap-signing': 'true' }

test('which tokens sign', () => {
  const nowMs = Date.parse('2026-01-01T00:00:00Z')
  const ids = (fields: Readonly<Record<string, string>>) => [...signingTokens([token(fields)], nowMs).keys()]
  assert.deepEqual(ids(good), ['abcdef'])
  assert.deepEqual(ids({ ...good, expiration: '2026-01-01T00:00:01Z' }), ['abcdef'])
  assert.deepEqual(ids({ ...good, expiration: '2025-12-31T23:59:59Z' }), [])
  assert.deepEqual(ids({ ...good, 'usage-bootstrap-signing': 'false' }), [])
  assert.deepEqual(ids({ ...good, 'token-secret': '' }), [])
  assert.deepEqual([...signingTokens([{ ...token(good), metadata: { name: 'other' } }], nowMs)], [])
})

test('the signature is that of a JWS with its content left out', async () => {
  const content = 'kind: Config\n'.repeat(3000)
  const [header, detached, signature] = (await sign(content, 'abcdef', good['token-secret'])).split('.')
  assert.equal(detached, '')
  assert.deepEqual(JSON.parse(Buffer.from(header!, 'base64url').toString()), { alg: 'HS256', kid: 'abcdef' })
  const expected = createHmac('sha256', good['token-secret'])
    .update(`${header}.${Buffer.from(content).toString('base64url')}`)
    .digest('base64url')
  assert.equal(signature, expected)
})
