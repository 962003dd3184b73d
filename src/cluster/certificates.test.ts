import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { X509Certificate } from 'node:crypto'
import { connect } from 'node:tls'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { silentLog } from '../base/log.ts'
import { systemClock, systemRandom } from '../base/system.ts'
import { createOutgoing } from '../server/http/outgoing.ts'
import { startServer } from '../server/server.test-support.ts'
import { createLifecycle } from './lifecycle.ts'
import { issueCertificate } from './certificates.ts'
import { holdFreePort } from './machine.ts'
import { ensureFrontProxy, ensurePki, livePair, serverHosts } from './pki.ts'
import { serve } from './serve.ts'

test('certificates are made once, kept, and renewed when an address is added', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'proa-pki-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const first = await ensurePki(systemClock, directory, serverHosts(['10.96.0.1']))
  const again = await ensurePki(systemClock, directory, serverHosts(['10.96.0.1']))
  assert.deepEqual(again, first)
  const moved = await ensurePki(systemClock, directory, serverHosts(['10.96.0.1', '192.0.2.7']))
  assert.equal(moved.authority.cert, first.authority.cert)
  assert.equal(moved.admin.cert, first.admin.cert)
  assert.equal(new X509Certificate(moved.server.cert).checkIP('192.0.2.7'), '192.0.2.7')
  assert.equal(new X509Certificate(first.server.cert).checkIP('192.0.2.7'), undefined)
  assert.match(new X509Certificate(first.admin.cert).subject, /O=system:masters\nCN=kubernetes-admin/)
  for (const key of ['ca.key', 'server.key', 'admin.key', 'service-account.key']) {
    assert.equal(statSync(join(directory, key)).mode & 0o777, 0o600, key)
  }
})

test('a certificate that ends soon is renewed', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'proa-pki-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const first = await ensurePki(systemClock, directory, serverHosts([]))
  const later = { ...systemClock, now: () => systemClock.now() + 320 * 24 * 3600 * 1000 }
  const renewed = await ensurePki(later, directory, serverHosts([]))
  assert.notEqual(renewed.server.cert, first.server.cert)
  assert.equal(renewed.authority.cert, first.authority.cert)
})

test('the server shows its next certificate, and itself by it, without a restart', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'proa-pki-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const { server: api, clock } = await startServer(t)
  const lifecycle = createLifecycle()
  t.after(() => lifecycle.stop())
  const keys = async () => ({
    pki: await ensurePki(clock, directory, serverHosts([])),
    frontProxyCa: (await ensureFrontProxy(clock, directory)).authorityCert,
  })
  const first = await keys()
  const port = await holdFreePort(17_000)
  const kubeconfig = join(directory, 'kubeconfig')
  await serve({ clock, random: systemRandom, log: silentLog }, lifecycle, api, {
    name: 'x',
    port,
    kubeconfig,
    keys: first,
    renew: keys,
  })
  const shown = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: port.port, rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().fingerprint256)
        socket.destroy()
      })
      socket.once('error', reject)
    })
  const before = readFileSync(kubeconfig, 'utf8')
  const fingerprint = new X509Certificate(first.pki.server.cert).fingerprint256
  assert.equal(await shown(), fingerprint)
  clock.advance(320 * 24 * 3600 * 1000)
  while ((await shown()) === fingerprint);
  assert.notEqual(readFileSync(kubeconfig, 'utf8'), before, 'the administrator has a new one too')
})

test('what the server calls others with is read anew', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'proa-pki-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const { authority, server, admin } = await ensurePki(systemClock, directory, serverHosts([]))
  const callers: string[] = []
  const other = createServer({ ...server, ca: authority.cert, requestCert: true }, (request, response) => {
    callers.push((request.socket as TLSSocket).getPeerCertificate().fingerprint256)
    response.end()
  })
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const outgoing = createOutgoing({ clock: systemClock, random: systemRandom, log: silentLog })
  t.after(() => (outgoing.close(), other.close()))
  let current = admin
  const tls = livePair(() => current, authority.cert)
  const ask = async (): Promise<void> => {
    const { port } = other.address() as AddressInfo
    const answer = await outgoing.send({
      host: '127.0.0.1',
      port,
      tls,
      method: 'GET',
      path: '/',
      headers: [],
      signal: AbortSignal.timeout(5000),
    })
    for await (const _ of answer.body);
  }
  const next = await issueCertificate(systemClock, authority, { commonName: 'next', usage: 'client' })
  await ask()
  current = next
  await ask()
  assert.deepEqual(
    callers,
    [admin, next].map(({ cert }) => new X509Certificate(cert).fingerprint256),
  )
})
