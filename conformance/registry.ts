/**
 * A registry (OCI distribution specification, reading only) over an image archive, for the one test that pulls although the image is
 * there (image volumes, pull policy Always). Nodes are told by a hosts.toml that it answers for registry.k8s.io, which nothing else asks.
 */
import { mkdirSync, openSync, readSync, closeSync, createReadStream, writeFileSync, fstatSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { dataDirectory, readRecord } from '../src/cluster/data-directory.ts'
import { nodeLayouts } from '../src/cluster/node-layout.ts'
import { registryHosts } from '../src/node/cri/containerd-config.ts'

const HOST = 'registry.k8s.io'
const BLOCK = 512

interface Part {
  readonly at: number
  readonly size: number
}

interface Manifest {
  readonly digest: string
  readonly mediaType: string
  readonly annotations?: Readonly<Record<string, string>>
}

/** Where the files of an uncompressed archive (tar(5)) with short names lie in it. */
export function partsOf(archive: string): ReadonlyMap<string, Part> {
  const parts = new Map<string, Part>()
  const file = openSync(archive, 'r')
  try {
    const end = fstatSync(file).size
    const header = Buffer.alloc(BLOCK)
    for (let at = 0; at < end;) {
      readSync(file, header, 0, BLOCK, at)
      const name = header.toString('utf8', 0, 100).replace(/\0.*$/s, '')
      if (name === '') break
      const size = Number.parseInt(header.toString('latin1', 124, 136), 8)
      parts.set(name, { at: at + BLOCK, size })
      at += BLOCK + Math.ceil(size / BLOCK) * BLOCK
    }
    return parts
  } finally {
    closeSync(file)
  }
}

function readPart(archive: string, { at, size }: Part): Buffer {
  const file = openSync(archive, 'r')
  try {
    const bytes = Buffer.alloc(size)
    readSync(file, bytes, 0, size, at)
    return bytes
  } finally {
    closeSync(file)
  }
}

export interface Registry {
  readonly port: number
  close(): Promise<void>
}

export async function serveArchive(archive: string, address: string): Promise<Registry> {
  const parts = partsOf(archive)
  const { manifests } = JSON.parse(readPart(archive, parts.get('index.json')!).toString()) as { readonly manifests: readonly Manifest[] }
  const digestOf = (name: string, reference: string): string =>
    reference.includes(':')
      ? reference
      : (manifests.find(({ annotations }) => annotations?.['io.containerd.image.name'] === `${HOST}/${name}:${reference}`)?.digest ?? '')

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', 'http://registry').pathname
    if (path === '/v2/') return void response.end()
    const [, name = '', sort, reference = ''] = /^\/v2\/(.+)\/(manifests|blobs)\/([\w.:-]+)$/.exec(path) ?? []
    const digest = sort === 'manifests' ? digestOf(name, reference) : reference
    const part = parts.get(`blobs/${digest.replace(':', '/')}`)
    if (!part) return void response.writeHead(404).end()
    const mediaType = manifests.find((manifest) => manifest.digest === digest)?.mediaType ?? 'application/octet-stream'
    response.writeHead(200, { 'Content-Type': mediaType, 'Content-Length': part.size, 'Docker-Content-Digest': digest })
    if (request.method === 'HEAD') response.end()
    else await pipeline(createReadStream(archive, { start: part.at, end: part.at + part.size - 1 }), response)
  }

  const server = createServer((request, response) => void answer(request, response).catch(() => response.destroy()))
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, address, resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** Serves the archive to the nodes of a cluster that is up. containerd reads its hosts.toml at every pull. */
export async function startRegistry(archive: string, dataDir: string): Promise<Registry> {
  const directory = dataDirectory(dataDir)
  const record = readRecord(directory)
  if (!record) throw new Error(`there is no cluster in ${dataDir}`)
  const layouts = nodeLayouts(directory, record)
  const { address } = layouts[0]!
  const registry = await serveArchive(archive, address)
  for (const layout of layouts) {
    const hosts = join(layout.directory, 'containerd', 'registries', HOST)
    mkdirSync(hosts, { recursive: true })
    writeFileSync(join(hosts, 'hosts.toml'), registryHosts(`http://${address}:${registry.port}`))
  }
  return registry
}
