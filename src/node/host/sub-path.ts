/**
 * subPath mounts that cannot be led astray: a container that writes to the volume may swap a directory for a link at any moment,
 * so every step is taken from a descriptor that is held open, and what is mounted is that descriptor, not a name.
 */
import { constants } from 'node:fs'
import { chmod, lstat, mkdir, open, readlink, realpath, stat, writeFile, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { bindMount } from './mounts.ts'

/** Linux: a descriptor that only names a place. */
const O_PATH = 0o10000000
const HOLD = O_PATH | constants.O_NOFOLLOW

const isInside = (root: string, path: string): boolean => path === root || path.startsWith(`${root}/`)

const pathOf = (handle: FileHandle): string => `/proc/self/fd/${handle.fd}`

async function step(root: string, at: FileHandle, name: string, mode: number): Promise<FileHandle> {
  const path = `${pathOf(at)}/${name}`
  let found
  try {
    found = await lstat(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    await mkdir(path)
    await chmod(path, mode)
    return open(path, HOLD)
  }
  if (!found.isSymbolicLink()) return open(path, HOLD)
  const target = await realpath(path)
  if (!isInside(root, target)) throw new Error(`subPath leads out of the volume: ${name}`)
  return open(target, HOLD)
}

export async function prepareSubPath(volumePath: string, subPath: string, target: string): Promise<string> {
  const root = await realpath(volumePath)
  const mode = (await stat(root)).mode & 0o7777
  const handles: FileHandle[] = [await open(root, HOLD)]
  try {
    for (const name of subPath.split('/').filter((part) => part !== '' && part !== '.')) {
      if (name === '..') throw new Error('subPath must not contain ".."')
      handles.push(await step(root, handles.at(-1)!, name, mode))
    }
    const last = handles.at(-1)!
    // Where the descriptor really is, whatever the names on the way have become.
    if (!isInside(root, await readlink(pathOf(last)))) throw new Error('subPath leads out of the volume')
    await mkdir(dirname(target), { recursive: true })
    if ((await stat(pathOf(last))).isDirectory()) await mkdir(target, { recursive: true })
    else await writeFile(target, '', { flag: 'a', mode: 0o600 })
    await bindMount(`/proc/${process.pid}/fd/${last.fd}`, target)
    return target
  } finally {
    for (const handle of handles) await handle.close()
  }
}
