/**
 * Images made of nothing but busybox-static of this machine and a few files of one's own: enough for small servers and tests, with
 * no registry and no builder.
 */
import { readFile } from 'node:fs/promises'
import type { ImageConfig, ImageFile, ImageSource } from './oci-image.ts'

/** Where Debian's and Ubuntu's package puts it. */
const BUSYBOX = '/bin/busybox'
/** The programs that people look for first; `busybox NAME` has all others. */
const APPLETS = (
  'awk basename cat chmod chown cp cut date dd df dirname du echo env expr false find grep gzip head hostname httpd id ip kill ln ls ' +
  'md5sum mkdir mount mv nc nslookup ping printf ps pwd readlink rm sed seq sh sha256sum sleep sort stat stty sync tail tar test ' +
  'timeout top touch tr true tty uname uniq vi wc wget which whoami xargs yes'
).split(' ')
/** The dynamic loader's name stands at the start of a program that needs one. */
const LOADER = 'ld-linux'
const LOADER_WITHIN_BYTES = 4096

const ACCOUNTS = 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n'

export interface BusyboxImage {
  readonly name: string
  /** The machine's, as Go names it. */
  readonly architecture: string
  readonly config: ImageConfig
  readonly files?: readonly ImageFile[]
}

/** Fails when this machine has no busybox, or one that needs shared libraries. */
export async function busyboxImage({ name, architecture, config, files = [] }: BusyboxImage): Promise<ImageSource> {
  const busybox = await readFile(BUSYBOX).catch(() => undefined)
  if (!busybox) throw new Error(`images are made from ${BUSYBOX}, which this machine lacks: apt-get install busybox-static`)
  if (busybox.subarray(0, LOADER_WITHIN_BYTES).includes(LOADER)) {
    throw new Error(`${BUSYBOX} needs shared libraries, so no image can be made from it: apt-get install busybox-static`)
  }
  return {
    name,
    architecture,
    config: { Env: ['PATH=/bin'], Cmd: ['sh'], ...config },
    files: [
      { path: 'bin/busybox', type: 'file', data: busybox, mode: 0o755 },
      ...APPLETS.map((applet) => ({ path: `bin/${applet}`, type: 'symlink', target: 'busybox' }) as const),
      { path: 'etc/passwd', type: 'file', data: Buffer.from(ACCOUNTS), mode: 0o644 },
      { path: 'etc/group', type: 'file', data: Buffer.from('root:x:0:\nnogroup:x:65534:\n'), mode: 0o644 },
      { path: 'tmp', type: 'directory', mode: 0o1777 },
      ...files,
    ],
  }
}
