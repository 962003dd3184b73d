import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { extract, type Header } from 'tar-stream'
import { buildImageArchive, type ImageSource } from './oci-image.ts'

const image: ImageSource = {
  name: 'proa.local/hello:2',
  architecture: 'amd64',
  config: { Entrypoint: ['/bin/hello'], User: '1000' },
  files: [
    { path: 'usr/bin/tool', type: 'symlink', target: '../../bin/hello' },
    { path: 'bin/hello', type: 'file', data: Buffer.from('#!'), mode: 0o755, uid: 1, gid: 2 },
    { path: 'tmp', type: 'directory', mode: 0o1777 },
  ],
}

async function unpack(archive: Buffer): Promise<Map<string, { readonly header: Header; readonly data: Buffer }>> {
  const entries = new Map<string, { header: Header; data: Buffer }>()
  const reader = Readable.from([archive]).pipe(extract())
  for await (const entry of reader) {
    const chunks: Buffer[] = []
    for await (const chunk of entry) chunks.push(chunk as Buffer)
    entries.set(entry.header.name, { header: entry.header, data: Buffer.concat(chunks) })
  }
  return entries
}

interface Descriptor {
  readonly digest: string
  readonly size: number
  readonly annotations?: Record<string, string>
}

test('the archive is a chain of digests from the index to the files', async () => {
  const archive = await unpack(await buildImageArchive([image]))
  const blob = ({ digest, size }: Descriptor): Buffer => {
    const { data } = archive.get(`blobs/sha256/${digest.slice(7)}`)!
    assert.equal(`sha256:${createHash('sha256').update(data).digest('hex')}`, digest)
    assert.equal(data.length, size)
    return data
  }
  const index = JSON.parse(String(archive.get('index.json')!.data)) as { manifests: Descriptor[] }
  assert.deepEqual(index.manifests[0]!.annotations, {
    'io.containerd.image.name': 'proa.local/hello:2',
    'org.opencontainers.image.ref.name': '2',
  })
  const manifest = JSON.parse(String(blob(index.manifests[0]!))) as { config: Descriptor; layers: Descriptor[] }
  const config = JSON.parse(String(blob(manifest.config))) as { config: unknown; rootfs: { diff_ids: string[] }; architecture: string }
  assert.deepEqual(config.config, image.config)
  assert.deepEqual(config.rootfs.diff_ids, [manifest.layers[0]!.digest])
  const layer = await unpack(blob(manifest.layers[0]!))
  assert.deepEqual([...layer.keys()], ['bin/', 'bin/hello', 'tmp/', 'usr/', 'usr/bin/', 'usr/bin/tool'])
  const { header, data } = layer.get('bin/hello')!
  assert.deepEqual([header.mode, header.uid, header.gid, header.mtime?.getTime(), String(data)], [0o755, 1, 2, 0, '#!'])
  assert.deepEqual([layer.get('usr/bin/tool')!.header.type, layer.get('usr/bin/tool')!.header.linkname], ['symlink', '../../bin/hello'])
  assert.equal(layer.get('tmp/')!.header.mode, 0o1777)
})

test('the same files in another order give the same bytes', async () => {
  const shuffled = { ...image, files: image.files.toReversed() }
  assert.ok((await buildImageArchive([image])).equals(await buildImageArchive([shuffled])))
})

test('images that name the same lower layer share it, and the layers lie in their order', async () => {
  const below: ImageSource['files'] = [{ path: 'base', type: 'file', data: Buffer.from('b'), mode: 0o644 }]
  const above = (name: string): ImageSource => ({
    name: `proa.local/${name}:1`,
    architecture: 'amd64',
    config: {},
    lowerLayers: [below],
    files: [{ path: name, type: 'file', data: Buffer.from(name), mode: 0o644 }],
  })
  const archive = await unpack(await buildImageArchive([above('one'), above('two')]))
  const json = ({ digest }: Descriptor) => JSON.parse(archive.get(`blobs/sha256/${digest.slice(7)}`)!.data.toString())
  const index = JSON.parse(archive.get('index.json')!.data.toString()) as { readonly manifests: readonly Descriptor[] }
  const [one, two] = index.manifests.map(
    (manifest) => json(manifest) as { readonly config: Descriptor; readonly layers: readonly Descriptor[] },
  )
  assert.equal(one!.layers.length, 2)
  assert.deepEqual(one!.layers[0], two!.layers[0])
  assert.notDeepEqual(one!.layers[1], two!.layers[1])
  assert.deepEqual(
    json(one!.config).rootfs.diff_ids,
    one!.layers.map(({ digest }) => digest),
  )
})
