/**
 * Volumes of files that change as one: the files lie in a directory of their own, `..data` points to it, and every name that the
 * container sees is a link through `..data`. Swapping that one link swaps all files at once (upstream's AtomicWriter; programs
 * such as config reloaders know this layout).
 */
import { chmod, chown, lstat, mkdir, mkdtemp, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import type { ProjectedFile } from '../host.ts'

const DATA = '..data'
const NEW_DATA = '..data_tmp'
/** With fsGroup the group may read. */
const GROUP_READ = 0o040
const GROUP_ENTER = 0o2050

const missing = (error: unknown): undefined => {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  return undefined
}

function check(path: string): string {
  const plain = normalize(path)
  if (plain.startsWith('/') || plain === '..' || plain.startsWith('../') || plain.startsWith('..'))
    throw new Error(`invalid path in a projected volume: ${path}`)
  return plain
}

export async function writeProjected(directory: string, files: readonly ProjectedFile[], gid: number | undefined): Promise<void> {
  await mkdir(directory, { recursive: true })
  await chmod(directory, 0o777)
  const old = await readlink(join(directory, DATA)).catch(missing)
  // Not join(): that takes the two dots for the directory above.
  const fresh = await mkdtemp(`${directory}/..`)
  await chmod(fresh, 0o755)
  for (const file of files) {
    const path = join(fresh, check(file.path))
    await mkdir(dirname(path), { recursive: true, mode: 0o755 })
    await writeFile(path, file.data, { mode: 0o600 })
    if (file.uid !== undefined || gid !== undefined) await chown(path, file.uid ?? 0, gid ?? 0)
    // After chown, which clears bits, and free of the umask.
    await chmod(path, gid === undefined ? file.mode : file.mode | GROUP_READ)
  }
  if (gid !== undefined) await giveDirectories(fresh, gid)

  const link = join(directory, NEW_DATA)
  await rm(link, { force: true })
  await symlink(fresh.slice(directory.length + 1), link)
  await rename(link, join(directory, DATA))

  const visible = new Set(files.map((file) => check(file.path).split('/')[0]!))
  for (const name of await readdir(directory))
    if (!name.startsWith('..') && !visible.has(name)) await rm(join(directory, name), { force: true })
  for (const name of visible)
    if (!(await lstat(join(directory, name)).catch(missing))) await symlink(join(DATA, name), join(directory, name))
  if (old !== undefined) await rm(join(directory, old), { recursive: true, force: true })
}

async function giveDirectories(path: string, gid: number): Promise<void> {
  await chown(path, 0, gid)
  await chmod(path, 0o755 | GROUP_ENTER)
  for (const entry of await readdir(path, { withFileTypes: true }))
    if (entry.isDirectory()) await giveDirectories(join(path, entry.name), gid)
}
