import assert from 'node:assert/strict'
import { test } from 'node:test'
import { certificateSigningRequests } from './certificate-signing-request.ts'

test('signer names: a domain of two labels or more, a slash, a path', () => {
  const request = btoa('-----BEGIN CERTIFICATE REQUEST-----')
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
