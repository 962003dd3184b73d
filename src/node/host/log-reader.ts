/** Reads a log from an offset and, when asked to, what is added: woken by the kernel's notices of change, with a slow look beside. */
import { watch } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'

const CHUNK_BYTES = 64 * 1024
/** For file systems without notices. */
const LOOK_MS = 1000
/** How often a log that does not exist yet is looked for. */
const APPEAR_MS = 50

async function openWhenThere(path: string, follow: boolean, signal: AbortSignal): Promise<FileHandle | undefined> {
  for (;;) {
    try {
      return await open(path, 'r')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      if (!follow || signal.aborted) return undefined
      await pause(APPEAR_MS, signal)
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
  })
}

export async function* readLog(
  path: string,
  { fromByte, follow, signal }: { readonly fromByte: number; readonly follow: boolean; readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  const file = await openWhenThere(path, follow, signal)
  if (!file) return
  let wake: (() => void) | undefined
  let hasChanged = false
  const watcher = follow
    ? watch(path, { persistent: false }, () => {
        hasChanged = true
        wake?.()
      })
    : undefined
  // A file that is removed meanwhile is still read to its end by its descriptor.
  watcher?.on('error', () => watcher.close())
  try {
    let offset = fromByte
    while (!signal.aborted) {
      hasChanged = false
      const buffer = new Uint8Array(CHUNK_BYTES)
      const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, offset)
      if (bytesRead > 0) {
        offset += bytesRead
        yield buffer.subarray(0, bytesRead)
        continue
      }
      if (!follow) return
      if (!hasChanged) {
        const woken = new AbortController()
        wake = () => woken.abort()
        await pause(LOOK_MS, AbortSignal.any([signal, woken.signal]))
        wake = undefined
      }
    }
  } finally {
    watcher?.close()
    await file.close()
  }
}
