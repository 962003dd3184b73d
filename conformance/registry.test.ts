import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { buildImageArchive } from '../src/node/cri/oci-image.ts'
import { partsOf, serveArchive } from './registry.ts'

test('an image of the archive is told by tag and digest, as is all that it is made of; others are not there', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'proa-registry-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'images.tar')
  const data = Buffer.from('content')
  writeFileSync(
    path,
    await buildImageArchive([
      { name: 'registry.k8s.io/a/b:1', architecture: 'amd64', config: {}, files: [{ path: 'f', type: 'file', mode: 0o644, data }] },
    ]),
  )
  assert.ok(partsOf(path).has('index.json'))
  const registry = await serveArchive(path, '127.0.0.1')
  t.after(() => registry.close())
  const get = (what: string) => fetch(`http://127.0.0.1:${registry.port}/v2/${what}`)
  const byTag = await get('a/b/manifests/1?ns=registry.k8s.io')
  const manifest = (await byTag.json()) as { config: { digest: string }; layers: { digest: string; size: number }[] }
  const digest = byTag.headers.get('docker-content-digest')!
  assert.deepEqual(await (await get(`a/b/manifests/${digest}`)).json(), manifest)
  for (const { digest: blob, size } of manifest.layers)
    assert.equal((await (await get(`a/b/blobs/${blob}`)).arrayBuffer()).byteLength, size)
  assert.deepEqual([(await get('a/b/manifests/2')).status, (await get('a/c/manifests/1')).status, (await get('')).status], [404, 404, 200])
})
