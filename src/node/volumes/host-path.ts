/** hostPath volumes: a path of the node, checked or made as its type says, worded as upstream's pkg/volume/hostpath. */
import type { HostPathVolumeSource } from '../../api/generated/core/v1.ts'
import type { Host } from '../host.ts'
import { VolumeError } from './projected-files.ts'

const EXPECTED = {
  Directory: ['directory', 'a directory'],
  File: ['file', 'a file'],
  Socket: ['socket', 'a socket'],
  CharDevice: ['charDevice', 'a character device'],
  BlockDevice: ['blockDevice', 'a block device'],
} as const

export async function prepareHostPath(host: Host, { path, type }: HostPathVolumeSource): Promise<string> {
  if (!type) return path
  const found = await host.pathType(path)
  switch (type) {
    case 'DirectoryOrCreate':
      if (found === 'missing') await host.makeDirectory(path, 0o755)
      else if (found !== 'directory') throw new VolumeError(`hostPath type check failed: ${path} is not a directory`)
      return path
    case 'FileOrCreate':
      if (found === 'missing') await host.writeFile(path, '', 0o644)
      else if (found !== 'file') throw new VolumeError(`hostPath type check failed: ${path} is not a file`)
      return path
    default: {
      const expected = EXPECTED[type as keyof typeof EXPECTED]
      if (!expected) throw new VolumeError(`${type} is an invalid volume type`)
      if (found !== expected[0]) throw new VolumeError(`hostPath type check failed: ${path} is not ${expected[1]}`)
      return path
    }
  }
}
