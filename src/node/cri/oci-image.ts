/**
 * Writes OCI image archives from lists of files, without Docker or any other builder: the same input gives the same bytes, so the
 * same digests, on every machine. Any tool that reads OCI archives takes them (containerd, skopeo, Docker 25).
 */
import { createHash } from 'node:crypto'
import { pack, type Pack } from 'tar-stream'

export type ImageFile =
  | {
      readonly path: string
      readonly type: 'file'
      readonly data: Uint8Array
      readonly mode: number
      readonly uid?: number
      readonly gid?: number
    }
  | { readonly path: string; readonly type: 'directory'; readonly mode: number; readonly uid?: number; readonly gid?: number }
  | { readonly path: string; readonly type: 'symlink'; readonly target: string }

/** The part of the OCI image configuration that says how a container of it runs. */
export interface ImageConfig {
  readonly Entrypoint?: readonly string[]
  readonly Cmd?: readonly string[]
  readonly Env?: readonly string[]
  readonly User?: string
  readonly WorkingDir?: string
  readonly ExposedPorts?: Readonly<Record<string, object>>
  readonly StopSignal?: string
  readonly Labels?: Readonly<Record<string, string>>
}

export interface ImageSource {
  /** Full, e.g. "proa.local/pause:1". */
  readonly name: string
  /** As Go names it. */
  readonly architecture: string
  readonly config: ImageConfig
  /** Below `files`, the lowest first. Images that name the same array share its layer. */
  readonly lowerLayers?: readonly (readonly ImageFile[])[]
  /** Paths without a leading slash. Folders that are not named are made. */
  readonly files: readonly ImageFile[]
}

interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

const EPOCH = new Date(0)
const CREATED = '1970-01-01T00:00:00Z'

export async function buildImageArchive(images: readonly ImageSource[]): Promise<Buffer> {
  const blobs = new Map<string, Buffer>()
  const addBlob = (mediaType: string, bytes: Buffer): Descriptor => {
    const hex = createHash('sha256').update(bytes).digest('hex')
    blobs.set(hex, bytes)
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length }
  }
  const addJson = (mediaType: string, value: object) => addBlob(mediaType, Buffer.from(JSON.stringify(value)))

  const packed = new Map<readonly ImageFile[], Descriptor>()
  const addLayer = async (files: readonly ImageFile[]): Promise<Descriptor> => {
    // Not compressed: an archive is made where it is used.
    const layer = packed.get(files) ?? addBlob('application/vnd.oci.image.layer.v1.tar', await layerTar(files))
    packed.set(files, layer)
    return layer
  }

  const manifests: object[] = []
  for (const image of images) {
    const platform = { architecture: image.architecture, os: 'linux' }
    const layers: Descriptor[] = []
    for (const files of [...(image.lowerLayers ?? []), image.files]) layers.push(await addLayer(files))
    const config = addJson('application/vnd.oci.image.config.v1+json', {
      created: CREATED,
      ...platform,
      config: image.config,
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
      history: layers.map(() => ({ created: CREATED, created_by: 'proa' })),
    })
    const mediaType = 'application/vnd.oci.image.manifest.v1+json'
    const manifest = addJson(mediaType, { schemaVersion: 2, mediaType, config, layers })
    const annotations = { 'io.containerd.image.name': image.name, 'org.opencontainers.image.ref.name': image.name.split(':').at(-1)! }
    manifests.push({ ...manifest, platform, annotations })
  }

  const archive = pack()
  const bytes = collect(archive)
  addFile(archive, 'oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}'))
  addFile(
    archive,
    'index.json',
    Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests })),
  )
  for (const [hex, data] of [...blobs].toSorted(byKey)) addFile(archive, `blobs/sha256/${hex}`, data)
  archive.finalize()
  return bytes
}

function addFile(archive: Pack, name: string, data: Buffer): void {
  archive.entry({ name, mode: 0o644, mtime: EPOCH }, data)
}

async function layerTar(files: readonly ImageFile[]): Promise<Buffer> {
  const entries = new Map<string, ImageFile>()
  for (const file of files) {
    for (const folder of foldersOf(file.path))
      if (!entries.has(folder)) entries.set(folder, { path: folder, type: 'directory', mode: 0o755 })
    entries.set(file.path, file)
  }
  const tar = pack()
  const bytes = collect(tar)
  for (const [path, file] of [...entries].toSorted(byKey)) {
    if (file.type === 'symlink') {
      tar.entry({ name: path, type: 'symlink', linkname: file.target, mode: 0o777, mtime: EPOCH })
      continue
    }
    const header = { mode: file.mode, uid: file.uid ?? 0, gid: file.gid ?? 0, mtime: EPOCH }
    if (file.type === 'directory') tar.entry({ ...header, name: `${path}/`, type: 'directory' })
    else tar.entry({ ...header, name: path, type: 'file' }, Buffer.from(file.data))
  }
  tar.finalize()
  return bytes
}

/** "a/b/c" lies in "a" and "a/b". */
function foldersOf(path: string): readonly string[] {
  const parts = path.split('/').slice(0, -1)
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'))
}

const byKey = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : a > b ? 1 : 0)

async function collect(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}
