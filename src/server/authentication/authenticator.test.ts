import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { UserInfo } from '../../api/exchange.ts'
import { fakeClock, startServer } from '../server.test-support.ts'
import { createAuthenticator, type TokenAnswer } from './authenticator.ts'
import { createStaticTokens, parseTokenFile } from './static-tokens.ts'
import { createWebhookTokens } from './webhook-tokens.ts'

const request = { path: '/api', headers: {} }
const digest = (text: string): string => createHash('sha256').update(text).digest('hex')

test('a bootstrap token counts while its Secret says so', async (t) => {
  const { call, server, clock } = await startServer(t)
  const secrets = '/api/v1/namespaces/kube-system/secrets'
  const data = (change: Readonly<Record<string, string>> = {}) =>
    Object.fromEntries(
      Object.entries({
        'token-id': 'abcdef',
        'token-secret': '0123456789abcdef',
        'usage-bootstrap-authentication': 'true',
        'auth-extra-groups': 'system:bootstrappers:workers',
        ...change,
      }).map(([key, value]) => [key, btoa(value)]),
    )
  const who = async (token: string) => server.core.authenticator.authenticate({ bearerToken: token }, request)
  const put = async (change?: Readonly<Record<string, string>>, type = 'bootstrap.kubernetes.io/token') => {
    await call('DELETE', `${secrets}/bootstrap-token-abcdef`)
    const { status } = await call('POST', secrets, { metadata: { name: 'bootstrap-token-abcdef' }, type, data: data(change) })
    assert.equal(status, 201)
  }
  const token = 'abcdef.0123456789abcdef'
  await put()
  assert.deepEqual(await who(token), {
    name: 'system:bootstrap:abcdef',
    groups: ['system:bootstrappers', 'system:bootstrappers:workers', 'system:authenticated'],
  })
  await assert.rejects(who('abcdef.0123456789abcdee'), /Unauthorized/)
  await put({ expiration: new Date(clock.now() + 1000).toISOString() })
  assert.equal((await who(token)).name, 'system:bootstrap:abcdef')
  clock.advance(1001)
  await assert.rejects(who(token), /Unauthorized/)
  const others: readonly Readonly<Record<string, string>>[] = [
    { expiration: 'soon' },
    { 'usage-bootstrap-authentication': 'no' },
    { 'auth-extra-groups': 'system:masters' },
    { 'token-id': 'abcdeg' },
  ]
  for (const bad of others) {
    await put(bad)
    await assert.rejects(who(token), /Unauthorized/, JSON.stringify(bad))
  }
  await put({}, 'Opaque')
  await assert.rejects(who(token), /Unauthorized/)
})

test('a token file: names, uids and groups', async () => {
  const users = parseTokenFile('t1,alice,1,"devs,ops"\n# nobody\nt2,bob,2\n\n"t,3",carol,3,one\n')
  assert.deepEqual(users.get('t1'), { name: 'alice', uid: '1', groups: ['devs', 'ops'] })
  assert.deepEqual(users.get('t,3'), { name: 'carol', uid: '3', groups: ['one'] })
  assert.throws(() => parseTokenFile('t1,alice'), /line 1 must have at least 3 columns/)
  const tokens = createStaticTokens(users, digest, ['us'])
  assert.deepEqual(tokens.authenticate('t2', ['us', 'x']), { user: { name: 'bob', uid: '2', groups: [] }, audiences: ['us'] })
  assert.equal(tokens.authenticate('t2', ['x']), undefined)
  assert.equal(tokens.authenticate('t4', ['us']), undefined)
})

test('another program judges tokens, asked once while its answer counts', async () => {
  const clock = fakeClock()
  let asked = 0
  let status: object | Error = { authenticated: true, user: { username: 'alice', groups: ['devs', 7], extra: { k: ['v'] } } }
  const tokens = createWebhookTokens(clock, {
    ask: async () => {
      asked++
      if (status instanceof Error) throw status
      return status as Record<string, unknown>
    },
    digest,
    ttlMs: 120_000,
    ownAudiences: ['us'],
  })
  const judge = (token: string, audiences = ['us']) => tokens.authenticate(token, audiences) as Promise<TokenAnswer>
  const user = { name: 'alice', groups: ['devs'], extra: { k: ['v'] } }
  assert.deepEqual(await Promise.all([judge('t'), judge('t')]), [
    { user, audiences: ['us'] },
    { user, audiences: ['us'] },
  ])
  assert.equal(asked, 1)
  clock.advance(119_000)
  await judge('t')
  assert.equal(asked, 1)
  clock.advance(2000)
  status = new Error('down')
  assert.deepEqual(await judge('t'), { error: 'down' })
  status = { authenticated: true, user: { username: 'alice' }, audiences: ['them'] }
  assert.equal(await judge('u'), undefined)
  status = { authenticated: true, user: {} }
  assert.equal(await judge('v'), undefined)
  status = { authenticated: 'yes', user: { username: 'eve' } }
  assert.equal(await judge('w'), undefined)
  status = { error: 'why not' }
  assert.deepEqual(await judge('x'), { error: 'why not' })
})

test('the anonymous are let in where the configuration says', () => {
  let anonymous = { isEnabled: true, paths: ['/livez'] }
  const authenticator = createAuthenticator({ tokens: [], audiences: [], anonymous: () => anonymous })
  assert.equal((authenticator.authenticate({}, { ...request, path: '/livez' }) as UserInfo).name, 'system:anonymous')
  assert.throws(() => authenticator.authenticate({}, { ...request, path: '/livez/ping' }), /Unauthorized/)
  anonymous = { isEnabled: false, paths: [] }
  assert.throws(() => authenticator.authenticate({}, { ...request, path: '/livez' }), /Unauthorized/)
})
