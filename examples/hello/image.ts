/**
 * The recipe of the image proa.local/hello:1: busybox and two scripts. Run it to write an archive for any cluster or machine:
 *
 *   node examples/hello/image.ts hello.tar && ./proa image load hello.tar
 *
 * `npm start` does the same by itself.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { busyboxImage } from '../../src/node/cri/busybox-image.ts'
import { buildImageArchive } from '../../src/node/cri/oci-image.ts'

export const HELLO_IMAGE = 'proa.local/hello:1'

/** An OCI archive for this machine's architecture. */
export async function helloImageArchive(): Promise<Buffer> {
  const script = async (name: string, path: string) =>
    ({ path, type: 'file', data: await readFile(join(import.meta.dirname, name)), mode: 0o755 }) as const
  const image = await busyboxImage({
    name: HELLO_IMAGE,
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    config: { Entrypoint: ['/bin/hello'], User: '65534:65534', ExposedPorts: { '8080/tcp': {} } },
    files: [await script('hello.sh', 'bin/hello'), await script('answer.sh', 'www/cgi-bin/index.cgi')],
  })
  return buildImageArchive([image])
}

if (import.meta.main) {
  const file = process.argv[2]
  if (!file) throw new Error('usage: node examples/hello/image.ts FILE')
  await writeFile(file, await helloImageArchive())
}
