/** The small parts that image layers are made of: files and folders by hand, trees read from disk. */
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { ImageFile } from '../src/node/cri/oci-image.ts'

const PERMISSIONS = 0o7777

export const file = (path: string, data: string | Uint8Array, mode = 0o644): ImageFile => ({
  path,
  type: 'file',
  data: typeof data === 'string' ? Buffer.from(data) : data,
  mode,
})
export const link = (path: string, target: string): ImageFile => ({ path, type: 'symlink', target })
export const folder = (path: string, mode = 0o755, owner = 0): ImageFile => ({ path, type: 'directory', mode, uid: owner, gid: owner })

/** Everything below a directory but what `isLeftOut` names (a folder with all that it holds), owned by root. */
export function filesBelow(directory: string, isLeftOut: (path: string) => boolean = () => false): ImageFile[] {
  const files: ImageFile[] = []
  const read = (path: string) => {
    for (const name of readdirSync(join(directory, path)).toSorted()) {
      const inner = path ? `${path}/${name}` : name
      if (isLeftOut(inner)) continue
      const from = join(directory, inner)
      const stat = lstatSync(from)
      if (stat.isSymbolicLink()) files.push(link(inner, readlinkSync(from)))
      else if (stat.isDirectory()) {
        files.push(folder(inner, stat.mode & PERMISSIONS))
        read(inner)
      } else if (stat.isFile()) files.push(file(inner, readFileSync(from), stat.mode & PERMISSIONS))
      else throw new Error(`${from} is neither a file nor a folder nor a link`)
    }
  }
  read('')
  return files
}

/** Whether a command's name is taken in one of the folders that PATH holds. */
export function commandNames(files: readonly ImageFile[]): ReadonlySet<string> {
  const names = new Set<string>()
  for (const { path, type } of files) {
    const found = type === 'directory' ? undefined : /^(?:usr\/(?:local\/)?)?s?bin\/([^/]+)$/.exec(path)
    if (found) names.add(found[1]!)
  }
  return names
}
