/** A node renews both of its certificates by the certificates API, against a whole control plane, while its connections go on. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { test } from 'node:test'
import { silentLog } from '../base/log.ts'
import { systemClock, systemRandom } from '../base/system.ts'
import { createClient } from '../client/create-client.ts'
import { createHttpTransport } from '../client/http/index.ts'
import { createServingApprover, isOwnServing } from '../controllers/csr-approving/serving.ts'
import { runControllers } from '../controllers/run.ts'
import { createHttpsServer } from '../server/http/server.ts'
import { createMemoryStore } from '../store/memory.ts'
import { createCertificateRequest, issueCertificate, type KeyPair } from './certificates.ts'
import { startControlPlane } from './control-plane.ts'
import * as identities from './identities.ts'
import { createLifecycle } from './lifecycle.ts'
import { keepPemFile } from './node-certificates.ts'
import { nodeClientRequest, nodeServerRequest, readPemFile, temporaryPki, writePemFile } from './pki.ts'
import { ensureNodeRotation } from './system-objects.ts'
import { temporaryTokenSigner } from './temporary-server.ts'

const runtime = { clock: systemClock, random: systemRandom, log: silentLog }
const NODE = 'worker'
const ADDRESS = '127.0.0.1'

const fingerprint = (cert: string): string => new X509Certificate(cert).fingerprint256

/** The certificate that a server shows to who comes now. */
function shownBy(server: Server, ca: string): Promise<string> {
  const { port } = server.address() as AddressInfo
  return new Promise((resolve, reject) => {
    const socket = connect({ host: ADDRESS, port, ca, servername: NODE }, () => {
      resolve(socket.getPeerCertificate().fingerprint256)
      socket.destroy()
    })
    socket.once('error', reject)
  })
}

test('both certificates of a node are renewed, and used for what connects from then on', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'proa-node-certificates-'))
  const lifecycle = createLifecycle()
  t.after(async () => {
    await lifecycle.stop()
    rmSync(directory, { recursive: true })
  })
  const pki = await temporaryPki(systemClock, [ADDRESS])
  const ca = pki.authority.cert
  const plane = await startControlPlane(runtime, lifecycle, {
    store: createMemoryStore(),
    rootCa: ca,
    authority: () => pki.authority,
    podCidr: '10.0.0.0/16',
    serviceCidr: '10.96.0.0/16',
    tokenSigner: temporaryTokenSigner(),
  })
  const https = await createHttpsServer(runtime, plane.server, { port: 0, ...pki.server, clientCa: ca })
  t.after(() => https.close())
  const admin = plane.client(identities.administrator)
  await ensureNodeRotation(admin)
  const approver = createServingApprover(new Map([[NODE, ADDRESS]]))
  lifecycle.start({
    name: 'approval',
    run: (signal) => runControllers(runtime, admin, [approver], signal, { informers: plane.informers }),
  })
  const files = { client: join(directory, 'client.pem'), server: join(directory, 'server.pem') }
  const client = await issueCertificate(systemClock, pki.authority, nodeClientRequest(NODE))
  const serving = await issueCertificate(systemClock, pki.authority, nodeServerRequest(NODE, ADDRESS))
  writePemFile(files.client, client)
  writePemFile(files.server, serving)
  assert.deepEqual(readPemFile(files.client), client)
  const nodeApi = createServer(serving)
  await new Promise<void>((resolve) => nodeApi.listen(0, ADDRESS, resolve))
  t.after(() => new Promise((resolve) => nodeApi.close(resolve)))
  const { transport, setClientPair, close } = createHttpTransport({ server: `https://${ADDRESS}:${https.port}`, ca, ...client })
  t.after(close)
  const api = createClient(transport)
  const credential = async (): Promise<string | undefined> =>
    (await api.create('authentication.k8s.io/v1/SelfSubjectReview', {})).status?.userInfo?.extra?.[
      'authentication.kubernetes.io/credential-id'
    ]?.[0]
  const idOf = ({ cert }: KeyPair) => `X509SHA256=${fingerprint(cert).replaceAll(':', '').toLowerCase()}`
  assert.equal(await credential(), idOf(client))
  assert.equal(await shownBy(nodeApi, ca), fingerprint(serving.cert))

  const renewed = async (signerName: Parameters<typeof keepPemFile>[3]['signerName'], use: (pair: KeyPair) => void): Promise<KeyPair> => {
    const isClient = signerName.endsWith('client-kubelet')
    const done = Promise.withResolvers<KeyPair>()
    // Late in the life of the certificate, until there is another one; waits are short.
    let aheadMs = 340 * 86_400_000
    const late = {
      now: () => systemClock.now() + aheadMs,
      monotonic: () => systemClock.monotonic(),
      setTimeout: (callback: () => void, delayMs: number) =>
        systemClock.setTimeout(callback, aheadMs > 0 ? Math.min(delayMs, 10) : delayMs),
    }
    keepPemFile({ ...runtime, clock: late }, lifecycle, api, {
      path: isClient ? files.client : files.server,
      signerName,
      request: isClient ? nodeClientRequest(NODE) : nodeServerRequest(NODE, ADDRESS),
      use(pair) {
        aheadMs = 0
        use(pair)
        done.resolve(pair)
      },
    })
    return done.promise
  }
  const next = await renewed('kubernetes.io/kube-apiserver-client-kubelet', setClientPair)
  assert.notEqual(next.cert, client.cert)
  assert.equal(await credential(), idOf(next))
  assert.deepEqual(readPemFile(files.client), next)
  assert.equal(statSync(files.client).mode & 0o777, 0o600)
  assert.equal((await api.create('authentication.k8s.io/v1/SelfSubjectReview', {})).status?.userInfo?.username, 'system:node:worker')
  const shown = await renewed('kubernetes.io/kubelet-serving', (pair) => nodeApi.setSecureContext(pair))
  assert.equal(await shownBy(nodeApi, ca), fingerprint(shown.cert))
})

test('a node gets no serving certificate for what is not its own', async () => {
  const addresses = new Map([[NODE, ADDRESS]])
  const asked = async (username: string, commonName: string, hosts: readonly string[], usage = 'server auth') => {
    const { request } = await createCertificateRequest({ commonName, organizations: ['system:nodes'], hosts })
    const spec = { request: btoa(request), signerName: 'kubernetes.io/kubelet-serving', usages: ['digital signature', usage], username }
    return isOwnServing({ spec }, addresses)
  }
  const self = `system:node:${NODE}`
  const rows: readonly (readonly [Parameters<typeof asked>, boolean])[] = [
    [[self, self, [NODE, ADDRESS]], true],
    [[self, self, [NODE]], true],
    [[self, self, [NODE, '10.0.0.1']], false],
    [[self, self, ['kubernetes.default.svc', ADDRESS]], false],
    [[self, 'system:node:other', [NODE]], false],
    [['system:node:other', 'system:node:other', ['other', ADDRESS]], false],
    [[NODE, NODE, [NODE]], false],
    [[self, self, [NODE], 'client auth'], false],
  ]
  for (const [given, isApproved] of rows) assert.equal(await asked(...given), isApproved, JSON.stringify(given))
})
