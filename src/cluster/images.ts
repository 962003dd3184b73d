/** Loads image archives into the containerds of a cluster that is up, from another process than its server. */
import { createReadStream } from 'node:fs'
import { createLog } from '../base/log.ts'
import { systemClock, systemRandom } from '../base/system.ts'
import { createCriRuntime } from '../node/cri/cri-client.ts'
import { containerdSocket } from '../node/cri/containerd.ts'
import { loadImages } from '../node/cri/image-load.ts'
import { readRecord, type DataDirectory } from './data-directory.ts'
import { printLine } from './log-lines.ts'
import { nodeLayouts, type NodeLayout } from './node-layout.ts'
import { containerdOptions } from './real-node.ts'
import { UserError } from './user-error.ts'

/** `archive` is the path of an OCI or Docker archive, or its bytes. Resolves with the images' names when every node has them. */
export async function loadImageArchive(directory: DataDirectory, archive: string | Uint8Array): Promise<readonly string[]> {
  const record = readRecord(directory)
  if (!record) throw new UserError(`there is no cluster in ${directory.root}`)
  const names = await Promise.all(nodeLayouts(directory, record).map((layout) => loadInto(layout, archive)))
  return names[0] ?? []
}

async function loadInto(layout: NodeLayout, archive: string | Uint8Array): Promise<readonly string[]> {
  const runtime = { clock: systemClock, random: systemRandom, log: createLog(printLine, 'error') }
  const socket = containerdSocket(containerdOptions(layout))
  const cri = createCriRuntime(runtime, { socket })
  try {
    return await loadImages(runtime, cri, { socket, archive: typeof archive === 'string' ? createReadStream(archive) : archive })
  } catch (error) {
    if (error instanceof Error && error.name === 'RuntimeError') throw new UserError(`node ${layout.name}: ${error.message}`)
    throw error
  } finally {
    cri.close()
  }
}
