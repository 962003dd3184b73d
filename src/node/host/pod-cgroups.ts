/**
 * The cgroup of each pod, the parent of its containers': made with the pod's limits before its sandbox, removed after it. Both
 * versions: with v1 a pod has a directory in every hierarchy, with v2 one.
 */
import { mkdir, readdir, rmdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Host } from '../host.ts'

const ROOT = '/sys/fs/cgroup'
const PERIOD_US = 100_000
/** What a pod's own limits are written to. cpuset and others need none: runc makes those below as it wants them. */
const V1_CONTROLLERS = ['cpu', 'memory', 'pids'] as const
const V2_CONTROLLERS = '+cpu +memory +pids'
/** The last processes of a container may take a moment to be reaped. */
const REMOVE_TRIES = 40
const REMOVE_STEP_MS = 25

type Limits = Parameters<Host['createPodCgroup']>[1]

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

const isUnified = (): Promise<boolean> => exists(join(ROOT, 'cgroup.controllers'))

export async function createPodCgroup(parent: string, limits: Limits): Promise<void> {
  if (await isUnified()) return createUnified(parent, limits)
  for (const controller of V1_CONTROLLERS)
    if (await exists(join(ROOT, controller))) await mkdir(join(ROOT, controller, parent), { recursive: true })
  await writeFile(join(ROOT, 'cpu', parent, 'cpu.shares'), String(limits.cpuShares))
  await writeFile(join(ROOT, 'cpu', parent, 'cpu.cfs_period_us'), String(PERIOD_US))
  await writeFile(join(ROOT, 'cpu', parent, 'cpu.cfs_quota_us'), String(limits.cpuQuota ?? -1))
  await writeFile(join(ROOT, 'memory', parent, 'memory.limit_in_bytes'), String(limits.memoryLimitBytes ?? -1))
  if (limits.pidsLimit !== undefined) await writeFile(join(ROOT, 'pids', parent, 'pids.max'), String(limits.pidsLimit))
}

async function createUnified(parent: string, limits: Limits): Promise<void> {
  let path = ROOT
  for (const name of parent.split('/').filter((part) => part !== '')) {
    // A controller must be passed on by every directory above.
    await writeFile(join(path, 'cgroup.subtree_control'), V2_CONTROLLERS)
    path = join(path, name)
    await mkdir(path, { recursive: true })
  }
  await writeFile(join(path, 'cgroup.subtree_control'), V2_CONTROLLERS)
  const weight = 1 + Math.floor(((limits.cpuShares - 2) * 9999) / 262_142)
  await writeFile(join(path, 'cpu.weight'), String(weight))
  await writeFile(join(path, 'cpu.max'), `${limits.cpuQuota ?? 'max'} ${PERIOD_US}`)
  await writeFile(join(path, 'memory.max'), String(limits.memoryLimitBytes ?? 'max'))
  if (limits.pidsLimit !== undefined) await writeFile(join(path, 'pids.max'), String(limits.pidsLimit))
}

async function removeDirectories(path: string): Promise<void> {
  let entries
  try {
    entries = await readdir(path, { withFileTypes: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  for (const entry of entries) if (entry.isDirectory()) await removeDirectories(join(path, entry.name))
  for (let tries = 1; ; tries++) {
    try {
      return await rmdir(path)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') return
      if (code !== 'EBUSY' || tries >= REMOVE_TRIES) throw error
      await delay(REMOVE_STEP_MS)
    }
  }
}

/** With everything below. Also for a node's whole root ("/proa/node-1"), when it is taken down. */
export async function removeCgroup(parent: string): Promise<void> {
  if (parent.split('/').every((part) => part === '')) throw new Error('the root of the cgroups is not a pod')
  if (await isUnified()) return removeDirectories(join(ROOT, parent))
  // Every hierarchy, the empty unified one beside them too: runc makes its directories in all of them.
  for (const entry of await readdir(ROOT, { withFileTypes: true }))
    if (entry.isDirectory()) await removeDirectories(join(ROOT, entry.name, parent))
}
