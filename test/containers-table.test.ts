/** The table of pods of src/node/pod-table.test-support.ts with real containers: what is said of them is the same. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { HELLO_IMAGE, helloImageArchive } from '../examples/hello/image.ts'
import { createClient } from '../src/client/create-client.ts'
import { createHttpTransport, optionsFromKubeconfig } from '../src/client/http/index.ts'
import { dataDirectory } from '../src/cluster/data-directory.ts'
import { loadImageArchive } from '../src/cluster/images.ts'
import { describePod, podTable, tableObjects } from '../src/node/pod-table.test-support.ts'
import { noContainers, startCluster } from './harness.ts'

const LIMIT_MS = 120_000

test('pods look as upstream shows them, with real containers', { skip: noContainers() }, async (t) => {
  const cluster = await startCluster(t, ['--runtime=containerd'])
  await loadImageArchive(dataDirectory(cluster.dataDir), await helloImageArchive())
  const { transport, close } = createHttpTransport(optionsFromKubeconfig(readFileSync(cluster.kubeconfig, 'utf8')))
  t.after(close)
  const client = createClient(transport)
  for (const object of tableObjects) await client.create('v1/ConfigMap', object)
  const rows = podTable(HELLO_IMAGE, hostname().toLowerCase())
  for (const { pod } of rows) await client.create('v1/Pod', pod)
  const deleted = new Set<string>()
  const look = async () => {
    const pods = new Map((await client.list('v1/Pod', { namespace: 'default' })).items.map((pod) => [pod.metadata?.name ?? '', pod]))
    for (const { pod, isDeleted } of rows) {
      const name = pod.metadata?.name ?? ''
      if (!isDeleted || deleted.has(name) || pods.get(name)?.status?.phase !== 'Running') continue
      deleted.add(name)
      await client.delete('v1/Pod', { namespace: 'default', name })
    }
    return rows
      .map(({ name, pod, expected }) => ({ name, expected, found: describePod(pods.get(pod.metadata?.name ?? '') ?? {}) }))
      .filter(({ expected, found }) => expected !== found)
  }
  const open = new Map<string, string>(rows.map(({ name }) => [name, '']))
  // Restarts go on for ever: a row has been right once it was.
  for (const until = performance.now() + LIMIT_MS; open.size > 0 && performance.now() < until; await delay(250)) {
    const wrong = new Map((await look()).map(({ name, expected, found }) => [name, `${found} | not ${expected}`]))
    for (const name of open.keys()) {
      const difference = wrong.get(name)
      if (difference === undefined) open.delete(name)
      else open.set(name, difference)
    }
  }
  assert.deepEqual([...open], [])
  for (const { pod, isDeleted } of rows)
    if (isDeleted)
      await client.patch('v1/Pod', { namespace: 'default', name: pod.metadata?.name ?? '' }, 'merge', { metadata: { finalizers: null } })
})
