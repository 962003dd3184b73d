import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from '../cluster/cluster.ts'
import { describePod, podTable, tableObjects } from './pod-table.test-support.ts'

test('pods look as upstream shows them, on the simulated runtime', async () => {
  await using cluster = await Cluster.start({ nodes: 1, clock: 'virtual' })
  const { client } = cluster
  await cluster.apply(tableObjects)
  const rows = podTable('example.test/any:1', 'node-1').filter(({ isReal }) => !isReal)
  assert.ok(rows.length >= 45)
  for (const { pod } of rows) await client.create('v1/Pod', pod)
  await cluster.advance(45_000)
  const found = new Map((await client.list('v1/Pod')).items.map((pod) => [pod.metadata?.name, describePod(pod)]))
  const differences = rows
    .map(({ name, pod, expected }) => ({ name, expected, found: found.get(pod.metadata?.name) }))
    .filter(({ expected, found: seen }) => expected !== seen)
  assert.deepEqual(differences, [])
})
