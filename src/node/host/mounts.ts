/** Mounts below the node's directories. */
import { readFile, rm } from 'node:fs/promises'
import { run } from './processes.ts'

/** Spaces, tabs, line ends and backslashes are octal in /proc/self/mountinfo. */
const unescape = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))

/** Mount points at or below a path, in the order of their mounting. */
export async function mountsBelow(path: string): Promise<readonly string[]> {
  const table = await readFile('/proc/self/mountinfo', 'utf8')
  const points: string[] = []
  for (const line of table.split('\n')) {
    const point = line.split(' ')[4]
    if (point === undefined) continue
    const plain = unescape(point)
    if (plain === path || plain.startsWith(`${path}/`)) points.push(plain)
  }
  return points
}

export async function mountTmpfs(path: string, mode: number, sizeBytes: number | undefined): Promise<void> {
  if ((await mountsBelow(path)).includes(path)) return
  await run('mount', ['-t', 'tmpfs', '-o', `mode=${mode.toString(8)}${sizeBytes === undefined ? '' : `,size=${sizeBytes}`}`, 'tmpfs', path])
}

export async function mountHugePages(path: string, pageSize: string): Promise<void> {
  if ((await mountsBelow(path)).includes(path)) return
  // The kernel's letters: 2M, 1G.
  await run('mount', ['-t', 'hugetlbfs', '-o', `pagesize=${pageSize.replace('i', '')},mode=777`, 'nodev', path])
}

/** A second mount over the first would hide it, so what was mounted goes first. */
export async function bindMount(source: string, target: string): Promise<void> {
  if ((await mountsBelow(target)).includes(target)) await run('umount', [target])
  await run('mount', ['--no-canonicalize', '--bind', source, target])
}

/** The newest mount first. Nothing is removed while something is still mounted: that would empty someone's volume. */
export async function removeTree(path: string): Promise<void> {
  for (const point of (await mountsBelow(path)).toReversed()) await run('umount', [point])
  await rm(path, { recursive: true, force: true })
}
