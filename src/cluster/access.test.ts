/**
 * Who may do what, by every road: the same table of askers and requests over the direct transport, HTTP/1.1, HTTP/2, WebSocket and SPDY
 * upgrades, to objects, streams, proxies and aggregated APIs. A request that is let in may still find nothing; one that is not is answered
 * 401 or 403 before anything else.
 */
import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type ClientHttp2Session } from 'node:http2'
import { Agent, createServer, request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { silentLog } from '../base/log.ts'
import type { Runtime } from '../base/runtime.ts'
import { systemClock, systemRandom } from '../base/system.ts'
import type { UserInfo } from '../api/exchange.ts'
import { createKubeconfig, writeKubeconfig } from '../client/http/index.ts'
import { createHttpsServer, type HttpsServer } from '../server/http/server.ts'
import { createMemoryStore } from '../store/memory.ts'
import { readAccessSetup } from './access.ts'
import type { ApiServerSettings } from './api-server-flags.ts'
import { startApiPlane, type ApiPlane } from './api-plane.ts'
import { createAuthority, issueCertificate, type KeyPair } from './certificates.ts'
import * as identities from './identities.ts'
import { createLifecycle, type Lifecycle } from './lifecycle.ts'
import { temporaryTokenSigner } from './temporary-server.ts'

const runtime: Runtime = { clock: systemClock, random: systemRandom, log: silentLog }
const OWN = { issuer: 'https://kubernetes.default.svc.cluster.local', audiences: ['https://kubernetes.default.svc.cluster.local'] }
const directory = mkdtempSync(join(tmpdir(), 'proa-access-'))
const write = (name: string, value: unknown): string => {
  const path = join(directory, name)
  writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value), { mode: 0o600 })
  return path
}

interface Proofs {
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly pair?: KeyPair
}

let lifecycle: Lifecycle
let plane: ApiPlane
let https: HttpsServer
let authority: KeyPair
let provider: ReturnType<typeof createServer>
/** What the authorizer by webhook says of a user. */
let opinion: (user: string) => object = () => ({})
const askers: Record<string, Proofs> = {}
const providerKey = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

