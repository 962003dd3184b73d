import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from '../../server.test-support.ts'
import { certificateSigningRequests } from './certificate-signing-request.ts'
import { CERTIFICATE_REQUEST } from '../../../api/certificate-request.test-support.ts'

test('signer names: a domain of two labels or more, a slash, a path', () => {
  const request = CERTIFICATE_REQUEST
  const faultsOf = (signerName: string) =>
    certificateSigningRequests.validate!({ metadata: { name: 'r' }, spec: { request, usages: ['client auth'], signerName } }).map(
      ({ detail }) => detail,
    )
  for (const good of ['example.com/e2e-1', 'kubernetes.io/kube-apiserver-client', 'a.b.c/d.e']) assert.deepEqual(faultsOf(good), [], good)
  assert.match(String(faultsOf('example/x')), /should be a domain with at least two segments separated by dots/)
  assert.match(String(faultsOf('example.com')), /must be a fully qualified domain and path of the form 'example.com\/signer-name'/)
  assert.match(String(faultsOf('a.b/c/d')), /must be a fully qualified domain and path/)
  assert.match(String(faultsOf('a.B/c')), /validating label "B": /)
  assert.match(String(faultsOf('a.b/c_d')), /validating label "c_d": /)
  assert.match(String(faultsOf('kubernetes.io/legacy-unknown')), /the legacy signerName is not allowed via this API version/)
})

test('a verdict is given at /approval alone, gets its times, and stays', async (t) => {
  const { call } = await startServer(t, { resources: [certificateSigningRequests] })
  const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests'
  const request = CERTIFICATE_REQUEST
  const made = await call('POST', path, { metadata: { name: 'r' }, spec: { request, usages: ['client auth'], signerName: 'a.b/c' } })
  const approved = { ...made.body, status: { conditions: [{ type: 'Approved', status: 'True', reason: 'test' }] } }
  assert.match(String((await call('PUT', `${path}/r/status`, approved)).body.message), /updates may not add a condition of type "Approved"/)
  const { body } = await call('PUT', `${path}/r/approval`, approved)
  const time = '2026-01-01T00:00:00Z'
  assert.deepEqual(body.status.conditions, [
    { type: 'Approved', status: 'True', reason: 'test', lastUpdateTime: time, lastTransitionTime: time },
  ])
  const taken = await call('PUT', `${path}/r/approval`, { ...body, status: {} })
  assert.match(String(taken.body.message), /updates may not remove a condition of type "Approved"/)
})
