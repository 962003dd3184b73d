/** What is used of this machine, as /proc tells it: all of it, whatever else runs beside the node. Nodes that share it tell the same. */
import { lstat, readdir, readFile, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { InterfaceUsage } from '../container-runtime.ts'
import type { MachineUsage } from '../host.ts'

/** The kernel counts CPU time for user space in hundredths of a second (USER_HZ), whatever its own clock. */
const NANOSECONDS_PER_TICK = 10_000_000
const PROC_STAT_IDLE = [3, 4]
/** user, nice, system, idle, iowait, irq, softirq, steal; guests are counted in user already. */
const PROC_STAT_FIELDS = 8
const STAT_BLOCK_BYTES = 512
/** Pods' own interfaces are counted with their pods. */
const POD_SIDE = /^(?:veth|lo$)/

export async function machineUsage(dataDirectory: string): Promise<MachineUsage> {
  const read = (path: string) => readFile(`/proc/${path}`, 'utf8')
  const [stat, memory, vm, network, load, pidMax, disk] = await Promise.all([
    read('stat'),
    read('meminfo'),
    read('vmstat'),
    read('net/dev'),
    read('loadavg'),
    read('sys/kernel/pid_max'),
    statfs(dataDirectory),
  ])
  const ticks = /^cpu +(.*)$/m.exec(stat)?.[1]?.split(' ').slice(0, PROC_STAT_FIELDS).map(Number) ?? []
  const busy = ticks.reduce((sum, value, i) => (PROC_STAT_IDLE.includes(i) ? sum : sum + value), 0)
  const bytesOf = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(memory)?.[1] ?? 0) * 1024
  const countOf = (name: string) => Number(new RegExp(`^${name} (\\d+)`, 'm').exec(vm)?.[1] ?? 0)
  return {
    atMs: Date.now(),
    cpuNanoseconds: busy * NANOSECONDS_PER_TICK,
    workingSetBytes: bytesOf('MemTotal') - bytesOf('MemAvailable'),
    availableBytes: bytesOf('MemAvailable'),
    rssBytes: bytesOf('AnonPages'),
    pageFaults: countOf('pgfault'),
    majorPageFaults: countOf('pgmajfault'),
    interfaces: interfacesOf(network),
    nodeFs: {
      capacityBytes: disk.blocks * disk.bsize,
      availableBytes: disk.bavail * disk.bsize,
      usedBytes: (disk.blocks - disk.bfree) * disk.bsize,
      inodes: disk.files,
      inodesFree: disk.ffree,
    },
    // "0.10 0.20 0.30 2/345 6789": tasks that run and that are there.
    processes: { current: Number(load.split(' ')[3]?.split('/')[1] ?? 0), max: Number(pidMax) },
  }
}

/** Columns of /proc/net/dev: bytes, packets, errors and five more received, then the same sent. */
function interfacesOf(table: string): readonly InterfaceUsage[] {
  return table
    .split('\n')
    .map((line) => /^ *([^:]+): *(.*)$/.exec(line))
    .flatMap((found) => {
      const name = found?.[1] ?? ''
      if (name === '' || POD_SIDE.test(name)) return []
      const columns = found![2]!.trim().split(/ +/).map(Number)
      return { name, rxBytes: columns[0]!, rxErrors: columns[2]!, txBytes: columns[8]!, txErrors: columns[10]! }
    })
}

export async function treeUsage(path: string): Promise<{ readonly usedBytes: number; readonly inodesUsed: number }> {
  const root = await lstatOf(path)
  if (!root) return { usedBytes: 0, inodesUsed: 0 }
  const seen = new Set<number>()
  let usedBytes = 0
  const visit = async (at: string): Promise<void> => {
    const found = await lstatOf(at)
    // A file of several names counts once.
    if (!found || found.dev !== root.dev || seen.has(found.ino)) return
    seen.add(found.ino)
    usedBytes += found.blocks * STAT_BLOCK_BYTES
    if (found.isDirectory()) for (const name of await readdir(at)) await visit(join(at, name))
  }
  await visit(path)
  return { usedBytes, inodesUsed: seen.size }
}

/** Files come and go while one looks. */
async function lstatOf(path: string) {
  try {
    return await lstat(path)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}
