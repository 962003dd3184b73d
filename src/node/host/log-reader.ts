/**
 * Reads a log from an offset and, when asked to, what is added: woken by the kernel's notices of change, with a slow look beside. When the
 * log is rotated, what is left of the old file comes first, then the new one from its beginning.
 */
import { watch } from 'node:fs'
import { open, stat, type FileHandle } from 'node:fs/promises'

const CHUNK_BYTES = 64 * 1024
/** For file systems without notices. */
const LOOK_MS = 1000
/** How often a log that does not exist yet is looked for. */
const APPEAR_MS = 20

async function openWhenThere(path: string, until: AbortSignal | undefined, signal: AbortSignal): Promise<FileHandle | undefined> {
  for (;;) {
    try {
      return await open(path, 'r')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      if (!until || until.aborted || signal.aborted) return undefined
      await pause(APPEAR_MS, AbortSignal.any([signal, until]))
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

/** The runtime goes on in the new file a moment after it has made it. */
const HANDOVER_MS = 50

export async function* readLog(
  path: string,
  { fromByte, until, signal }: { readonly fromByte: number; readonly until?: AbortSignal; readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  let offset = fromByte
  for (;;) {
    const file = await openWhenThere(path, until, signal)
    if (!file) return
    const isRotated = yield* readFile(file, path, offset, until, signal)
    if (!isRotated) return
    offset = 0
  }
}

/** Ends with true when another file has taken the path. */
async function* readFile(
  file: FileHandle,
  path: string,
  fromByte: number,
  until: AbortSignal | undefined,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, boolean> {
  let wake: (() => void) | undefined
  let hasChanged = false
  const watcher = until
    ? watch(path, { persistent: false }, () => {
        hasChanged = true
        wake?.()
      })
    : undefined
  // A file that is removed meanwhile is still read to its end by its descriptor.
  watcher?.on('error', () => watcher.close())
  try {
    const { ino } = await file.stat()
    let offset = fromByte
    let isReplaced = false
    while (!signal.aborted) {
      hasChanged = false
      const isLast = until === undefined || until.aborted
      const buffer = new Uint8Array(CHUNK_BYTES)
      const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, offset)
      if (bytesRead > 0) {
        offset += bytesRead
        yield buffer.subarray(0, bytesRead)
        continue
      }
      if (until === undefined || isReplaced) return isReplaced
      const current = await inodeOf(path)
      if (current !== undefined && current !== ino) {
        isReplaced = true
        await pause(HANDOVER_MS, signal)
        continue
      }
      if (isLast) return false
      if (current === undefined) {
        // Between two names: nobody tells when the new file is there.
        await pause(APPEAR_MS, AbortSignal.any([signal, until]))
      } else if (!hasChanged) {
        const woken = new AbortController()
        wake = () => woken.abort()
        await pause(LOOK_MS, AbortSignal.any([signal, until, woken.signal]))
        wake = undefined
      }
    }
    return false
  } finally {
    watcher?.close()
    await file.close()
  }
}

async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return undefined
  }
}
