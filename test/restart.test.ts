/** The server is killed in the middle of things: nothing acknowledged is lost, and containers go on and are adopted. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createClient } from '../src/client/create-client.ts'
import { createHttpTransport, optionsFromKubeconfig } from '../src/client/http/index.ts'
import { readFileSync } from 'node:fs'
import { eventually, noContainers, startCluster, type TestCluster } from './harness.ts'
import { helloImageArchive, HELLO_IMAGE } from '../examples/hello/image.ts'
import { loadImageArchive } from '../src/cluster/images.ts'
import { dataDirectory } from '../src/cluster/data-directory.ts'
import type { Deployment } from '../src/api/generated/apps/v1.ts'

function connect(cluster: TestCluster) {
  const { transport, close } = createHttpTransport(optionsFromKubeconfig(readFileSync(cluster.kubeconfig, 'utf8')))
  return { client: createClient(transport), close }
}

const deployment = (replicas: number, image: string): Deployment => ({
  metadata: { namespace: 'default', name: 'web' },
  spec: {
    replicas,
    selector: { matchLabels: { app: 'web' } },
    template: { metadata: { labels: { app: 'web' } }, spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'web', image }] } },
  },
})

test('kill -9 while a Deployment is being scaled: nothing acknowledged is lost', async (t) => {
  const cluster = await startCluster(t, ['--runtime=simulated', '--nodes=3'])
  const acknowledged: string[] = []
  for (let round = 0; round < 3; round++) {
    const { client, close } = connect(cluster)
    if (round === 0) await client.create('apps/v1/Deployment', deployment(5, 'example.test/web:1'))
    let isDead = false
    const writing = (async () => {
      for (let i = 0; !isDead; i++) {
        const name = `r${round}-${i}`
        await client.create('v1/ConfigMap', { metadata: { namespace: 'default', name } })
        acknowledged.push(name)
      }
    })().catch((error: unknown) => assert.ok(isDead, String(error)))
    await client.patch('apps/v1/Deployment', { namespace: 'default', name: 'web' }, 'merge', { spec: { replicas: 20 + round * 10 } })
    await eventually('writes are under way', () => acknowledged.some((name) => name.startsWith(`r${round}-20`)))
    isDead = true
    process.kill(cluster.pid(), 'SIGKILL')
    await writing
    close()
    await cluster.up('--wait')
  }
  const { client, close } = connect(cluster)
  const names = new Set((await client.list('v1/ConfigMap', { namespace: 'default' })).items.map((item) => item.metadata?.name))
  assert.deepEqual(
    acknowledged.filter((name) => !names.has(name)),
    [],
  )
  assert.ok(acknowledged.length > 60)
  await eventually('the Deployment comes to its last size', async () => {
    const { status } = await client.get('apps/v1/Deployment', { namespace: 'default', name: 'web' })
    return status?.readyReplicas === 40 && status.replicas === 40
  })
  close()
})

test('kill -9 of the server: running containers are adopted, not restarted', { skip: noContainers() }, async (t) => {
  const cluster = await startCluster(t, ['--runtime=containerd'])
  await loadImageArchive(dataDirectory(cluster.dataDir), await helloImageArchive())
  const before = connect(cluster)
  await before.client.create('apps/v1/Deployment', deployment(2, HELLO_IMAGE))
  const containersOf = async (client: typeof before.client) => {
    const pods = await client.list('v1/Pod', { namespace: 'default' })
    const statuses = pods.items.flatMap((pod) => (pod.metadata?.deletionTimestamp ? [] : (pod.status?.containerStatuses ?? [])))
    return statuses
      .filter((status) => status.ready)
      .map((status) => `${status.containerID} ${status.restartCount} ${status.state?.running?.startedAt}`)
      .toSorted()
  }
  const running = await eventually('two pods run', async () => {
    const found = await containersOf(before.client)
    return found.length === 2 && found
  })
  await before.client.patch('apps/v1/Deployment', { namespace: 'default', name: 'web' }, 'merge', { spec: { replicas: 4 } })
  process.kill(cluster.pid(), 'SIGKILL')
  before.close()
  await cluster.up('--wait')
  const after = connect(cluster)
  const found = await eventually('four pods run', async () => {
    const now = await containersOf(after.client)
    return now.length === 4 && now
  })
  for (const container of running) assert.ok(found.includes(container), `${container} goes on: ${found.join(', ')}`)
  after.close()
})