function idToken(claims: object): string {
  const content = `${base64url({ alg: 'ES256', kid: 'k' })}.${base64url(claims)}`
  return `${content}.${sign('sha256', Buffer.from(content), { key: providerKey.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

before(async () => {
  authority = await createAuthority(systemClock, 'kubernetes')
  const frontProxy = await createAuthority(systemClock, 'front-proxy-ca')
  const stranger = await createAuthority(systemClock, 'kubernetes')
  const server = await issueCertificate(systemClock, authority, {
    commonName: 'server',
    usage: 'server',
    hosts: ['127.0.0.1', 'localhost'],
  })
  // One program is the identity provider, the judge of tokens and the authorizer.
  provider = createServer({ key: server.key, cert: server.cert }, (incoming, response) => {
    void (async () => {
      let body = ''
      for await (const chunk of incoming) body += String(chunk)
      const { port } = provider.address() as AddressInfo
      const issuer = `https://localhost:${port}`
      const review = (body === '' ? {} : JSON.parse(body)) as { readonly spec?: { readonly token?: string; readonly user?: string } }
      const answers: Record<string, () => object> = {
        '/.well-known/openid-configuration': () => ({ issuer, jwks_uri: `${issuer}/keys` }),
        '/keys': () => ({ keys: [{ ...providerKey.publicKey.export({ format: 'jwk' }), kid: 'k', use: 'sig' }] }),
        '/tokens': () => ({
          ...review,
          status: review.spec?.token === 'judged' ? { authenticated: true, user: { username: 'alice' } } : {},
        }),
        '/leave': () => ({ ...review, status: opinion(review.spec?.user ?? '') }),
      }
      response.end(JSON.stringify(answers[incoming.url ?? '']?.() ?? {}))
    })()
  })
  provider.listen(0, '127.0.0.1')
  await once(provider, 'listening')
  const url = `https://localhost:${(provider.address() as AddressInfo).port}`
  const kubeconfig = (path: string): string => {
    const file = join(directory, `kubeconfig-${path}`)
    writeKubeconfig(file, createKubeconfig({ name: 'x', server: `${url}/${path}`, ca: authority.cert, token: 'x' }))
    return file
  }
  const settings: ApiServerSettings = {
    'token-auth-file': write('tokens.csv', 'alice-token,alice,1,"devs"\nproxy-token,impersonator,2\nempty-token,nobody,3\n'),
    'authentication-token-webhook-config-file': kubeconfig('tokens'),
    'authentication-config': write('authentication.json', {
      apiVersion: 'apiserver.config.k8s.io/v1',
      kind: 'AuthenticationConfiguration',
      anonymous: { enabled: true, conditions: [{ path: '/livez' }, { path: '/version' }] },
      jwt: [
        {
          issuer: { url, audiences: ['proa'], certificateAuthority: authority.cert },
          claimMappings: { username: { expression: 'claims.sub' } },
        },
      ],
    }),
    'authorization-config': write('authorization.json', {
      apiVersion: 'apiserver.config.k8s.io/v1',
      kind: 'AuthorizationConfiguration',
      authorizers: [
        {
          type: 'Webhook',
          name: 'hook',
          webhook: {
            timeout: '3s',
            subjectAccessReviewVersion: 'v1',
            failurePolicy: 'NoOpinion',
            cacheAuthorizedRequests: false,
            cacheUnauthorizedRequests: false,
            connectionInfo: { type: 'KubeConfigFile', kubeConfigFile: kubeconfig('leave') },
            matchConditionSubjectAccessReviewVersion: 'v1',
            matchConditions: [{ expression: "request.user == 'asked'" }],
          },
        },
        { type: 'Node', name: 'node' },
        { type: 'RBAC', name: 'rbac' },
      ],
    }),
  }
  lifecycle = createLifecycle()
  plane = await startApiPlane(runtime, lifecycle, {
    store: createMemoryStore(),
    serviceCidr: '10.96.0.0/16',
    tokenSigner: temporaryTokenSigner(),
    access: readAccessSetup(settings, OWN),
  })
  https = await createHttpsServer(runtime, plane.server, { port: 0, ...server, clientCa: authority.cert, frontProxyCa: frontProxy.cert })
  const admin = plane.client(identities.administrator)
  const rule = (resources: readonly string[], verbs: readonly string[]) => ({ apiGroups: ['', 'agg.example.com'], resources, verbs })
  await admin.create('rbac.authorization.k8s.io/v1/ClusterRole', {
    metadata: { name: 'reader' },
    rules: [rule(['pods', 'pods/exec', 'pods/proxy', 'services/proxy', 'things'], ['get', 'list', 'watch', 'create'])],
  })
  await admin.create('rbac.authorization.k8s.io/v1/ClusterRoleBinding', {
    metadata: { name: 'reader' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'reader' },
    subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'alice' }],
  })
  await admin.create('rbac.authorization.k8s.io/v1/ClusterRole', {
    metadata: { name: 'as-alice' },
    rules: [{ apiGroups: [''], resources: ['users'], verbs: ['impersonate'], resourceNames: ['alice'] }],
  })
  await admin.create('rbac.authorization.k8s.io/v1/ClusterRoleBinding', {
    metadata: { name: 'as-alice' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'as-alice' },
    subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'impersonator' }],
  })
  const client = (signer: KeyPair, commonName: string, organizations: readonly string[] = []) =>
    issueCertificate(systemClock, signer, { commonName, organizations, usage: 'client' })
  const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })
  const now = Math.floor(Date.now() / 1000)
  const asAlice = { 'x-remote-user': 'alice' }
  Object.assign(askers, {
    nobody: {},
    'a made-up token': bearer('made-up'),
    'a known token': bearer('alice-token'),
    'a known token without rights': bearer('empty-token'),
    'a token that another program knows': bearer('judged'),
    'a token of the provider': bearer(idToken({ iss: url, aud: 'proa', sub: 'alice', exp: now + 600 })),
    'a token of the provider that ended': bearer(idToken({ iss: url, aud: 'proa', sub: 'alice', exp: now - 600 })),
    'a token of the provider for others': bearer(idToken({ iss: url, aud: 'other', sub: 'alice', exp: now + 600 })),
    'a certificate': { pair: await client(authority, 'alice') },
    'a certificate of a stranger': { pair: await client(stranger, 'alice', ['system:masters']) },
    'a certificate of a stranger, and a known token': { pair: await client(stranger, 'x'), ...bearer('alice-token') },
    'the front proxy': { pair: await client(frontProxy, 'front-proxy-client'), headers: asAlice },
    'the front proxy without a user': { pair: await client(frontProxy, 'front-proxy-client', ['system:masters']) },
    'another client of its authority': { pair: await client(frontProxy, 'mallory', ['system:masters']), headers: asAlice },
    'headers of a proxy from a user': { pair: await client(authority, 'bob'), headers: { ...asAlice, 'x-remote-group': 'system:masters' } },
    'one who may act as alice': { headers: { authorization: 'Bearer proxy-token', 'impersonate-user': 'alice' } },
    'one who may act as alice, as a master': {
      headers: { authorization: 'Bearer proxy-token', 'impersonate-user': 'alice', 'impersonate-group': 'system:masters' },
    },
    'one who may not': { headers: { authorization: 'Bearer empty-token', 'impersonate-user': 'alice' } },
    'a group with a comma': {
      pair: await client(frontProxy, 'front-proxy-client'),
      headers: { 'x-remote-user': 'eve', 'x-remote-group': ['x,system:masters', 'y'] },
    },
    'a master': { pair: await client(authority, 'root', ['system:masters']) },
  } satisfies Record<string, Proofs>)
})

