import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import type { CertificateSigningRequest } from '../../api/generated/certificates/v1.ts'
import { Cluster } from '../../cluster/cluster.ts'
import { waysToApprove } from '../csr-approving/controller.ts'
import { staysForMs } from '../csr-cleaner/plan.ts'

const KIND = 'certificates.k8s.io/v1/CertificateSigningRequest'
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const CLIENT = 'kubernetes.io/kube-apiserver-client'
const KUBELET = 'kubernetes.io/kube-apiserver-client-kubelet'
const SERVING = 'kubernetes.io/kubelet-serving'

async function pkcs10(name: string, dns: readonly string[] = [], change?: (der: Uint8Array) => void): Promise<string> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const extensions = dns.length > 0 ? [new x509.SubjectAlternativeNameExtension(dns.map((value) => ({ type: 'dns' as const, value })))] : []
  const made = await x509.Pkcs10CertificateRequestGenerator.create({ name, keys, signingAlgorithm: algorithm, extensions })
  const der = new Uint8Array(made.rawData)
  change?.(der)
  return btoa(`-----BEGIN CERTIFICATE REQUEST-----\n${der.toBase64()}\n-----END CERTIFICATE REQUEST-----\n`)
}

const spec = (request: string, signerName: string, usages: readonly string[], more: object = {}): CertificateSigningRequest['spec'] => ({
  request,
  signerName,
  usages,
  ...more,
})

const clientUsages = ['digital signature', 'client auth']

test('what is approved is signed as asked, what a signer does not take fails with the reason', async () => {
  await using cluster = await Cluster.start({ nodes: 0 })
  const { client } = cluster
  async function ask(name: string, asked: CertificateSigningRequest['spec']): Promise<CertificateSigningRequest['status']> {
    const made = await client.create(KIND, { metadata: { name }, spec: asked })
    const conditions = [{ type: 'Approved', status: 'True', reason: 'test' }]
    await client.update(KIND, { ...made, status: { conditions } }, { subresource: 'approval' })
    const isDone = (request: CertificateSigningRequest | undefined) =>
      request?.status?.certificate !== undefined || (request?.status?.conditions ?? []).some(({ type }) => type === 'Failed')
    return (await cluster.until(KIND, { name }, isDone))!.status
  }
  const failure = (status: CertificateSigningRequest['status']) => status?.conditions?.find(({ type }) => type === 'Failed')?.message

  const before = Date.now()
  const signed = await ask('a', spec(await pkcs10('CN=alice, O=devs', ['a.example']), CLIENT, clientUsages, { expirationSeconds: 3600 }))
  const certificate = new X509Certificate(atob(signed!.certificate!))
  assert.match(certificate.subject, /O=devs/)
  assert.match(certificate.subject, /CN=alice/)
  assert.equal(certificate.subjectAltName, 'DNS:a.example')
  assert.equal(certificate.ca, false)
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.2'])
  const lastsMs = Date.parse(certificate.validTo) - before
  assert.ok(lastsMs > 3_590_000 && lastsMs < 3_620_000, `${lastsMs} ms`)
  const answered = { spec: spec('', CLIENT, clientUsages), status: signed! }
  assert.equal(staysForMs(answered, Date.parse(certificate.validTo)), 0, 'it goes when its certificate has run out')
  const later = {
    ...answered,
    status: { ...signed, conditions: [{ type: 'Approved', status: 'True', lastUpdateTime: certificate.validTo }] },
  }
  assert.equal(staysForMs(later, Date.parse(certificate.validTo) - 1000), 1000)

  assert.equal(
    failure(await ask('usages', spec(await pkcs10('CN=alice'), CLIENT, ['server auth']))),
    'invalid usage for client certificate: server auth',
  )
  assert.equal(
    failure(await ask('kubelet', spec(await pkcs10('CN=alice, O=system:nodes'), KUBELET, clientUsages))),
    'subject common name does not begin with system:node:',
  )
  assert.equal(
    failure(await ask('serving', spec(await pkcs10('CN=system:node:n, O=system:nodes'), SERVING, ['digital signature', 'server auth']))),
    'DNS or IP subjectAltName is required',
  )
  const forged = await pkcs10('CN=alice', [], (der) => (der[der.length - 1]! ^= 1))
  assert.equal(failure(await ask('forged', spec(forged, CLIENT, clientUsages))), 'unable to verify certificate request signature')
})

test('nobody gets a certificate of the masters, nor approves without leave', async () => {
  await using cluster = await Cluster.start({ nodes: 0 })
  const masters = { metadata: { name: 'm' }, spec: spec(await pkcs10('CN=eve, O=system:masters'), CLIENT, clientUsages) }
  await assert.rejects(cluster.client.create(KIND, masters), {
    message:
      'certificatesigningrequests.certificates.k8s.io "m" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed',
  })
})

test('a kubelet’s request is approved when its sender may', async () => {
  await using cluster = await Cluster.start({ nodes: 0 })
  const kubelet = await pkcs10('CN=system:node:n1, O=system:nodes')
  const made = await cluster.client.create(KIND, { metadata: { name: 'n1' }, spec: spec(kubelet, KUBELET, clientUsages) })
  assert.equal(made.spec.username, 'kubernetes-admin')
  const request = await cluster.until(KIND, { name: 'n1' }, (seen) => seen?.status?.certificate !== undefined)
  assert.equal(request?.status?.conditions?.[0]?.reason, 'AutoApproved')
  assert.equal(request?.status?.conditions?.[0]?.message, 'Auto approving kubelet client certificate after SubjectAccessReview.')
})

test('which requests are approved by which right', async () => {
  const kubelet = await pkcs10('CN=system:node:n1, O=system:nodes')
  const ways = (asked: CertificateSigningRequest['spec'], status: CertificateSigningRequest['status'] = {}) =>
    waysToApprove({ spec: asked, status }).map(({ subresource }) => subresource)
  assert.deepEqual(ways(spec(kubelet, KUBELET, clientUsages, { username: 'system:node:n1' })), ['selfnodeclient', 'nodeclient'])
  assert.deepEqual(ways(spec(kubelet, KUBELET, clientUsages, { username: 'system:bootstrap:a' })), ['nodeclient'])
  assert.deepEqual(ways(spec(kubelet, CLIENT, clientUsages)), [])
  assert.deepEqual(ways(spec(kubelet, KUBELET, ['server auth'])), [])
  assert.deepEqual(ways(spec(kubelet, KUBELET, clientUsages), { conditions: [{ type: 'Denied', status: 'True' }] }), [])
  assert.deepEqual(ways(spec(btoa('x'), KUBELET, clientUsages)), [])
})
