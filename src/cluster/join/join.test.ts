/** What a machine believes before it has joined, and how tokens are kept. */
import assert from 'node:assert/strict'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../../base/system.ts'
import { createKubeconfig, formatKubeconfig } from '../../client/http/index.ts'
import { sign, signingTokens } from '../../controllers/bootstrap-signer/controller.ts'
import { createAuthority, issueCertificate } from '../certificates.ts'
import { isUserError } from '../user-error.ts'
import { newToken, NODE_TOKEN_GROUP, parseToken, tokenSecret, tokenText, USAGES } from './bootstrap-token.ts'
import { discoverAuthority, hashOfAuthority, isSignedBy } from './discovery.ts'

const token = parseToken('abcdef.0123456789abcdef')
const clock = { ...systemClock, now: () => Date.parse('2026-01-01T00:00:00Z') }
const authority = await createAuthority(systemClock, 'kubernetes')

/** Answers every request the same. */
async function startServer(t: TestContext, body: string, { status = 200, skewMs = 0 } = {}): Promise<string> {
  const pair = await issueCertificate(systemClock, authority, { commonName: 'server', usage: 'server', hosts: ['127.0.0.1'] })
  const date = new Date(clock.now() - skewMs).toUTCString()
  const server = createServer(pair, (_request, response) => response.writeHead(status, { date }).end(body))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const kubeconfig = formatKubeconfig(createKubeconfig({ name: '', server: 'https://10.0.0.1:6443', ca: authority.cert }))
const clusterInfo = async (signature?: string): Promise<string> =>
  JSON.stringify({ data: { kubeconfig, 'jws-kubeconfig-abcdef': signature ?? (await sign(kubeconfig, token.id, token.secret)) } })

test('the authority is believed when the token signed it and the hash is right', async (t) => {
  const server = await startServer(t, await clusterInfo())
  assert.equal(await discoverAuthority(clock, { server, token }), authority.cert)
  assert.equal(await discoverAuthority(clock, { server, token, caHash: hashOfAuthority(authority.cert) }), authority.cert)
})

test('why it is not believed is told, and never the token', async (t) => {
  const other = await createAuthority(systemClock, 'kubernetes')
  const [header, , mac] = (await sign(kubeconfig, token.id, token.secret)).split('.')
  const good = await clusterInfo()
  const table: readonly (readonly [string, Parameters<typeof startServer>[2], string | undefined, RegExp])[] = [
    [await clusterInfo(await sign(kubeconfig, token.id, 'another-secret')), {}, undefined, /not signed by this token/],
    [await clusterInfo(await sign(`${kubeconfig} `, token.id, token.secret)), {}, undefined, /not signed by this token/],
    [await clusterInfo(`${header}.e30.${mac}`), {}, undefined, /not signed by this token/],
    [await clusterInfo('a.b'), {}, undefined, /not signed by this token/],
    [JSON.stringify({ data: { kubeconfig } }), {}, undefined, /knows no token abcdef/],
    [good, {}, hashOfAuthority(other.cert), /authority is another one/],
    [good, { status: 403 }, undefined, /does not show/],
    [good, { status: 404 }, undefined, /has no kube-public\/cluster-info/],
    ['<html>', {}, undefined, /something else than a Kubernetes API server/],
    [good, { skewMs: 600_000 }, undefined, /clock is 600 s ahead/],
    [good, { skewMs: -600_000 }, undefined, /clock is 600 s behind/],
  ]
  for (const [body, options, caHash, expected] of table) {
    const server = await startServer(t, body, options)
    const asked = discoverAuthority(clock, { server, token, ...(caHash ? { caHash } : {}) })
    await assert.rejects(asked, (error) => isUserError(error) && expected.test(error.message) && !error.message.includes(token.secret))
  }
  const nobody = discoverAuthority(clock, { server: 'https://127.0.0.1:1', token })
  await assert.rejects(nobody, /cannot be reached \(ECONNREFUSED\)/)
  for (const server of ['127.0.0.1:6443', 'http://127.0.0.1:6443', 'https://x/path'])
    await assert.rejects(discoverAuthority(clock, { server, token }), /--server must be like/)
})

test('tokens: made, read, kept as upstream keeps them', async () => {
  const made = newToken()
  assert.deepEqual(parseToken(`${tokenText(made)}\n`), made)
  for (const text of ['abcdef', 'abcdef.short', 'ABCDEF.0123456789abcdef', 'abcdef.0123456789abcdef.x'])
    assert.throws(() => parseToken(text), /no bootstrap token/)
  const nowMs = Date.parse('2026-01-01T00:00:00Z')
  const secret = tokenSecret(token, { ttlMs: 3_600_000, usages: USAGES, groups: [NODE_TOKEN_GROUP] }, nowMs)
  assert.deepEqual(
    [secret.type, secret.metadata],
    ['bootstrap.kubernetes.io/token', { namespace: 'kube-system', name: 'bootstrap-token-abcdef' }],
  )
  assert.equal(atob(secret.data?.['expiration'] ?? ''), '2026-01-01T01:00:00Z')
  assert.deepEqual([...signingTokens([secret], nowMs)], [['abcdef', token.secret]])
  assert.equal(isSignedBy('x', await sign('x', token.id, token.secret), token), true)
  assert.throws(() => tokenSecret(token, { usages: ['x'], groups: [] }, nowMs), /usage "x"/)
  assert.throws(() => tokenSecret(token, { usages: USAGES, groups: ['system:masters'] }, nowMs), /must begin with system:bootstrappers:/)
})
