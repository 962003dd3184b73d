import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { test } from 'node:test'
import { silentLog } from '../base/log.ts'
import { systemClock, systemRandom } from '../base/system.ts'
import { createHttpsServer } from '../server/http/server.ts'
import { startServer } from '../server/server.test-support.ts'
import { createAuthority, issueCertificate, type KeyPair } from './certificates.ts'
import { readTlsSettings } from './tls-settings.ts'

test('versions, ciphers and certificates by name are as the flags say, and follow their files', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'proa-tls-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const authority = await createAuthority(systemClock, 'other')
  const certificate = (host: string) => issueCertificate(systemClock, authority, { commonName: host, usage: 'server', hosts: [host] })
  const write = (name: string, { cert, key }: KeyPair): string => {
    const files = [`${name}.crt`, `${name}.key`].map((file) => join(directory, file)) as [string, string]
    writeFileSync(files[0], cert)
    writeFileSync(files[1], key)
    return files.join(',')
  }
  const [own, named, wild] = [await certificate('own.test'), await certificate('named.test'), await certificate('other.test')]
  const settings = readTlsSettings({
    'tls-min-version': 'VersionTLS12',
    'tls-cipher-suites': 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
    'tls-sni-cert-key': `${write('named', named)}\n${write('wild', wild)}:*.wild.test`,
  })
  const { server: api } = await startServer(t)
  const runtime = { clock: systemClock, random: systemRandom, log: silentLog }
  const server = await createHttpsServer(runtime, api, { port: 0, ...own, ...settings.keys(), ...settings.limits })
  t.after(() => server.close())
  const ask = <T>(options: ConnectionOptions, see: (socket: TLSSocket) => T): Promise<T> =>
    new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: server.port, rejectUnauthorized: false, ...options }, () => {
        resolve(see(socket))
        socket.destroy()
      })
      socket.once('error', reject)
    })
  const shown = (servername: string) => ask({ servername }, (socket) => socket.getPeerCertificate().fingerprint256)
  const fingerprint = ({ cert }: KeyPair) => new X509Certificate(cert).fingerprint256
  assert.deepEqual(
    await Promise.all(['', 'unknown.test', 'named.test', 'a.wild.test'].map(shown)),
    [own, own, named, wild].map(fingerprint),
  )
  const next = await certificate('named.test')
  write('named', next)
  server.setKeys({ ...own, ...settings.keys() })
  assert.equal(await shown('named.test'), fingerprint(next))
  assert.equal(await ask({ maxVersion: 'TLSv1.2' }, (socket) => socket.getCipher().standardName), 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384')
  await assert.rejects(ask({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' }, () => undefined))
  assert.equal(await ask({}, (socket) => socket.getProtocol()), 'TLSv1.3')
})

const faults: readonly (readonly [flags: Readonly<Record<string, string>>, fault: RegExp])[] = [
  [{ 'tls-min-version': 'TLS12' }, /^unknown tls version "TLS12"$/],
  [{ 'tls-cipher-suites': 'TLS_NONE' }, /^Cipher suite TLS_NONE not supported or doesn't exist$/],
  [{ 'tls-cipher-suites': 'ECDHE-ECDSA-AES128-GCM-SHA256' }, /not supported or doesn't exist$/],
  [{ 'tls-sni-cert-key': 'a' }, /expected comma separated certificate and key file paths/],
  [{ 'tls-sni-cert-key': 'a,b: ' }, /empty names list is not allowed/],
  [{ 'tls-sni-cert-key': '/nowhere.crt,/nowhere.key' }, /ENOENT/],
]
for (const [flags, fault] of faults)
  test(`${JSON.stringify(flags)} is refused`, () => assert.throws(() => readTlsSettings(flags), { name: 'UserError', message: fault }))

test("Go's names of cipher suites are understood", () => {
  const { ciphers } = readTlsSettings({
    'tls-cipher-suites':
      'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,TLS_RSA_WITH_AES_128_GCM_SHA256,TLS_AES_128_GCM_SHA256',
  }).limits
  const chosen = ciphers!.split(':').slice(3)
  assert.deepEqual(chosen, ['ECDHE-RSA-CHACHA20-POLY1305', 'ECDHE-ECDSA-AES128-SHA', 'AES128-GCM-SHA256', 'TLS_AES_128_GCM_SHA256'])
})
