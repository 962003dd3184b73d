import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import type { UserInfo } from '../../api/exchange.ts'
import { startServer } from '../server.test-support.ts'
import { createTokenSigner } from './tokens.ts'

const pem = (kind: 'ec' | 'rsa'): string => {
  const keys = kind === 'ec' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: 2048 })
  return keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

const issuer = 'https://kubernetes.default.svc'
const accounts = '/api/v1/namespaces/default/serviceaccounts'

test('a token is worth its account and pod, and nothing once they are gone', async (t) => {
  const tokenSigner = createTokenSigner({ issuer, privateKey: pem('ec') })
  const { call, server, clock } = await startServer(t, { tokenSigner })
  await call('POST', accounts, { metadata: { name: 'bob' } })
  const pods = '/api/v1/namespaces/default/pods'
  await call('POST', pods, {
    metadata: { name: 'p' },
    spec: { serviceAccountName: 'bob', nodeName: 'n1', containers: [{ name: 'c', image: 'i' }] },
  })
  const request = { spec: { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'p' } } }
  const made = await call('POST', `${accounts}/bob/token`, request)
  assert.equal(made.status, 201, JSON.stringify(made.body))
  assert.equal(made.body.status.expirationTimestamp, '2026-01-01T01:00:00Z')
  const token: string = made.body.status.token
  const authenticate = (bearerToken: string) =>
    server.core.authenticator.authenticate({ bearerToken }, { path: '/', headers: {} }) as UserInfo
  const who = () => authenticate(token)
  assert.equal(who().name, 'system:serviceaccount:default:bob')
  assert.deepEqual(who().extra?.['authentication.kubernetes.io/pod-name'], ['p'])
  assert.ok(who().groups.includes('system:serviceaccounts:default'))
  const review = await call('POST', '/apis/authentication.k8s.io/v1/tokenreviews', { spec: { token } })
  assert.equal(review.body.status.user.username, 'system:serviceaccount:default:bob')
  const short = await call('POST', `${accounts}/bob/token`, { spec: { expirationSeconds: 10 } })
  assert.equal(
    short.body.message,
    'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 10: may not specify a duration less than 10 minutes',
  )
  await call('DELETE', `${pods}/p`)
  assert.throws(who, /Unauthorized/)
  const unbound = await call('POST', `${accounts}/bob/token`, {})
  const other: string = unbound.body.status.token
  assert.equal(authenticate(other).name, 'system:serviceaccount:default:bob')
  clock.advance(3700_000)
  assert.throws(() => authenticate(other), /Unauthorized/)
})

test("a signature of another key, or another algorithm than the key's, is none", () => {
  const [ours, theirs] = [createTokenSigner({ issuer, privateKey: pem('rsa') }), createTokenSigner({ issuer, privateKey: pem('rsa') })]
  const claims = {
    iss: issuer,
    sub: 's',
    aud: [issuer],
    exp: 2,
    iat: 1,
    nbf: 1,
    jti: 'j',
    'kubernetes.io': { namespace: 'd', serviceaccount: { name: 'a', uid: 'u' } },
  }
  const token = ours.sign(claims)
  assert.deepEqual(ours.verify(token), claims)
  assert.equal(theirs.verify(token), undefined)
  const [, payload, signature] = token.split('.')
  const { kid } = ours.jwks().keys[0]!
  for (const alg of ['none', 'HS256', 'ES256']) {
    const header = Buffer.from(JSON.stringify({ alg, kid })).toString('base64url')
    assert.equal(ours.verify(`${header}.${payload}.${signature}`), undefined, alg)
  }
  assert.equal(ours.verify(`${token.slice(0, -6)}AAAAAA`), undefined)
  assert.equal(ours.verify('x.y'), undefined)
})
