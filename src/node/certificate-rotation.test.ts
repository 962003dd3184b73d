import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority, createCertificateRequest, issueCertificate, signRequest, type KeyPair } from '../cluster/certificates.ts'
import { parseCertificateRequest } from '../api/certificate-request.ts'
import { certificateValidity } from '../api/certificate-validity.ts'
import type { CertificateSigningRequest } from '../api/generated/certificates/v1.ts'
import { silentLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { createClient } from '../client/create-client.ts'
import { createVirtualClock } from '../simulation/virtual-clock.ts'
import { ADMIN, startServer } from '../server/server.test-support.ts'
import { keepCertificate, rotationDeadline } from './certificate-rotation.ts'

const DAY_MS = 86_400_000
const KIND = 'certificates.k8s.io/v1/CertificateSigningRequest'
const IDENTITY = { commonName: 'system:node:n', organizations: ['system:nodes'] }

test('a certificate is renewed in its last third, by nodes at different moments', async () => {
  const clock = createVirtualClock()
  const { cert } = await issueCertificate(clock, await createAuthority(clock, 'ca'), { ...IDENTITY, usage: 'client' })
  const { startMs, endMs } = certificateValidity(cert)!
  const at = (chance: number) => (rotationDeadline({ random: { next: () => chance } }, cert) - startMs) / (endMs - startMs)
  assert.deepEqual(
    [at(0), at(0.5), at(1)].map((part) => Number(part.toFixed(3))),
    [0.7, 0.8, 0.9],
  )
  assert.equal(rotationDeadline({ random: seededRandom(1) }, 'none'), 0)
})

test('renewed before its end again and again, although requests are denied and forgotten', async (t) => {
  const clock = createVirtualClock()
  const authority = await createAuthority(clock, 'ca')
  const { server } = await startServer(t)
  const client = createClient(server.transport(ADMIN))
  let current: KeyPair = await issueCertificate(clock, authority, { ...IDENTITY, usage: 'client' })
  // Made before: virtual time would not wait for it.
  const request = await createCertificateRequest(IDENTITY)
  const installedMs: number[] = []
  const stop = new AbortController()
  const kept = keepCertificate(
    { clock, random: seededRandom(1), log: silentLog },
    client,
    {
      signerName: 'kubernetes.io/kube-apiserver-client-kubelet',
      current: () => current.cert,
      newRequest: async () => request,
      install(pair) {
        assert.ok(certificateValidity(current.cert)!.endMs > clock.now(), 'the one before still holds')
        current = pair
        installedMs.push(clock.now())
      },
    },
    stop.signal,
  )
  /** The requests that nobody has answered. */
  const open = async () => (await client.list(KIND)).items.filter(({ status }) => !status?.conditions)
  const answer = async (asked: CertificateSigningRequest): Promise<void> => {
    const condition = (type: string) => [{ type, status: 'True', reason: 'x', message: 'y' }]
    if (seen++ === 0) {
      await client.update(KIND, { ...asked, status: { conditions: condition('Denied') } }, { subresource: 'approval' })
      return
    }
    const approved = await client.update(KIND, { ...asked, status: { conditions: condition('Approved') } }, { subresource: 'approval' })
    if (seen === 2) return
    const { der } = parseCertificateRequest(asked.spec.request)
    const cert = signRequest(clock, authority, { der, usages: asked.spec.usages ?? [], ttlMs: 365 * DAY_MS })
    await client.update(KIND, { ...approved, status: { ...approved.status, certificate: btoa(cert) } }, { subresource: 'status' })
  }
  let seen = 0
  for (let day = 0; installedMs.length < 3; day++) {
    assert.ok(day < 3 * 365, 'three renewals within three years')
    const waiting = await open()
    for (const asked of waiting) await answer(asked)
    await clock.advance(waiting.length > 0 ? 5000 : DAY_MS)
  }
  assert.ok(seen >= 5, 'denied once, forgotten once')
  stop.abort()
  await kept
})
