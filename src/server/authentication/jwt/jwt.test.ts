import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { test } from 'node:test'
import { fakeClock } from '../../server.test-support.ts'
import { verifySignature } from '../../http/jws.ts'
import { createJwtAuthenticator } from './authenticator.ts'
import { readAuthenticationConfiguration } from './configuration.ts'
import { createKeySet, type FetchText } from './key-set.ts'

const ISSUER = 'https://id.example'
const keys = { rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }), ec: generateKeyPairSync('ec', { namedCurve: 'P-256' }) }
const other = generateKeyPairSync('rsa', { modulusLength: 2048 })
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const jwk = (key: KeyObject, kid: string) => ({ ...key.export({ format: 'jwk' }), kid, use: 'sig' })

function token(claims: object, { alg = 'RS256', kid = 'rsa', key = keys.rsa.privateKey } = {}): string {
  const content = `${encode({ alg, kid })}.${encode(claims)}`
  const pss = alg.startsWith('PS') ? { padding: 6, saltLength: -1 } : {}
  return `${content}.${sign('sha256', Buffer.from(content), { key, dsaEncoding: 'ieee-p1363', ...pss }).toString('base64url')}`
}

const configuration = (change: object = {}, mappings: object = {}) =>
  JSON.stringify({
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AuthenticationConfiguration',
    jwt: [
      {
        issuer: { url: ISSUER, audiences: ['proa'] },
        claimMappings: { username: { claim: 'sub', prefix: 'id:' }, groups: { claim: 'groups', prefix: 'id:' }, ...mappings },
        ...change,
      },
    ],
  })

/** What a provider answers, and how often it is asked for its keys. */
function provider(published: readonly object[] = [jwk(keys.rsa.publicKey, 'rsa'), jwk(keys.ec.publicKey, 'ec')]) {
  const state = { published, asked: 0, issuer: ISSUER, isDown: false }
  const fetchText: FetchText = async (url) => {
    if (state.isDown) throw new Error(`Get "${url}": dial tcp: connection refused`)
    if (url.endsWith('openid-configuration')) return JSON.stringify({ issuer: state.issuer, jwks_uri: `${ISSUER}/keys` })
    state.asked++
    return JSON.stringify({ keys: state.published })
  }
  return { state, fetchText }
}

function setup(text = configuration(), { state, fetchText } = provider()) {
  const clock = fakeClock()
  const issuer = readAuthenticationConfiguration(text, []).issuers[0]!
  const authenticator = createJwtAuthenticator(clock, issuer, createKeySet(clock, issuer, fetchText), verifySignature, ['api'])
  const exp = clock.now() / 1000 + 600
  const claims = (more: object = {}) => ({ iss: ISSUER, aud: 'proa', sub: 'alice', exp, ...more })
  const judge = async (text: string, audiences = ['api']) => authenticator.authenticate(text, audiences)
  return { clock, state, claims, judge, authenticator }
}

test('a token of the provider is worth the user that its claims tell', async () => {
  const { judge, claims } = setup()
  assert.deepEqual(await judge(token(claims({ groups: ['devs'], jti: 'x' }))), {
    user: {
      name: 'id:alice',
      groups: ['id:devs'],
      extra: { 'authentication.kubernetes.io/credential-id': ['JTI=x'] },
    },
    audiences: ['api'],
  })
  const ec = token(claims(), { alg: 'ES256', kid: 'ec', key: keys.ec.privateKey })
  assert.ok('user' in (await judge(ec))!)
  assert.ok('user' in (await judge(token(claims(), { alg: 'PS256' })))!)
  assert.equal(await judge(token(claims()), ['somebody-else']), undefined)
})

