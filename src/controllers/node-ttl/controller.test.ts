import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startTestCluster } from '../test-cluster.test-support.ts'
import { createNodeTtlController } from './controller.ts'

test('the more nodes, the longer they may keep what they read; a node more or less changes nothing', async (t) => {
  const { client, clock, problems } = await startTestCluster(t, [createNodeTtlController()])
  const create = (from: number, to: number) =>
    Promise.all(Array.from({ length: to - from }, (_, i) => client.create('v1/Node', { metadata: { name: `n${from + i}` } })))
  const ttls = async () => {
    await clock.advance(100)
    return [...new Set((await client.list('v1/Node')).items.map(({ metadata }) => metadata?.annotations?.['node.alpha.kubernetes.io/ttl']))]
  }
  await create(0, 100)
  assert.deepEqual(await ttls(), ['0'])
  await create(100, 101)
  assert.deepEqual(await ttls(), ['15'])
  for (let i = 90; i <= 100; i++) await client.delete('v1/Node', { name: `n${i}` })
  assert.deepEqual(await ttls(), ['15'])
  await client.delete('v1/Node', { name: 'n0' })
  assert.deepEqual(await ttls(), ['0'])
  assert.deepEqual(problems, [])
})
