/** What a cluster does with kinds that it did not know when it started. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from './cluster.ts'

const WIDGET = 'example.test/v1/Widget'

const definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: widgets.example.test }
spec:
  group: example.test
  scope: Namespaced
  names: { plural: widgets, kind: Widget }
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema: { type: object, properties: { spec: { type: object, properties: { size: { type: integer, default: 1 } } } } }
`

const widget = (name: string, namespace = 'default') => ({
  apiVersion: 'example.test/v1',
  kind: 'Widget',
  metadata: { name, namespace },
  spec: {},
})

async function start(): Promise<Cluster> {
  const cluster = await Cluster.start({ clock: 'virtual', seed: 1, nodes: 1 })
  await cluster.apply(definition)
  await cluster.until('apiextensions.k8s.io/v1/CustomResourceDefinition', { name: 'widgets.example.test' }, (found) =>
    Boolean(found?.status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True')),
  )
  return cluster
}

test('what a custom resource owns goes with it', async () => {
  await using cluster = await start()
  const { client } = cluster
  const owner = await client.create(WIDGET, widget('owner'))
  assert.equal(owner.spec.size, 1)
  const ownerReferences = [{ apiVersion: 'example.test/v1', kind: 'Widget', name: 'owner', uid: owner.metadata!.uid! }]
  await client.create('v1/ConfigMap', { metadata: { name: 'owned', namespace: 'default', ownerReferences } })
  await cluster.advance(5_000)
  assert.ok(await client.get('v1/ConfigMap', { namespace: 'default', name: 'owned' }))
  await client.delete(WIDGET, { namespace: 'default', name: 'owner' })
  await cluster.until('v1/ConfigMap', { namespace: 'default', name: 'owned' }, (found) => found === undefined)
})

test('a custom resource goes with its owner and with its namespace', async () => {
  await using cluster = await start()
  const { client } = cluster
  const owner = await client.create('v1/ConfigMap', { metadata: { name: 'owner', namespace: 'default' } })
  const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: owner.metadata!.uid! }]
  const owned = widget('owned')
  await client.create(WIDGET, { ...owned, metadata: { ...owned.metadata, ownerReferences } })
  await client.create('v1/Namespace', { metadata: { name: 'going' } })
  await client.create(WIDGET, widget('inside', 'going'))
  await client.delete('v1/ConfigMap', { namespace: 'default', name: 'owner' })
  await cluster.until(WIDGET, { namespace: 'default', name: 'owned' }, (found) => found === undefined)
  await client.delete('v1/Namespace', { name: 'going' })
  await cluster.until('v1/Namespace', { name: 'going' }, (found) => found === undefined)
  assert.deepEqual((await client.list(WIDGET)).items, [])
})

test('a deleted definition takes its objects along, and the kind is unknown then', async () => {
  await using cluster = await start()
  const { client } = cluster
  await client.create(WIDGET, widget('one'))
  await client.delete('apiextensions.k8s.io/v1/CustomResourceDefinition', { name: 'widgets.example.test' })
  await cluster.until('apiextensions.k8s.io/v1/CustomResourceDefinition', { name: 'widgets.example.test' }, (found) => found === undefined)
  await assert.rejects(client.list(WIDGET), { reason: 'NotFound' })
  await assert.rejects(client.list(WIDGET), { name: 'UnknownKind' })
})
