/** Upstream's kubelet becomes a node of a cluster by a bootstrap token, as it does with kubeadm. Without a container runtime it ends then. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createKubeconfig, formatKubeconfig, optionsFromKubeconfig } from '../../src/client/http/index.ts'
import { Cluster } from '../../src/cluster/index.ts'
import { createToken, newToken, NODE_TOKEN_GROUP, tokenText, USAGES } from '../../src/cluster/join/bootstrap-token.ts'
import { ensureJoinObjects } from '../../src/cluster/join/join-objects.ts'
import { builtPrograms } from '../../upstream/programs.ts'
import { command } from '../harness.ts'

const built = builtPrograms(['kubelet'])
const missing = 'missing' in built && 'upstream’s kubelet is not built: npm run bench builds it'
const skip = process.getuid?.() === 0 ? missing : 'a kubelet needs root'

test('upstream’s kubelet joins by a bootstrap token', { skip }, async (t) => {
  if ('missing' in built) return
  const directory = mkdtempSync(join(tmpdir(), 'proa-kubelet-'))
  t.after(() => rmSync(directory, { recursive: true }))
  await using cluster = await Cluster.start({ nodes: 0 })
  const { server, ca = '' } = optionsFromKubeconfig(await cluster.kubeconfig())
  const facts = { id: '01234567', podCidr: '10.244.0.0/16', serviceCidr: '10.96.0.0/16', dnsAddress: '10.96.0.10' }
  await ensureJoinObjects(cluster.client, { server, ca, facts })
  const token = newToken()
  await createToken(cluster.client, token, { usages: USAGES, groups: [NODE_TOKEN_GROUP] }, Date.now())
  const path = (name: string): string => join(directory, name)
  writeFileSync(path('bootstrap'), formatKubeconfig(createKubeconfig({ name: 'b', server, ca, token: tokenText(token) })), { mode: 0o600 })
  const config = {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    failCgroupV1: false,
    failSwapOn: false,
    containerRuntimeEndpoint: `unix://${path('none.sock')}`,
  }
  writeFileSync(path('config'), JSON.stringify(config))
  const { stderr } = await command(built.kubelet, [
    `--bootstrap-kubeconfig=${path('bootstrap')}`,
    `--kubeconfig=${path('kubeconfig')}`,
    `--cert-dir=${path('pki')}`,
    `--root-dir=${path('root')}`,
    `--config=${path('config')}`,
    '--hostname-override=joined',
  ])
  assert.ok(existsSync(path('pki/kubelet-client-current.pem')), stderr)
  const certificate = new X509Certificate(readFileSync(path('pki/kubelet-client-current.pem')))
  assert.equal(certificate.subject, 'O=system:nodes\nCN=system:node:joined')
  assert.ok(certificate.verify(new X509Certificate(ca).publicKey))
})