test('what is not the provider’s, not for us, or not any more counts nothing', async () => {
  const { judge, claims, clock } = setup()
  const errorOf = async (text: string) => (await judge(text)) as { readonly error: string } | undefined
  assert.equal(await errorOf(token(claims({ iss: 'https://other.example' }))), undefined)
  for (const garbage of ['', 'a', 'a.b', 'a.b.c', `${encode({ alg: 'RS256' })}.${encode([])}.x`, '..', 'e30.e30.']) {
    assert.equal(await errorOf(garbage), undefined, garbage)
  }
  const signed = 'oidc: verify token: failed to verify signature: failed to verify id token signature'
  assert.equal((await errorOf(token(claims(), { key: other.privateKey })))?.error, signed)
  const [head, , signature] = token(claims()).split('.')
  assert.equal((await errorOf(`${head}.${encode(claims({ sub: 'admin' }))}.${signature}`))?.error, signed)
  // The kind of key decides how it is checked, never the token.
  const confused = `${encode({ alg: 'HS256', kid: 'rsa' })}.${encode(claims())}`
  const secret = keys.rsa.publicKey.export({ type: 'spki', format: 'pem' })
  const forged = `${confused}.${createHmac('sha256', secret).update(confused).digest('base64url')}`
  assert.match((await errorOf(forged))!.error, /unsupported algorithm, got "HS256"/)
  assert.match((await errorOf(`${encode({ alg: 'none' })}.${encode(claims())}.AA`))!.error, /unsupported algorithm, got "none"/)
  assert.equal(
    (await errorOf(token(claims({ aud: ['x', 'y'] }))))?.error,
    'oidc: verify token: oidc: expected audience "proa" got ["x" "y"]',
  )
  assert.match((await errorOf(token(claims({ exp: undefined }))))!.error, /token is expired/)
  assert.match((await errorOf(token(claims({ nbf: clock.now() / 1000 + 3600 }))))!.error, /before the nbf/)
  clock.advance(3600_000)
  assert.equal((await errorOf(token(claims())))?.error, 'oidc: verify token: oidc: token is expired (Token Expiry: 2026-01-01T00:10:00Z)')
})

test('new keys are asked for once when a token names one that is unknown, and not for every such token', async () => {
  const { judge, claims, state, clock } = setup()
  assert.ok('user' in (await judge(token(claims())))!)
  assert.equal(state.asked, 1)
  const fresh = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const byFresh = token(claims(), { kid: 'fresh', key: fresh.privateKey })
  await Promise.all(Array.from({ length: 20 }, () => judge(byFresh)))
  assert.equal(state.asked, 1, 'within five seconds')
  clock.advance(6000)
  state.published = [jwk(fresh.publicKey, 'fresh')]
  const answers = await Promise.all(Array.from({ length: 20 }, () => judge(byFresh)))
  assert.ok(answers.every((answer) => answer && 'user' in answer))
  assert.equal(state.asked, 2)
})

test('a provider that is down, or is another one, is told apart from a bad token', async () => {
  const down = setup(configuration(), provider())
  down.state.isDown = true
  assert.deepEqual(await down.judge(token(down.claims())), { error: 'oidc: authenticator not initialized' })
  const another = setup()
  another.state.issuer = 'https://evil.example'
  assert.deepEqual(await another.judge(token(another.claims())), { error: 'oidc: authenticator not initialized' })
})

test('expressions make users of claims, and rules refuse them', async () => {
  const text = configuration(
    {
      claimValidationRules: [{ expression: 'claims.hd == "example.com"', message: 'only example.com' }],
      userValidationRules: [{ expression: '!user.username.startsWith("system:")', message: 'reserved' }],
    },
    {
      username: { expression: 'claims.sub + "@" + claims.hd' },
      groups: { expression: 'claims.roles.map(role, "role:" + role)' },
      uid: { expression: 'claims.id' },
      extra: [{ key: 'example.com/team', valueExpression: 'claims.?team.orValue("")' }],
    },
  )
  const { judge, claims } = setup(text)
  const good = { hd: 'example.com', roles: ['a', 'b'], id: '17', team: 'x' }
  assert.deepEqual(await judge(token(claims(good))), {
    user: { name: 'alice@example.com', uid: '17', groups: ['role:a', 'role:b'], extra: { 'example.com/team': ['x'] } },
    audiences: ['api'],
  })
  const errorOf = async (more: object) => ((await judge(token(claims({ ...good, ...more })))) as { readonly error: string }).error
  assert.equal(
    await errorOf({ hd: 'other.com' }),
    `oidc: error evaluating claim validation expression: validation expression 'claims.hd == "example.com"' failed: only example.com`,
  )
  assert.equal(
    await errorOf({ sub: 'system:x' }),
    `oidc: error evaluating user info validation rule: validation expression '!user.username.startsWith("system:")' failed: reserved`,
  )
  assert.match(await errorOf({ roles: 7 }), /^oidc: error evaluating group claim expression: /)
  assert.equal(await errorOf({ id: 17 }), 'oidc: error evaluating uid claim expression: uid claim expression must return a string')
})

