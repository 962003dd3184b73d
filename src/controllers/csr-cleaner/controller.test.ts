import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CertificateSigningRequest } from '../../api/generated/certificates/v1.ts'
import { Cluster } from '../../cluster/cluster.ts'
import { staysForMs } from './plan.ts'
import { CERTIFICATE_REQUEST } from '../../api/certificate-request.test-support.ts'

const spec = { request: CERTIFICATE_REQUEST, usages: ['client auth'], signerName: 'a.b/c' }

test('how long requests stay', () => {
  const nowMs = Date.parse('2026-01-01T10:00:00Z')
  const hours = (count: number) => count * 3_600_000
  const request = (type?: string, certificate?: string): CertificateSigningRequest => ({
    metadata: { creationTimestamp: '2026-01-01T00:00:00Z' },
    spec,
    status: {
      ...(type ? { conditions: [{ type, status: 'True', lastUpdateTime: '2026-01-01T09:30:00Z' }] } : {}),
      ...(certificate ? { certificate } : {}),
    },
  })
  assert.equal(staysForMs(request(), nowMs), hours(14))
  assert.equal(staysForMs(request('Approved'), nowMs), hours(23.5))
  assert.equal(staysForMs(request('Approved', 'x'), nowMs), hours(0.5))
  assert.equal(staysForMs(request('Denied'), nowMs + hours(1)), 0)
  assert.equal(staysForMs(request('Failed'), nowMs), hours(0.5))
})

test('a request goes an hour after it was denied', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual', nodes: 0 })
  const kind = 'certificates.k8s.io/v1/CertificateSigningRequest'
  const made = await cluster.client.create(kind, { metadata: { name: 'r' }, spec })
  const denied = { ...made, status: { conditions: [{ type: 'Denied', status: 'True', reason: 'test' }] } }
  await cluster.client.update(kind, denied, { subresource: 'approval' })
  await cluster.advance(59 * 60_000)
  assert.ok(await cluster.client.get(kind, { name: 'r' }))
  await cluster.until(kind, { name: 'r' }, (request) => request === undefined, { timeoutMs: 120_000 })
})
