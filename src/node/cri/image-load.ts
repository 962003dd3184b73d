/**
 * Brings image archives (OCI, or as `docker save` writes them) into a containerd without a registry, by `ctr`, which comes in the
 * same package as containerd.
 */
import { spawn } from 'node:child_process'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { sleep } from '../../base/clock.ts'
import type { Runtime } from '../../base/runtime.ts'
import { RuntimeError, type ContainerRuntime } from '../container-runtime.ts'
import { CRI_NAMESPACE } from './grpc-calls.ts'
import { systemEnvironment } from './processes.ts'

/** CRI hears of a new image by an event. */
const SEEN_BY_CRI_MS = 10_000
const SEEN_STEP_MS = 5
const MAX_OUTPUT_CHARACTERS = 1_000_000

/** Resolves with the names of the images when CRI knows them all. */
export async function loadImages(
  runtime: Runtime,
  cri: Pick<ContainerRuntime, 'imageStatus'>,
  options: { readonly socket: string; readonly archive: Uint8Array | AsyncIterable<Uint8Array> },
): Promise<readonly string[]> {
  const output = await importArchive(options.socket, options.archive)
  const names = [...output.matchAll(/^unpacking (\S+) \(sha256:/gm)].map((match) => match[1]!)
  if (names.length === 0) throw new RuntimeError('InvalidArgument', `the archive holds no image with a name: ${output.trim()}`)
  const giveUpAt = runtime.clock.monotonic() + SEEN_BY_CRI_MS
  for (const name of names) {
    while (!(await cri.imageStatus(name))) {
      if (runtime.clock.monotonic() > giveUpAt)
        throw new RuntimeError('DeadlineExceeded', `image "${name}" was imported, but the runtime does not see it`)
      await sleep(runtime.clock, SEEN_STEP_MS)
    }
  }
  return names
}

function importArchive(socket: string, archive: Uint8Array | AsyncIterable<Uint8Array>): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('ctr', ['--address', socket, '--namespace', CRI_NAMESPACE, 'images', 'import', '-'], { env: systemEnvironment() })
    let output = ''
    const keep = (text: string) => (output = (output + text).slice(-MAX_OUTPUT_CHARACTERS))
    child.stdout.setEncoding('utf8').on('data', keep)
    child.stderr.setEncoding('utf8').on('data', keep)
    child.on('error', (error) => reject(new RuntimeError('Unavailable', `ctr: ${error.message}`)))
    child.on('close', (code) => {
      if (code === 0) resolve(output)
      else reject(new RuntimeError('InvalidArgument', `the image archive could not be imported: ${output.trim()}`))
    })
    const chunks = archive instanceof Uint8Array ? [archive] : archive
    void pipeline(Readable.from(chunks, { objectMode: false }), child.stdin).catch((error: NodeJS.ErrnoException) => {
      // When ctr ends early its exit code and words tell why, not the broken pipe.
      if (error.code === 'EPIPE' || error.code === 'ERR_STREAM_PREMATURE_CLOSE') return
      child.kill()
      reject(error)
    })
  })
}
