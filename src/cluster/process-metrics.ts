/** What Prometheus' client libraries tell of every process; what only Linux tells is left out elsewhere. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import type { Metrics } from '../server/metrics.ts'

const processors = (): number => (process.cpuUsage().user + process.cpuUsage().system) / 1e6

const EVERYWHERE: readonly (readonly [name: string, type: 'gauge' | 'counter', help: string, read: () => number])[] = [
  ['process_resident_memory_bytes', 'gauge', 'Resident memory.', () => process.memoryUsage.rss()],
  ['process_cpu_seconds_total', 'counter', 'Processor time, user and system.', processors],
  ['process_start_time_seconds', 'gauge', 'When the process started, since 1970.', () => Math.round(performance.timeOrigin / 1000)],
]

/** A number in a file of /proc/self; -1 where it is unlimited. */
const numberIn = (file: string, pattern: RegExp): number => Number(pattern.exec(readFileSync(`/proc/self/${file}`, 'utf8'))?.[1] ?? -1)

const ON_LINUX: typeof EVERYWHERE = [
  ['process_open_fds', 'gauge', 'Open files.', () => readdirSync('/proc/self/fd').length],
  ['process_max_fds', 'gauge', 'How many files may be open.', () => numberIn('limits', /^Max open files\s+(\d+)/m)],
  ['process_virtual_memory_bytes', 'gauge', 'Virtual memory.', () => numberIn('status', /^VmSize:\s+(\d+)/m) * 1024],
  [
    'process_virtual_memory_max_bytes',
    'gauge',
    'Virtual memory at most, -1 for any.',
    () => numberIn('limits', /^Max address space\s+(\d+)/m),
  ],
]

export function exposeProcess(metrics: Metrics): void {
  for (const [name, type, help, read] of existsSync('/proc/self/limits') ? [...EVERYWHERE, ...ON_LINUX] : EVERYWHERE)
    metrics.expose(name, help, type, () => [['', read()]])
}
