/**
 * How a test of yours uses proa: a whole cluster inside the test, no containers, no sockets, gone when the block ends. In a
 * project of its own the import is the same: `npm install --save-dev proa`.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from 'proa'

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: default }
spec:
  replicas: 3
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - { name: web, image: registry.example.com/web:1, resources: { requests: { cpu: 100m } } }
`

test('a Deployment becomes Ready', async () => {
  await using cluster = await Cluster.start({ nodes: 2 })
  await cluster.apply(deployment)
  await cluster.until('apps/v1/Deployment', { namespace: 'default', name: 'web' }, (web) => web?.status?.readyReplicas === 3)

  const pods = await cluster.client.list('v1/Pod', { namespace: 'default', labelSelector: 'app=web' })
  assert.equal(pods.items.length, 3)
  assert.equal(new Set(pods.items.map((pod) => pod.spec?.nodeName)).size, 2, 'the pods are spread over both nodes')
})

test('time passes only when told to, and the same way each time', async () => {
  const lives = []
  for (let run = 0; run < 2; run++) {
    await using cluster = await Cluster.start({ clock: 'virtual', seed: 42, nodes: 2 })
    await cluster.apply(deployment)
    await cluster.until('apps/v1/Deployment', { namespace: 'default', name: 'web' }, (web) => web?.status?.readyReplicas === 3)
    // An hour of leases and heartbeats in a moment.
    await cluster.advance(60 * 60 * 1000)
    const pods = await cluster.client.list('v1/Pod', { namespace: 'default' })
    lives.push(pods.items.map((pod) => `${pod.metadata?.name} ${pod.metadata?.uid} ${pod.spec?.nodeName} ${pod.status?.startTime}`))
  }
  assert.deepEqual(lives[0], lives[1])
})
