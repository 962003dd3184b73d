/**
 * A machine that exists only in memory: its files are a map, its mounts and cgroups nothing. What a probe would find is asked of
 * the options: by default every port answers and every HTTP request gets 200, because simulated containers do not listen.
 */
import type { Host, MachineFacts, ProjectedFile } from '../host.ts'

export interface SimulatedHost extends Host {
  /** Adds to a file, as a runtime does to a log. */
  append(path: string, text: string): void
  /** The content of a file of a projected volume or any other, for tests. */
  read(path: string): string | undefined
}

export interface SimulatedHostOptions {
  readonly facts?: Partial<MachineFacts>
  /** Decides what probes find: true is healthy. */
  readonly isHealthy?: (target: string) => boolean
}

const FACTS: MachineFacts = {
  hostname: 'simulated',
  machineId: '00000000000000000000000000000000',
  bootId: '00000000-0000-0000-0000-000000000000',
  systemUuid: '00000000-0000-0000-0000-000000000000',
  kernelVersion: '6.12.0-simulated',
  osImage: 'proa simulated node',
  architecture: 'amd64',
  cpuCount: 32,
  memoryBytes: 256 * 2 ** 30,
  ephemeralStorageBytes: 1024 * 2 ** 30,
}

/** Of one log; beyond that the oldest bytes are dropped, so that a long simulation does not fill the memory. */
const MAX_FILE_BYTES = 65_536

interface File {
  data: Uint8Array
  /** Bytes dropped from the front. */
  dropped: number
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const below = (path: string) => (candidate: string) => candidate === path || candidate.startsWith(`${path}/`)

export function createSimulatedHost(options: SimulatedHostOptions = {}): SimulatedHost {
  const facts = { ...FACTS, ...options.facts }
  const files = new Map<string, File>()
  const directories = new Set<string>()
  const followers = new Map<string, Set<() => void>>()
  const isHealthy = options.isHealthy ?? (() => true)

  const write = (path: string, data: string | Uint8Array) => {
    files.set(path, { data: typeof data === 'string' ? encoder.encode(data) : data, dropped: 0 })
  }

  async function* readLog(
    path: string,
    { fromByte, until, signal }: { fromByte: number; until?: AbortSignal; signal: AbortSignal },
  ): AsyncGenerator<Uint8Array> {
    let at = fromByte
    while (!signal.aborted) {
      const file = files.get(path)
      const from = file ? Math.max(at - file.dropped, 0) : 0
      if (file && from < file.data.length) {
        at = file.dropped + file.data.length
        yield file.data.slice(from)
        continue
      }
      if (!until || until.aborted) return
      await new Promise<void>((resolve) => {
        const waiting = followers.get(path) ?? new Set()
        followers.set(path, waiting)
        const done = () => {
          waiting.delete(done)
          if (waiting.size === 0) followers.delete(path)
          for (const end of [signal, until]) end.removeEventListener('abort', done)
          resolve()
        }
        waiting.add(done)
        for (const end of [signal, until]) end.addEventListener('abort', done, { once: true })
      })
    }
  }

  return {
    facts: async () => facts,
    treeUsage: async () => ({ usedBytes: 0, inodesUsed: 0 }),
    makeDirectory: async (path) => void directories.add(path),
    setGroup: async () => {},
    async writeProjected(directory: string, projected: readonly ProjectedFile[]) {
      directories.add(directory)
      for (const path of [...files.keys()].filter(below(directory))) files.delete(path)
      for (const file of projected) write(`${directory}/${file.path}`, file.data)
    },
    writeFile: async (path, data) => write(path, data),
    async readTail(path, limitBytes) {
      const data = files.get(path)?.data
      return data && data.slice(Math.max(0, data.length - limitBytes))
    },
    readNodeFile: async () => undefined,
    readLog,
    async rename(from, to) {
      const file = files.get(from)
      if (!file) throw new Error(`ENOENT: no such file or directory, rename '${from}' -> '${to}'`)
      files.delete(from)
      files.set(to, file)
    },
    // Nothing is gained by it in memory.
    async compress(from, to) {
      files.set(to, files.get(from) ?? { data: new Uint8Array(), dropped: 0 })
      files.delete(from)
    },
    fileSize: async (path) => {
      const file = files.get(path)
      return file && file.dropped + file.data.length
    },
    pathType: async (path) => (files.has(path) ? 'file' : directories.has(path) ? 'directory' : 'missing'),
    mountTmpfs: async (path) => void directories.add(path),
    mountHugePages: async (path) => void directories.add(path),
    async prepareSubPath(volumePath, subPath) {
      const path = `${volumePath}/${subPath}`
      if (!files.has(path)) directories.add(path)
      return path
    },
    async removeTree(path) {
      for (const file of [...files.keys()].filter(below(path))) files.delete(file)
      for (const directory of [...directories].filter(below(path))) directories.delete(directory)
    },
    async listDirectory(path) {
      const names = new Set<string>()
      for (const entry of [...files.keys(), ...directories])
        if (entry.startsWith(`${path}/`)) names.add(entry.slice(path.length + 1).split('/')[0]!)
      return [...names]
    },
    createPodCgroup: async () => {},
    removePodCgroup: async () => {},
    probeTcp: async (host, port) => isHealthy(`${host}:${port}`),
    probeHttp: async (url) => (isHealthy(url) ? { status: 200, body: 'ok' } : { status: 503, body: 'unhealthy' }),
    probeGrpc: async (host, port) => ({ status: isHealthy(`${host}:${port}`) ? 'SERVING' : 'NOT_SERVING' }),
    append(path, text) {
      const added = encoder.encode(text)
      const file = files.get(path)
      if (!file) files.set(path, { data: added, dropped: 0 })
      else {
        const all = new Uint8Array(file.data.length + added.length)
        all.set(file.data)
        all.set(added, file.data.length)
        const excess = Math.max(0, all.length - MAX_FILE_BYTES)
        file.data = excess > 0 ? all.slice(excess) : all
        file.dropped += excess
      }
      for (const wake of followers.get(path) ?? []) wake()
    },
    read: (path) => {
      const file = files.get(path)
      return file && decoder.decode(file.data)
    },
  }
}
