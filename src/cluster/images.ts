/** Loads image archives into the containerds of a cluster that is up, from another process than its server. */
import { createReadStream } from 'node:fs'
import { createLog } from '../base/log.ts'
import { systemClock, systemRandom } from '../base/system.ts'
import { createCriRuntime } from '../node/cri/cri-client.ts'
import { containerdSocket } from '../node/cri/containerd.ts'
import { loadImages } from '../node/cri/image-load.ts'
import { readRecord, type DataDirectory } from './data-directory.ts'
import { joinedFiles, layoutOf, readJoined } from './join/joined-record.ts'
import { printLine } from './log-lines.ts'
import { nodeLayouts, type NodeLayout } from './node-layout.ts'
import { containerdOptions } from './real-node.ts'
import { UserError } from './user-error.ts'

/** `archive` is the path of an OCI or Docker archive, or its bytes. Resolves with the images' names when every node has them. */
export async function loadImageArchive(directory: DataDirectory, archive: string | Uint8Array): Promise<readonly string[]> {
  const names = await Promise.all(layoutsIn(directory).map((layout) => loadInto(layout, archive)))
  return names[0] ?? []
}

/** The nodes of a cluster on this machine, or the one node that has joined a cluster elsewhere. */
function layoutsIn(directory: DataDirectory): readonly NodeLayout[] {
  const record = readRecord(directory)
  if (record) return nodeLayouts(directory, record)
  const files = joinedFiles(directory.root)
  const joined = readJoined(files)
  const layout = joined && layoutOf(files, joined)
  if (!layout) throw new UserError(`there is no cluster in ${directory.root}`)
  return [layout]
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
