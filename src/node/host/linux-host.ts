/** The machine that the node agent runs on, for Linux. Must run as root: it mounts, and gives files to users. */
import { constants, createReadStream, createWriteStream, watch } from 'node:fs'
import { chmod, lchown, lstat, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type { Host } from '../host.ts'
import { serveDevicePlugins } from './device-plugins.ts'
import { readLog } from './log-reader.ts'
import { machineFacts } from './machine-facts.ts'
import { machineUsage, treeUsage } from './machine-usage.ts'
import { mountHugePages, mountTmpfs, removeTree } from './mounts.ts'
import { probeGrpc } from './grpc-probe.ts'
import { probeHttp, probeTcp } from './net-probes.ts'
import { createPodCgroup, removeCgroup } from './pod-cgroups.ts'
import { ask } from './processes.ts'
import { writeProjected } from './projected-volume.ts'
import { prepareSubPath } from './sub-path.ts'

export interface LinuxHostOptions {
  /** Its file system is what pods' files count against. */
  readonly dataDirectory: string
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT'

/** As fsGroup asks: the group owns everything, may read and write it, and new files inherit it. */
async function setGroup(path: string, gid: number): Promise<void> {
  const found = await lstat(path)
  await lchown(path, found.uid, gid)
  if (found.isSymbolicLink()) return
  await chmod(path, (found.mode & 0o7777) | (found.isDirectory() ? 0o2770 : 0o660))
  if (found.isDirectory()) for (const name of await readdir(path)) await setGroup(join(path, name), gid)
}

async function readTail(path: string, limitBytes: number): Promise<Uint8Array | undefined> {
  let file
  try {
    // A container may put a link where its termination message should be, to have a file of the node read.
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
  try {
    const { size } = await file.stat()
    const length = Math.min(size, limitBytes)
    const buffer = new Uint8Array(length)
    const { bytesRead } = await file.read(buffer, 0, length, size - length)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

async function compress(from: string, to: string, unfinished: string): Promise<void> {
  const { mode } = await stat(from)
  await pipeline(createReadStream(from), createGzip(), createWriteStream(unfinished, { mode }))
  await rename(unfinished, to)
  await rm(from)
}

async function pathType(path: string): ReturnType<Host['pathType']> {
  try {
    const found = await stat(path)
    if (found.isDirectory()) return 'directory'
    if (found.isFile()) return 'file'
    if (found.isSocket()) return 'socket'
    if (found.isCharacterDevice()) return 'charDevice'
    return found.isBlockDevice() ? 'blockDevice' : 'other'
  } catch (error) {
    if (isMissing(error)) return 'missing'
    throw error
  }
}

export function createLinuxHost({ dataDirectory }: LinuxHostOptions): Host {
  return {
    async facts() {
      await mkdir(dataDirectory, { recursive: true })
      return machineFacts(dataDirectory)
    },
    machineUsage: () => machineUsage(dataDirectory),
    servePlugins: serveDevicePlugins,
    treeUsage,
    async makeDirectory(path, mode) {
      const made = await mkdir(path, { recursive: true, mode: 0o755 })
      // Only what was made is given its mode: free of the umask, and never again over what its owner set.
      if (made !== undefined) await chmod(path, mode)
    },
    setGroup,
    writeProjected,
    async writeFile(path, data, mode) {
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, data, { mode })
      await chmod(path, mode)
    },
    readTail,
    async readNodeFile(path) {
      try {
        return await readFile(path, 'utf8')
      } catch (error) {
        if (isMissing(error)) return undefined
        throw error
      }
    },
    readLog,
    rename,
    compress,
    async fileSize(path) {
      try {
        return (await stat(path)).size
      } catch (error) {
        if (isMissing(error)) return undefined
        throw error
      }
    },
    pathType,
    mountTmpfs,
    mountHugePages,
    prepareSubPath,
    removeTree,
    async listDirectory(path) {
      try {
        return await readdir(path)
      } catch (error) {
        if (isMissing(error)) return []
        throw error
      }
    },
    watchDirectory(path, onChange, signal) {
      const watcher = watch(path, { persistent: false, signal }, onChange)
      // A directory that goes is looked for now and then.
      watcher.on('error', () => watcher.close())
    },
    createPodCgroup,
    removePodCgroup: removeCgroup,
    runProgram: ask,
    probeTcp,
    probeHttp,
    probeGrpc,
  }
}