after(async () => {
  await https.close()
  await lifecycle.stop()
  provider.closeAllConnections()
  provider.close()
  rmSync(directory, { recursive: true })
})

type Verdict = 401 | 403 | 'in'

/** Everybody's verdict over each road must be this. */
const expected: Readonly<Record<string, readonly [allowedToAlice: Verdict, secrets: Verdict, live: Verdict]>> = {
  nobody: [401, 401, 'in'],
  'a made-up token': [401, 401, 401],
  'a known token': ['in', 403, 'in'],
  'a known token without rights': [403, 403, 'in'],
  'a token that another program knows': ['in', 403, 'in'],
  'a token of the provider': ['in', 403, 'in'],
  'a token of the provider that ended': [401, 401, 401],
  'a token of the provider for others': [401, 401, 401],
  'a certificate': ['in', 403, 'in'],
  'a certificate of a stranger': [401, 401, 401],
  'a certificate of a stranger, and a known token': ['in', 403, 'in'],
  'the front proxy': ['in', 403, 'in'],
  'the front proxy without a user': [401, 401, 'in'],
  'another client of its authority': [401, 401, 'in'],
  'headers of a proxy from a user': [403, 403, 'in'],
  'one who may act as alice': ['in', 403, 'in'],
  'one who may act as alice, as a master': [403, 403, 403],
  'one who may not': [403, 403, 403],
  'a group with a comma': [403, 403, 'in'],
  'a master': ['in', 'in', 'in'],
}

