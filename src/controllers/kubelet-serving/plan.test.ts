import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CertificateSigningRequest } from '../../api/generated/certificates/v1.ts'
import type { Node } from '../../api/generated/core/v1.ts'
import { createCertificateRequest } from '../../cluster/certificates.ts'
import { askingNode, servingFault } from './plan.ts'

const node = (name: string, ...addresses: readonly string[]): Node => ({
  metadata: { name },
  status: { addresses: [...addresses.map((address) => ({ type: 'InternalIP', address })), { type: 'Hostname', address: name }] },
})

async function request(hosts: readonly string[], commonName = 'system:node:a'): Promise<CertificateSigningRequest> {
  const { request: pem } = await createCertificateRequest({ commonName, organizations: ['system:nodes'], hosts })
  const usages = ['digital signature', 'server auth']
  const user = { username: 'system:node:a', groups: ['system:nodes', 'system:authenticated'] }
  return { spec: { request: btoa(pem), signerName: 'kubernetes.io/kubelet-serving', usages, ...user } }
}

test('which serving certificates are approved unseen', async () => {
  const own = node('a', '10.0.0.2', 'fd00::2')
  const others = [node('b', '10.0.0.3'), node('thief', '10.0.0.4')]
  const isReserved = (host: string) => ['10.0.0.1', 'kubernetes'].includes(host)
  const table = [
    [['a', '10.0.0.2'], undefined],
    [['10.0.0.2', 'fd00:0::2'], undefined],
    [['a', '10.0.0.3'], /10\.0\.0\.3 is not the node's/],
    [['kubernetes.default.svc'], /kubernetes\.default\.svc is not the node's/],
    [[], /subjectAltName is required/],
  ] as const
  for (const [hosts, fault] of table) {
    const found = servingFault(await request(hosts), 'a', { own, others }, isReserved)
    if (fault) assert.match(found ?? '', fault)
    else assert.equal(found, undefined)
  }
  const judge = async (hosts: readonly string[], mine: Node | undefined, commonName?: string) =>
    servingFault(await request(hosts, commonName), 'a', { own: mine, others }, isReserved)
  // What a node tells of itself is believed only as far as nobody else has it.
  assert.match((await judge(['10.0.0.3'], node('a', '10.0.0.3'))) ?? '', /not the node's alone/)
  assert.match((await judge(['10.0.0.1'], node('a', '10.0.0.1'))) ?? '', /not the node's alone/)
  assert.match((await judge(['10.0.0.2'], own, 'system:node:b')) ?? '', /another node/)
  assert.match((await judge(['10.0.0.2'], undefined)) ?? '', /no node a/)
})

test('whose requests are judged', async () => {
  const asked = await request(['a'])
  assert.equal(askingNode(asked), 'a')
  const other = (spec: Partial<CertificateSigningRequest['spec']>) => ({ ...asked, spec: { ...asked.spec, ...spec } })
  assert.equal(askingNode(other({ groups: ['system:authenticated'] })), undefined)
  assert.equal(askingNode(other({ username: 'system:bootstrap:abcdef' })), undefined)
  assert.equal(askingNode(other({ signerName: 'kubernetes.io/kube-apiserver-client' })), undefined)
  assert.equal(askingNode({ ...asked, status: { conditions: [{ type: 'Denied', status: 'True', reason: 'x' }] } }), undefined)
})
