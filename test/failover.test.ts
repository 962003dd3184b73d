/** Two servers on one etcd: the controllers of one work, and when it is killed those of the other go on. */
import assert from 'node:assert/strict'
import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createClient } from '../src/client/create-client.ts'
import { createHttpTransport, optionsFromKubeconfig } from '../src/client/http/index.ts'
import { eventually, startCluster, type TestCluster } from './harness.ts'
import { startEtcd, whyNoEtcd } from './store/etcd.ts'

const LEASE = { namespace: 'kube-system', name: 'kube-controller-manager' }
/** The lease's 15 s and what a busy machine needs. */
const FAIL_OVER_MS = 40_000

const connect = (cluster: TestCluster) => {
  const { transport, close } = createHttpTransport(optionsFromKubeconfig(readFileSync(cluster.kubeconfig, 'utf8')))
  return { client: createClient(transport), close }
}

test('kill -9 of the server whose controllers work: those of the other server take over', { skip: whyNoEtcd() ?? false }, async (t) => {
  const etcd = await startEtcd()
  t.after(() => etcd.stop())
  const flags = ['--runtime=simulated', '--nodes=0', `--etcd-servers=${etcd.endpoints.join(',')}`]
  const one = await startCluster(t, flags)
  const other = await startCluster(t, flags, (dataDir) => cpSync(join(one.dataDir, 'pki'), join(dataDir, 'pki'), { recursive: true }))
  const { client, close } = connect(other)
  t.after(close)
  const holder = async () => (await client.get('coordination.k8s.io/v1/Lease', LEASE)).spec?.holderIdentity
  const first = await holder()
  const template = { metadata: { labels: { app: 'a' } }, spec: { containers: [{ name: 'c', image: 'x' }] } }
  const key = { namespace: 'default', name: 'web' }
  const spec = { replicas: 3, selector: { matchLabels: { app: 'a' } }, template }
  await client.create('apps/v1/Deployment', { metadata: key, spec })
  const untilPods = (count: number, timeoutMs: number) =>
    eventually(
      `there are ${count} pods`,
      async () => (await client.list('v1/Pod', { namespace: 'default' })).items.length === count,
      timeoutMs,
    )
  await untilPods(3, 10_000)
  process.kill(one.pid(), 'SIGKILL')
  await client.patch('apps/v1/Deployment', key, 'merge', { spec: { replicas: 7 } })
  await untilPods(7, FAIL_OVER_MS)
  assert.notEqual(await holder(), first)
})
