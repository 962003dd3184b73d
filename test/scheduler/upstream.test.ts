/** Proa's scheduler at upstream's API server: pods are bound there, refusals and events told, a preemption carried out. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { Pod } from '../../src/api/generated/core/v1.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemClock, systemRandom } from '../../src/base/system.ts'
import type { Client } from '../../src/client/client.ts'
import { createClient } from '../../src/client/create-client.ts'
import { createHttpTransport, optionsFromKubeconfig } from '../../src/client/http/index.ts'
import { createInformers } from '../../src/client/informers.ts'
import { createScheduler } from '../../src/cluster/scheduler-setup.ts'
import { apiServerPrograms, startApiServer, writeApiServerFiles } from '../../upstream/api-server.ts'
import { freePort, Group } from '../../upstream/processes.ts'
import { builtPrograms } from '../../upstream/programs.ts'
import { untilReady } from '../../upstream/ready.ts'

const built = builtPrograms(apiServerPrograms)
const skip = 'missing' in built && `upstream's programs are not built: ${built.missing.join(', ')} (npm run bench builds them)`
const TIMEOUT_MS = 60_000

/** An upstream API server with proa's scheduler, and nothing else. */
async function start() {
  if ('missing' in built) throw new Error('not built')
  const runtime = { clock: systemClock, random: systemRandom, log: silentLog }
  const group = new Group()
  const port = await freePort()
  const files = await writeApiServerFiles(group.directory, port)
  await startApiServer(group, built, files, port)
  await untilReady(group, files.kubeconfig, performance.now())
  const { transport, close } = createHttpTransport(optionsFromKubeconfig(readFileSync(files.kubeconfig, 'utf8')))
  const client = createClient(transport)
  const informers = createInformers(runtime, client)
  const stop = new AbortController()
  const running = Promise.all([createScheduler(runtime, client, informers).run(stop.signal), informers.run(stop.signal)])
  return {
    client,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
      close()
      await group.stop()
    },
  }
}

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (const over = performance.now() + TIMEOUT_MS; performance.now() < over; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const found = await look()
    if (found !== undefined) return found
  }
  throw new Error(`${what}: not within ${TIMEOUT_MS} ms`)
}

const get = (client: Client, name: string) => client.get('v1/Pod', { namespace: 'default', name })
const podOf = (name: string, cpu: string, more: object = {}): Pod => ({
  metadata: { name, namespace: 'default' },
  spec: { containers: [{ name: 'main', image: 'app', resources: { requests: { cpu } } }], terminationGracePeriodSeconds: 0, ...more },
})

test("upstream's API server, proa's scheduler", { skip }, async () => {
  await using cluster = await start()
  const { client } = cluster
  await client.create('v1/ServiceAccount', { metadata: { name: 'default', namespace: 'default' } })
  await client.create('scheduling.k8s.io/v1/PriorityClass', { metadata: { name: 'high' }, value: 100 })
  for (const name of ['n1', 'n2']) {
    const capacity = { cpu: '2', memory: '4Gi', pods: '10' }
    const node = await client.create('v1/Node', {
      metadata: { name, labels: { 'kubernetes.io/hostname': name } },
      status: { capacity, allocatable: capacity },
    })
    await client.update('v1/Node', { ...node, spec: {} })
  }
  for (const name of ['a', 'b']) await client.create('v1/Pod', podOf(name, '1500m'))
  const placed = await until('both are bound', async () => {
    const nodes = await Promise.all(['a', 'b'].map(async (name) => (await get(client, name)).spec?.nodeName))
    return nodes.every(Boolean) ? nodes.toSorted() : undefined
  })
  assert.deepEqual(placed, ['n1', 'n2'])

  await client.create('v1/Pod', podOf('c', '1500m'))
  const message = await until(
    'c is refused',
    async () => (await get(client, 'c')).status?.conditions?.find(({ type }) => type === 'PodScheduled')?.message,
  )
  assert.equal(
    message,
    '0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.',
  )
  const told = await until('events are told', async () => {
    const { items } = await client.list('v1/Event', { namespace: 'default' })
    const lines = items.map(({ reason, involvedObject }) => `${reason} ${involvedObject.name}`).toSorted()
    return lines.includes('FailedScheduling c') && lines.includes('Scheduled b') ? lines : undefined
  })
  assert.ok(told.includes('Scheduled a'))

  await client.delete('v1/Pod', { namespace: 'default', name: 'c' }, { gracePeriodSeconds: 0 })
  await client.create('v1/Pod', podOf('urgent', '1', { priorityClassName: 'high' }))
  const promised = await until('room is promised', async () => {
    const { spec, status } = await get(client, 'urgent')
    return status?.nominatedNodeName ?? spec?.nodeName
  })
  assert.match(promised, /^n[12]$/)
  const evicted = await until('a pod is pushed aside', async () => {
    const { items } = await client.list('v1/Pod', { namespace: 'default' })
    return (
      items.find(({ status }) => status?.conditions?.some(({ reason }) => reason === 'PreemptionByScheduler'))?.metadata?.name ??
      (items.length < 3 ? 'gone' : undefined)
    )
  })
  assert.match(evicted, /^(a|b|gone)$/)
})
