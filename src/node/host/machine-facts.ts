/** What this machine is, as the Node object tells it. */
import { existsSync } from 'node:fs'
import { readdir, readFile, statfs } from 'node:fs/promises'
import { cpus, hostname, release, totalmem } from 'node:os'
import type { MachineFacts } from '../host.ts'
import { pageSizeName, type HugePages } from '../huge-pages.ts'

async function firstText(...paths: readonly string[]): Promise<string> {
  for (const path of paths) {
    try {
      const text = (await readFile(path, 'utf8')).trim()
      if (text !== '') return text
    } catch (error) {
      // Not every machine has every file, nor may everybody read it.
      if (!['ENOENT', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
  }
  return ''
}

export async function machineFacts(dataDirectory: string): Promise<MachineFacts> {
  const osRelease = await firstText('/etc/os-release', '/usr/lib/os-release')
  const disk = await statfs(dataDirectory)
  const machineId = await firstText('/etc/machine-id', '/var/lib/dbus/machine-id')
  return {
    hostname: hostname(),
    machineId,
    bootId: await firstText('/proc/sys/kernel/random/boot_id'),
    systemUuid: (await firstText('/sys/class/dmi/id/product_uuid')) || machineId,
    kernelVersion: release(),
    osImage: /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(osRelease)?.[1] ?? 'Linux',
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    cpuCount: cpus().length,
    memoryBytes: totalmem(),
    ephemeralStorageBytes: disk.blocks * disk.bsize,
    hugePages: await hugePages(),
  }
}

const HUGE_PAGES = '/sys/kernel/mm/hugepages'

async function hugePages(): Promise<HugePages> {
  const found: Record<string, number> = {}
  for (const name of existsSync(HUGE_PAGES) ? await readdir(HUGE_PAGES) : []) {
    const pageBytes = 1024 * Number(/^hugepages-(\d+)kB$/.exec(name)?.[1])
    if (pageBytes > 0) found[pageSizeName(pageBytes)] = pageBytes * Number(await firstText(`${HUGE_PAGES}/${name}/nr_hugepages`))
  }
  return found
}