test('an address as a name counts when the provider has verified it', async () => {
  const { judge, claims } = setup(configuration({}, { username: { claim: 'email', prefix: '' } }))
  assert.ok('user' in (await judge(token(claims({ email: 'a@b.c', email_verified: true }))))!)
  assert.deepEqual(await judge(token(claims({ email: 'a@b.c', email_verified: false }))), { error: 'oidc: email not verified' })
})

test('a file that cannot be used is refused with every fault in it', () => {
  const refusal = (text: string, own: readonly string[] = []): string => {
    try {
      readAuthenticationConfiguration(text, own)
    } catch (error) {
      return (error as Error).message
    }
    return 'accepted'
  }
  const issuer = (change: object) => configuration({ issuer: { url: ISSUER, audiences: ['proa'], ...change } })
  const cases: readonly (readonly [string, string | RegExp])[] = [
    ['{', /error converting YAML to JSON/],
    ['kind: Other\napiVersion: apiserver.config.k8s.io/v1', /no kind "Other" is registered/],
    [configuration({ user: 'x' }), 'strict decoding error: unknown field "jwt[0].user"'],
    [issuer({ url: 'http://x' }), 'jwt[0].issuer.url: Invalid value: "http://x": URL scheme must be https'],
    [issuer({ audiences: [] }), 'jwt[0].issuer.audiences: Required value: at least one jwt[0].issuer.audiences is required'],
    [
      issuer({ audiences: ['a', 'b'] }),
      'jwt[0].issuer.audienceMatchPolicy: Invalid value: "": audienceMatchPolicy must be MatchAny for multiple audiences',
    ],
    [issuer({ discoveryURL: `${ISSUER}/` }), /discoveryURL must be different from URL/],
    [
      configuration({}, { username: { claim: 'sub' } }),
      'jwt[0].claimMappings.username.prefix: Required value: prefix is required when claim is set. It can be set to an empty string to disable prefixing',
    ],
    [configuration({}, { username: {} }), 'jwt[0].claimMappings.username: Required value: claim or expression is required'],
    [configuration({}, { username: { expression: 'claims.email' } }), /claims.email_verified must be used/],
    [
      configuration({}, { username: { expression: 'claims.' } }),
      /^jwt\[0\].claimMappings.username.expression: Invalid value: "claims.": compilation failed: /,
    ],
    [configuration({}, { extra: [{ key: 'kubernetes.io/x', valueExpression: '"a"' }] }), /are reserved for Kubernetes use/],
    [
      configuration({ claimValidationRules: [{ expression: '"a"' }] }),
      'jwt[0].claimValidationRules[0].expression: Invalid value: "\\"a\\"": must evaluate to bool',
    ],
  ]
  for (const [text, told] of cases) assert.match(refusal(text), typeof told === 'string' ? new RegExp(`^${RegExp.escape(told)}$`) : told)
  assert.match(refusal(configuration(), [ISSUER]), /URL must not overlap with disallowed issuers: \[https:\/\/id.example\]/)
  assert.deepEqual(
    readAuthenticationConfiguration(
      'apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\nanonymous:\n  enabled: true\n  conditions:\n  - path: /livez\n',
      [],
    ),
    { issuers: [], anonymous: { isEnabled: true, paths: ['/livez'] } },
  )
})
