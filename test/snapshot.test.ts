/** A cluster saved while it runs and made again beside itself; its way to an etcd and back. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Client } from '../src/client/client.ts'
import { createClient } from '../src/client/create-client.ts'
import { createHttpTransport, loadConnection } from '../src/client/http/index.ts'
import { proa, startCluster } from './harness.ts'
import { startEtcd, whyNoEtcd } from './store/etcd.ts'

function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'proa-snapshot-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

async function asked<T>(kubeconfig: string, work: (client: Client) => Promise<T>): Promise<T> {
  const { transport, close } = createHttpTransport(loadConnection(kubeconfig).options)
  try {
    return await work(createClient(transport, { userAgent: 'test' }))
  } finally {
    close()
  }
}

const SECRETS = 'v1/Secret'
const make = (client: Client, name: string) => client.create(SECRETS, { metadata: { namespace: 'default', name }, stringData: { a: name } })
const names = async (kubeconfig: string) =>
  asked(kubeconfig, async (client) =>
    (await client.list(SECRETS, { namespace: 'default' })).items.map(({ metadata }) => metadata?.name ?? '').toSorted(),
  )

test('a snapshot of a running cluster becomes another cluster, and both run', async (t) => {
  const cluster = await startCluster(t, ['--runtime=simulated', '--nodes=1'])
  const place = [`--name=${cluster.name}`, `--data-dir=${cluster.dataDir}`]
  const file = join(scratch(t), 'cluster.tar')
  await asked(cluster.kubeconfig, (client) => make(client, 'before'))
  const saved = await proa('snapshot', 'save', file, ...place)
  assert.equal(saved.code, 0, saved.stderr)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  await asked(cluster.kubeconfig, (client) => make(client, 'after'))
  const home = mkdtempSync(join(tmpdir(), 'proa-fork-'))
  const dataDir = join(home, 'fork')
  const fork = ['--name=fork', `--data-dir=${dataDir}`]
  t.after(async () => {
    const down = await proa('down', '--delete', ...fork)
    rmSync(home, { recursive: true, force: true })
    assert.equal(down.code, 0, down.stderr)
  })
  const restored = await proa('snapshot', 'restore', file, ...fork)
  assert.equal(restored.code, 0, restored.stderr)
  assert.equal((await proa('up', '--wait', ...fork)).code, 0)
  assert.deepEqual(await names(join(dataDir, 'kubeconfig')), ['before'])
  assert.deepEqual(await names(cluster.kubeconfig), ['after', 'before'])
  // The one does not hear of the other's writes.
  await asked(join(dataDir, 'kubeconfig'), (client) => make(client, 'in-fork'))
  assert.deepEqual(await names(cluster.kubeconfig), ['after', 'before'])
})

test('what is no snapshot, and what is there already, is told and left alone', async (t) => {
  const directory = scratch(t)
  const file = join(directory, 'nonsense')
  writeFileSync(file, 'nonsense'.repeat(200))
  const target = join(directory, 'c')
  const restored = await proa('snapshot', 'restore', file, `--data-dir=${target}`)
  assert.equal(restored.code, 1)
  assert.match(restored.stderr, /is no snapshot of a cluster/)
  assert.throws(() => statSync(target))
  const saved = await proa('snapshot', 'save', file, `--data-dir=${target}`)
  assert.match(saved.stderr, /there is no cluster/)
  assert.equal(statSync(file).size, 1600)
})

test('a cluster moves to an etcd and back', { skip: whyNoEtcd() ?? false }, async (t) => {
  const etcd = await startEtcd()
  t.after(() => etcd.stop())
  const cluster = await startCluster(t, ['--runtime=simulated', '--nodes=1'])
  const place = [`--name=${cluster.name}`, `--data-dir=${cluster.dataDir}`]
  await asked(cluster.kubeconfig, (client) => make(client, 'one'))
  const toEtcd = ['store', 'migrate', '--to=etcd', `--etcd-servers=${etcd.endpoints.join(',')}`, ...place]
  assert.match((await proa(...toEtcd)).stderr, /is up: proa down first/)
  await proa('down', ...place)
  const moved = await proa(...toEtcd)
  assert.equal(moved.code, 0, moved.stderr)
  assert.equal((await proa('up', '--wait', ...place)).code, 0)
  await asked(cluster.kubeconfig, (client) => make(client, 'two'))
  assert.deepEqual(await names(cluster.kubeconfig), ['one', 'two'])
  const file = join(scratch(t), 'from-etcd.tar')
  assert.equal((await proa('snapshot', 'save', file, ...place)).code, 0)
  await proa('down', ...place)
  const back = ['store', 'migrate', '--to=sqlite', ...place]
  assert.match((await proa(...back)).stderr, /is there from before/)
  rmSync(join(cluster.dataDir, 'store.db'))
  assert.equal((await proa(...back)).code, 0)
  assert.equal((await proa('up', '--wait', ...place)).code, 0)
  assert.deepEqual(await names(cluster.kubeconfig), ['one', 'two'])
})
