/** The image that every pod's sandbox is made of. It is built in memory and loaded, so that no registry has to be reached. */
import type { Runtime } from '../../base/runtime.ts'
import type { ContainerRuntime } from '../container-runtime.ts'
import { loadImages } from './image-load.ts'
import { buildImageArchive } from './oci-image.ts'
import { pauseProgram, type PauseArchitecture } from './pause-program.ts'

/** Give it to containerd as its sandbox image. */
export const PAUSE_IMAGE = 'proa.local/pause:1'

/** Any user: a pod may run as one. */
const NOBODY = '65535:65535'

export function pauseImageArchive(architecture: PauseArchitecture): Promise<Buffer> {
  return buildImageArchive([
    {
      name: PAUSE_IMAGE,
      architecture,
      config: { Entrypoint: ['/pause'], User: NOBODY },
      files: [{ path: 'pause', type: 'file', data: pauseProgram(architecture), mode: 0o755 }],
    },
  ])
}

/** Loads the image unless it is there. */
export async function ensurePauseImage(
  runtime: Runtime,
  cri: Pick<ContainerRuntime, 'imageStatus'>,
  options: { readonly socket: string; readonly architecture: PauseArchitecture },
): Promise<void> {
  if (await cri.imageStatus(PAUSE_IMAGE)) return
  await loadImages(runtime, cri, { socket: options.socket, archive: await pauseImageArchive(options.architecture) })
}
