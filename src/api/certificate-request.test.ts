import assert from 'node:assert/strict'
import { test } from 'node:test'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { kubeletClientFault, kubeletServingFault, parseCertificateRequest } from './certificate-request.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

async function request(name: string, alternatives: x509.JsonGeneralNames = []): Promise<string> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const made = await x509.Pkcs10CertificateRequestGenerator.create({
    name,
    keys,
    signingAlgorithm: algorithm,
    extensions: alternatives.length > 0 ? [new x509.SubjectAlternativeNameExtension(alternatives)] : [],
  })
  return btoa(made.toString('pem'))
}

test('a request tells whose certificate it wants, and for which names', async () => {
  const facts = parseCertificateRequest(
    await request('CN=alice, O=devs, O=ops', [
      { type: 'dns', value: 'a.example' },
      { type: 'ip', value: '10.0.0.1' },
      { type: 'url', value: 'spiffe://x' },
      { type: 'email', value: 'a@b.c' },
    ]),
  )
  assert.equal(facts.commonName, 'alice')
  assert.deepEqual(facts.organizations, ['devs', 'ops'])
  assert.deepEqual(facts.dnsNames, ['a.example'])
  assert.deepEqual(
    facts.ipAddresses.map((address) => [...address]),
    [[10, 0, 0, 1]],
  )
  assert.deepEqual(facts.uris, ['spiffe://x'])
  assert.deepEqual(facts.emailAddresses, ['a@b.c'])
})

test('what is no request is told so and never read past its end', async () => {
  assert.throws(() => parseCertificateRequest(btoa('x')), { message: 'PEM block type must be CERTIFICATE REQUEST' })
  assert.throws(() => parseCertificateRequest('***'), { message: 'PEM block type must be CERTIFICATE REQUEST' })
  const whole = parseCertificateRequest(await request('CN=alice')).der
  for (let length = 0; length < whole.length; length += 7) {
    const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${whole.subarray(0, length).toBase64()}\n-----END CERTIFICATE REQUEST-----`
    assert.throws(() => parseCertificateRequest(btoa(pem)), { name: 'DerError' }, `${length} bytes`)
  }
})

test('which requests are a kubelet’s', async () => {
  const client = ['digital signature', 'client auth']
  const serving = ['digital signature', 'key encipherment', 'server auth']
  const facts = async (name: string, alternatives?: x509.JsonGeneralNames) => parseCertificateRequest(await request(name, alternatives))
  const dns: x509.JsonGeneralNames = [{ type: 'dns', value: 'n1' }]
  const kubelet = await facts('CN=system:node:n1, O=system:nodes')
  assert.equal(kubeletClientFault(kubelet, client), undefined)
  assert.equal(kubeletClientFault(kubelet, serving), 'usages did not match [client auth digital signature key encipherment]')
  assert.equal(
    kubeletClientFault(await facts('CN=system:node:n1, O=system:nodes, O=system:masters'), client),
    'subject organization is not system:nodes',
  )
  assert.equal(kubeletClientFault(await facts('CN=admin, O=system:nodes'), client), 'subject common name does not begin with system:node:')
  assert.equal(kubeletClientFault(await facts('CN=system:node:n1, O=system:nodes', dns), client), 'DNS subjectAltNames are not allowed')
  assert.equal(kubeletServingFault(kubelet, serving), 'DNS or IP subjectAltName is required')
  assert.equal(kubeletServingFault(await facts('CN=system:node:n1, O=system:nodes', dns), serving), undefined)
  assert.equal(
    kubeletServingFault(await facts('CN=system:node:n1, O=system:nodes', [...dns, { type: 'email', value: 'a@b.c' }]), serving),
    'Email subjectAltNames are not allowed',
  )
})