const ALLOWED_TO_ALICE: readonly (readonly [method: string, path: string])[] = [
  ['GET', '/api/v1/namespaces/default/pods'],
  ['GET', '/api/v1/namespaces/default/pods/p'],
  ['GET', '/api/v1/namespaces/default/pods/p/proxy/x'],
  ['GET', '/api/v1/namespaces/default/services/s/proxy/'],
  ['GET', '/apis/agg.example.com/v1/things'],
]
const SECRETS: typeof ALLOWED_TO_ALICE = [
  ['GET', '/api/v1/secrets'],
  ['GET', '/api/v1/namespaces/kube-system/secrets/s'],
  ['DELETE', '/api/v1/namespaces/default/pods/p'],
  ['GET', '/api/v1/nodes/n/proxy/pods'],
  ['GET', '/apis/agg.example.com/v1/others'],
  ['GET', '/api/v1/watch/secrets'],
  ['GET', '/api/v1/namespaces/default/pods/p/log'],
  ['GET', '/api/v1/namespaces/default/pods/p/attach'],
  ['GET', '/api/v1/namespaces/default/pods/p/portforward'],
  ['DELETE', '/api/v1/namespaces/default/pods/p/proxy/x'],
  ['POST', '/api/v1/namespaces/default/pods/p/eviction'],
  ['POST', '/api/v1/namespaces/default/pods/p/binding'],
  ['PATCH', '/api/v1/namespaces/default/pods/p/status'],
  ['PUT', '/apis/apps/v1/namespaces/default/deployments/d/scale'],
  ['POST', '/api/v1/namespaces/default/serviceaccounts/default/token'],
  ['POST', '/apis/authentication.k8s.io/v1/tokenreviews'],
  ['POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews'],
  ['GET', '/debug/pprof/'],
  ['GET', '/logs/'],
  ['GET', '/metrics'],
  ['GET', '//api/v1/secrets'],
  ['GET', '/api/v1/namespaces/default/pods/../secrets'],
  ['GET', '/api/v1/namespaces/default/pods/%2e%2e/%2e%2e/kube-system/secrets'],
]

const verdictOf = (status: number): Verdict => (status === 401 || status === 403 ? status : 'in')

function overHttp(
  { headers = {}, pair }: Proofs,
  method: string,
  path: string,
  more: Record<string, string> = {},
  agent = new Agent({ maxCachedSessions: 0 }),
): Promise<Verdict> {
  return new Promise<Verdict>((resolve, reject) => {
    const sent = httpsRequest(
      { host: '127.0.0.1', port: https.port, method, path, agent, ca: authority.cert, headers: { ...headers, ...more } as never, ...pair },
      (response) => {
        response.resume()
        resolve(verdictOf(response.statusCode!))
      },
    )
    sent.on('upgrade', (response, socket) => {
      socket.destroy()
      resolve(verdictOf(response.statusCode!))
    })
    sent.on('error', reject)
    sent.end()
  })
}

async function overHttp2(session: ClientHttp2Session, { headers = {} }: Proofs, method: string, path: string): Promise<Verdict> {
  const stream = session.request({ ':method': method, ':path': path, ...headers })
  stream.end()
  stream.resume()
  const [answer] = (await once(stream, 'response')) as [{ ':status': number }]
  stream.close()
  return verdictOf(answer[':status'])
}

test('each road has the same verdict about each asker', async () => {
  assert.deepEqual(Object.keys(expected).toSorted(), Object.keys(askers).toSorted())
  for (const [asker, [toAlice, secrets, live]] of Object.entries(expected)) {
    const proofs = askers[asker]!
    const agent = new Agent({ keepAlive: true, maxCachedSessions: 0 })
    const session = connect(`https://127.0.0.1:${https.port}`, { ca: authority.cert, ...proofs.pair })
    const rows = [
      ...ALLOWED_TO_ALICE.map((row) => [...row, toAlice] as const),
      ...SECRETS.map((row) => [...row, secrets] as const),
      ['GET', '/livez', live] as const,
    ]
    for (const [method, path, verdict] of rows) {
      assert.equal(await overHttp(proofs, method, path, {}, agent), verdict, `${asker}: HTTP/1.1 ${method} ${path}`)
      assert.equal(await overHttp2(session, proofs, method, path), verdict, `${asker}: HTTP/2 ${method} ${path}`)
    }
    session.close()
    agent.destroy()
    const upgrades = {
      WebSocket: {
        upgrade: 'websocket',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        'sec-websocket-version': '13',
        connection: 'Upgrade',
      },
      SPDY: { upgrade: 'SPDY/3.1', connection: 'Upgrade' },
    }
    for (const [name, more] of Object.entries(upgrades)) {
      const exec = '/api/v1/namespaces/default/pods/p/exec?command=x&stdout=1'
      assert.equal(await overHttp(proofs, name === 'SPDY' ? 'POST' : 'GET', exec, more), toAlice, `${asker}: ${name} exec`)
      const watched = '/api/v1/secrets?watch=1'
      if (name === 'WebSocket') assert.equal(await overHttp(proofs, 'GET', watched, more), secrets, `${asker}: ${name} watch`)
    }
  }
})

