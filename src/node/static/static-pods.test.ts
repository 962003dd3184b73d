import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventsOf, start } from '../agent.test-support.ts'
import type { SimulatedHost } from '../simulated/host.ts'
import { parseManifest } from './manifest.ts'

const manifest = (image: string, more = '') => `
apiVersion: v1
kind: Pod
metadata: { name: web, labels: { app: web } }
spec:
  terminationGracePeriodSeconds: 1
  containers: [{ name: c, image: ${image} }]
${more}`

test('what a file says becomes a pod of this node', () => {
  const pod = parseManifest(manifest('x'), '/m/web.yaml', 'N1', 'now')
  const { name, namespace, uid, annotations } = pod.metadata!
  assert.deepEqual([name, namespace, pod.spec?.nodeName], ['web-n1', 'default', 'N1'])
  assert.match(uid!, /^[0-9a-f]{32}$/)
  assert.deepEqual(annotations, {
    'kubernetes.io/config.hash': uid,
    'kubernetes.io/config.seen': 'now',
    'kubernetes.io/config.source': 'file',
  })
  assert.deepEqual(pod.spec?.tolerations, [{ operator: 'Exists', effect: 'NoExecute' }])
  assert.equal(parseManifest(manifest('x'), '/m/web.yaml', 'N1', 'later').metadata?.uid, uid)
  for (const [text, path, node] of [
    [manifest('other:1'), '/m/web.yaml', 'N1'],
    [manifest('x'), '/m/other.yaml', 'N1'],
    [manifest('x'), '/m/web.yaml', 'n2'],
  ] as const)
    assert.notEqual(parseManifest(text, path, node, 'now').metadata?.uid, uid)
})

test('files that are no static pods say why', () => {
  const fails = (text: string, message: RegExp) => assert.throws(() => parseManifest(text, '/m/a', 'n', ''), message)
  fails('kind: Service\napiVersion: v1', /it is v1\/Service/)
  fails('kind: Pod\napiVersion: v1\nspec: {containers: [{name: c}]}', /name is needed for the pod/)
  fails('kind: Pod\napiVersion: v1\nmetadata: {name: a}', /spec.containers: Required value/)
  fails('kind: Pod\napiVersion: v1\nmetadata: {name: a}\nspec: {containers: 7}', /containers/)
  fails(manifest('x', '  serviceAccountName: me'), /^Error: static pods may not reference serviceaccounts$/)
  fails(manifest('x', '  volumes: [{ name: v, persistentVolumeClaim: { claimName: c } }]'), /persistentvolumeclaims/)
  fails(manifest('x', '  volumes: [{ name: v, configMap: { name: c } }]'), /configmaps/)
})

test('a static pod runs, is mirrored with its status, comes back when its mirror is deleted, and goes with its file', async (t) => {
  let host: SimulatedHost | undefined
  const { client, clock, containers, agent } = await start(t, {}, undefined, {
    configuration: { staticPodPath: '/m' },
    host(plain) {
      host = { ...plain, readNodeFile: async (path) => plain.read(path) }
      void plain.writeFile('/m/web.yaml', manifest('x'), 0o600)
      void plain.writeFile('/m/broken.yaml', 'kind: [', 0o600)
      return host
    },
  })
  await clock.advance(1000)
  const key = { namespace: 'default', name: 'web-n1' }
  const mirror = await client.get('v1/Pod', key)
  const hash = mirror.metadata?.annotations?.['kubernetes.io/config.hash']
  assert.equal(mirror.metadata?.annotations?.['kubernetes.io/config.mirror'], hash)
  assert.equal(mirror.metadata?.ownerReferences?.[0]?.kind, 'Node')
  assert.equal(mirror.status?.phase, 'Running', JSON.stringify(mirror.status))
  assert.equal((await containers.listPodSandboxes())[0]?.metadata.uid, hash)
  const log = await agent.service.logs({ ...key, uid: mirror.metadata?.uid ?? '' }, { container: 'c' }, new AbortController().signal)
  assert.ok(log)

  await client.delete('v1/Pod', key)
  await clock.advance(5000)
  const again = await client.get('v1/Pod', key)
  assert.notEqual(again.metadata?.uid, mirror.metadata?.uid)
  assert.equal(again.status?.phase, 'Running')
  assert.equal((await containers.listContainers()).length, 1)
  assert.ok(!(await eventsOf(client, 'web-n1')).some((event) => event.startsWith('Killing')))

  await host!.writeFile('/m/web.yaml', manifest('other:1'), 0o600)
  await clock.advance(60_000)
  const changed = await client.get('v1/Pod', key)
  assert.deepEqual([changed.spec?.containers?.[0]?.image, changed.status?.phase], ['other:1', 'Running'])
  assert.deepEqual(
    (await containers.listContainers()).map(({ state }) => state),
    ['RUNNING'],
  )

  await host!.removeTree('/m/web.yaml')
  await clock.advance(60_000)
  await assert.rejects(client.get('v1/Pod', key), /not found/)
  assert.deepEqual(await containers.listPodSandboxes(), [])
})
