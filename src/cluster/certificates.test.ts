import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { X509Certificate } from 'node:crypto'
import { systemClock } from '../base/system.ts'
import { ensurePki, serverHosts } from './pki.ts'

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