test('the direct transport asks the same authorizer', async () => {
  const users: readonly (readonly [UserInfo, Verdict, Verdict])[] = [
    [{ name: 'alice', groups: [] }, 'in', 403],
    [{ name: 'system:anonymous', groups: ['system:unauthenticated'] }, 403, 403],
    [identities.administrator, 'in', 'in'],
  ]
  for (const [user, toAlice, secrets] of users) {
    const transport = plane.server.transport(user)
    for (const [rows, verdict] of [
      [ALLOWED_TO_ALICE, toAlice],
      [SECRETS, secrets],
    ] as const) {
      for (const [method, path] of rows) {
        const { status } = await transport({
          method: method as 'GET',
          path: decodeURIComponent(path),
          query: new URLSearchParams(),
          headers: {},
          signal: AbortSignal.timeout(5000),
        })
        assert.equal(verdictOf(status), verdict, `${user.name} ${method} ${path}`)
      }
    }
  }
})

test('a webhook that gives leave, refuses it, talks nonsense', async () => {
  const asked = { headers: { 'x-remote-user': 'asked' }, pair: askers['the front proxy']!.pair! }
  const secrets = () => overHttp(asked, 'GET', '/api/v1/secrets')
  opinion = () => ({ allowed: true })
  assert.equal(await secrets(), 'in')
  opinion = () => ({ denied: true, reason: 'no' })
  assert.equal(await secrets(), 403)
  opinion = () => ({ allowed: 'certainly' })
  assert.equal(await secrets(), 403)
})

test('files and flags that cannot be used are told at once', () => {
  const bad = write('bad.yaml', 'kind: [')
  for (const [settings, told] of [
    [{ 'authentication-config': bad }, /^authentication configuration .*bad.yaml: error converting YAML to JSON: /],
    [{ 'authorization-config': bad }, /^authorization configuration .*bad.yaml: error converting YAML to JSON: /],
    [{ 'admission-control-config-file': bad }, /^admission control configuration .*bad.yaml: error converting YAML to JSON: /],
    [{ 'authorization-config': '/nowhere' }, /ENOENT/],
    [
      { 'authorization-config': bad, 'authorization-mode': 'RBAC' },
      '--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined',
    ],
    [{ 'authorization-mode': 'ABAC' }, "authorization-mode ABAC's authorization policy file not passed"],
    [
      { 'authorization-mode': 'Foo,RBAC,RBAC' },
      '[authorization-mode "Foo" is not a valid mode, authorization-mode ["Foo" "RBAC" "RBAC"] has mode specified more than once]',
    ],
    [{ 'authorization-policy-file': bad }, 'cannot specify --authorization-policy-file without mode ABAC'],
    [{ 'authorization-mode': 'ABAC', 'authorization-policy-file': bad }, /error reading policy file .*bad.yaml, line 1: kind: \[: /],
    [{ 'max-requests-inflight': '0', 'max-mutating-requests-inflight': '0' }, /they must add up to something positive$/],
    [{ 'anonymous-auth': 'perhaps' }, /--anonymous-auth must be true or false/],
    [{ 'authentication-token-webhook-cache-ttl': 'x', 'authentication-token-webhook-config-file': '/nowhere' }, /ENOENT/],
  ] as const) {
    assert.throws(() => readAccessSetup(settings, OWN), { name: 'UserError', message: told })
  }
})
