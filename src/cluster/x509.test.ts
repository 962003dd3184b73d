import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pemBlocks } from '../base/der.ts'
import { systemClock } from '../base/system.ts'
import { createAuthority, createCertificateRequest, issueCertificate } from './certificates.ts'
import { nameOf, publicKeyOf, readRequest, writeCertificate } from './x509.ts'

const derOf = (pem: string): Uint8Array => pemBlocks(pem)[0]!.bytes

function directoryOf(t: { after(done: () => void): void }): string {
  const directory = mkdtempSync(join(tmpdir(), 'proa-x509-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

test('what is issued holds before OpenSSL by the strict rules, and says what it is to say', async (t) => {
  const directory = directoryOf(t)
  const at = (name: string) => join(directory, name)
  const authority = await createAuthority(systemClock, 'test')
  const hosts = ['a.example', '192.0.2.7', '2001:db8::1']
  const leaf = await issueCertificate(systemClock, authority, { commonName: 'grüße', organizations: ['x', 'y'], usage: 'server', hosts })
  writeFileSync(at('ca.crt'), authority.cert)
  writeFileSync(at('leaf.crt'), leaf.cert)
  const verified = execFileSync('openssl', ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', at('ca.crt'), at('leaf.crt')])
  assert.match(verified.toString(), /OK/)
  const certificate = new X509Certificate(leaf.cert)
  assert.equal(certificate.subject, 'O=x\nO=y\nCN=grüße')
  assert.equal(certificate.subjectAltName, 'DNS:a.example, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:1')
  assert.equal(certificate.ca, false)
  assert.ok(new X509Certificate(authority.cert).ca)
})

test('times from 2050 on have years of four digits', async () => {
  const { key } = await createAuthority(systemClock, 'test')
  const signer = createPrivateKey(key)
  const name = nameOf('late')
  const [notBeforeMs, notAfterMs] = [Date.UTC(2049, 11, 31, 23, 59, 59), Date.UTC(2050, 0, 1)]
  const facts = { serial: Uint8Array.of(1), subject: name, publicKey: publicKeyOf(signer), notBeforeMs, notAfterMs, extensions: [] }
  const { validFrom, validTo } = new X509Certificate(writeCertificate(facts, name, signer))
  assert.deepEqual([Date.parse(validFrom), Date.parse(validTo)], [notBeforeMs, notAfterMs])
})

test('requests by every kind of key are read; one that was changed is not signed', async (t) => {
  const directory = directoryOf(t)
  const made = [
    ['-newkey', 'rsa:2048', '-sha256'],
    ['-newkey', 'rsa:2048', '-sha512', '-sigopt', 'rsa_padding_mode:pss'],
    ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-sha384'],
    ['-newkey', 'ed25519'],
  ].map((options, index) => {
    const out = join(directory, `${index}.csr`)
    const names = ['-subj', '/O=devs/CN=alice', '-addext', 'subjectAltName=critical,DNS:a.example']
    execFileSync('openssl', ['req', '-new', '-nodes', '-keyout', join(directory, 'key'), '-out', out, ...options, ...names], {
      stdio: 'pipe',
    })
    return { what: options.join(' '), pem: readFileSync(out, 'utf8') }
  })
  const own = (await createCertificateRequest({ commonName: 'alice', organizations: ['devs'], hosts: ['a.example'] })).request
  for (const { what, pem } of [...made, { what: 'our own', pem: own }]) {
    const der = derOf(pem)
    const { isSigned, names } = readRequest(der)
    assert.ok(isSigned, what)
    assert.deepEqual([names.length, names[0]!.isCritical], [1, what !== 'our own'], what)
    const changed = Uint8Array.from(der)
    changed[Buffer.from(der).indexOf('alice')]! ^= 1
    assert.equal(readRequest(changed).isSigned, false, what)
  }
})
