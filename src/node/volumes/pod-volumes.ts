/**
 * The volumes of one pod on its node: made before its containers, kept up to date while it runs (ConfigMaps, Secrets, tokens,
 * downward API), removed after it. Setting up again what stands changes nothing, so that a restarted agent can.
 */
import type { Pod, Volume } from '../../api/generated/core/v1.ts'
import type { Runtime } from '../../base/runtime.ts'
import type { Client } from '../../client/client.ts'
import type { DownwardContext } from '../downward.ts'
import type { ContainerRuntime } from '../container-runtime.ts'
import type { FollowedObjects } from '../followed-objects.ts'
import type { Host, ProjectedFile } from '../host.ts'
import { isHugePageMedium, pageSizeOf } from '../huge-pages.ts'
import { bytesOf } from '../quantities.ts'
import { prepareHostPath } from './host-path.ts'
import { projectedFiles, VolumeError, type ProjectionContext } from './projected-files.ts'
import { createPodTokens, type TokenSource } from './tokens.ts'

export interface MountedVolume {
  /** Empty when the runtime mounts `imageId` by itself. */
  readonly hostPath: string
  readonly isReadonly: boolean
  /** Of an image volume. */
  readonly imageId?: string
}

export interface VolumeFailure {
  readonly volume: string
  readonly message: string
}

export interface PodVolumes {
  /** Makes or updates every volume; tells what failed. */
  setUp(pod: Pod, context: Pick<DownwardContext, 'podIPs' | 'hostIPs' | 'facts'>): Promise<readonly VolumeFailure[]>
  get(volume: string): MountedVolume | undefined
  /** An image volume, once its image is on the node: it is pulled when a container that mounts it starts. */
  mountImage(volume: string, imageId: string): Promise<MountedVolume>
  /** When a token must be renewed. */
  readonly refreshAtMs: number | undefined
}

export interface PodVolumesOptions {
  readonly client: Client
  readonly host: Host
  readonly containers: Pick<ContainerRuntime, 'mountImage'>
  readonly objects: FollowedObjects
  /** The pod's directory. */
  readonly directory: string
  /** The pod's directory on a file system in memory: what is secret never reaches a disk. */
  readonly secretDirectory: string
}

export function createPodVolumes(
  runtime: Runtime,
  first: Pod,
  { client, host, containers, objects, directory, secretDirectory }: PodVolumesOptions,
): PodVolumes {
  const mounted = new Map<string, MountedVolume>()
  const written = new Map<string, readonly ProjectedFile[]>()
  const tokens = createPodTokens(runtime, client, first)
  const fsGroup = first.spec?.securityContext?.fsGroup
  const tokenOwner = commonUser(first)

  const pathOf = (volume: Volume, plugin: string): string =>
    `${plugin === 'secret' || plugin === 'projected' ? secretDirectory : directory}/volumes/kubernetes.io~${plugin}/${volume.name}`

  async function project(volume: Volume, context: ProjectionContext): Promise<MountedVolume> {
    const files = projectedFiles(volume, context)
    if (!files)
      throw new VolumeError(
        `no volume plugin matched: ${Object.keys(volume).find((key) => key !== 'name') ?? 'none'} is not supported by this node`,
      )
    const plugin = volume.configMap ? 'configmap' : volume.secret ? 'secret' : volume.downwardAPI ? 'downward-api' : 'projected'
    const path = pathOf(volume, plugin)
    if (!sameFiles(written.get(volume.name), files)) {
      await host.writeProjected(path, files, fsGroup)
      written.set(volume.name, files)
    }
    return { hostPath: path, isReadonly: false }
  }

  function hugePageSize(medium: string): string {
    try {
      return pageSizeOf(medium, first)
    } catch (error) {
      throw new VolumeError(error instanceof Error ? error.message : String(error))
    }
  }

  async function emptyDir(volume: Volume): Promise<MountedVolume> {
    const path = pathOf(volume, 'empty-dir')
    const { medium, sizeLimit } = volume.emptyDir!
    const isHuge = medium !== undefined && isHugePageMedium(medium)
    if (medium && medium !== 'Memory' && !isHuge) throw new VolumeError(`emptyDir medium "${medium}" is not supported by this node`)
    await host.makeDirectory(path, 0o777)
    if (isHuge) await host.mountHugePages(path, hugePageSize(medium))
    const limit = bytesOf(sizeLimit)
    if (medium === 'Memory') await host.mountTmpfs(path, 0o777, limit > 0 ? limit : undefined)
    if (fsGroup !== undefined) await host.setGroup(path, fsGroup)
    return { hostPath: path, isReadonly: false }
  }

  /** Claims bound to a path of the node; what needs attaching or a driver is beyond this agent. */
  async function claimed(claimName: string, isReadonly: boolean): Promise<MountedVolume> {
    const claim = await client.get('v1/PersistentVolumeClaim', { namespace: first.metadata?.namespace, name: claimName })
    if (claim.status?.phase !== 'Bound' || !claim.spec?.volumeName) throw new VolumeError(`PVC is not bound`)
    const volume = await client.get('v1/PersistentVolume', { name: claim.spec.volumeName })
    if (volume.spec?.hostPath) return { hostPath: await prepareHostPath(host, volume.spec.hostPath), isReadonly }
    const local = volume.spec?.local?.path
    if (!local) throw new VolumeError(`the kind of persistent volume "${claim.spec.volumeName}" is not supported by this node`)
    if ((await host.pathType(local)) === 'missing') throw new VolumeError(`path "${local}" does not exist`)
    if (fsGroup !== undefined) await host.setGroup(local, fsGroup)
    return { hostPath: local, isReadonly }
  }

  async function setUpOne(volume: Volume, context: ProjectionContext): Promise<MountedVolume> {
    if (volume.image) return { hostPath: '', isReadonly: true }
    if (volume.emptyDir) return mounted.get(volume.name) ?? emptyDir(volume)
    if (volume.hostPath) return mounted.get(volume.name) ?? { hostPath: await prepareHostPath(host, volume.hostPath), isReadonly: false }
    if (volume.persistentVolumeClaim)
      return mounted.get(volume.name) ?? claimed(volume.persistentVolumeClaim.claimName, volume.persistentVolumeClaim.readOnly ?? false)
    if (volume.ephemeral) return mounted.get(volume.name) ?? claimed(`${first.metadata?.name}-${volume.name}`, false)
    for (const name of names(volume, 'configMap')) await objects.get('v1/ConfigMap', name)
    for (const name of names(volume, 'secret')) await objects.get('v1/Secret', name)
    await tokens.refresh(tokenSources(volume))
    return project(volume, context)
  }

  return {
    async setUp(pod, known) {
      const context: ProjectionContext = {
        ...known,
        pod,
        tokenOwner,
        configMap: (name) => objects.known('v1/ConfigMap', name),
        secret: (name) => objects.known('v1/Secret', name),
        token: (source) => tokens.get(source),
      }
      const failures = await Promise.all(
        (pod.spec?.volumes ?? []).map(async (volume): Promise<VolumeFailure | undefined> => {
          try {
            mounted.set(volume.name, await setUpOne(volume, context))
            return undefined
          } catch (error) {
            return { volume: volume.name, message: error instanceof Error ? error.message : String(error) }
          }
        }),
      )
      return failures.filter((failure) => failure !== undefined)
    },
    get: (volume) => mounted.get(volume),
    async mountImage(volume, imageId) {
      const path = `${directory}/volumes/kubernetes.io~image/${volume}`
      if (!containers.mountImage) return { hostPath: '', isReadonly: true, imageId }
      await host.makeDirectory(path, 0o750)
      const isMounted = await containers.mountImage(imageId, path, first.metadata?.uid ?? '')
      return { hostPath: isMounted ? path : '', isReadonly: true, imageId }
    },
    get refreshAtMs() {
      return tokens.refreshAtMs
    },
  }
}

const tokenSources = (volume: Volume): readonly TokenSource[] =>
  (volume.projected?.sources ?? []).flatMap((source) => (source.serviceAccountToken ? [source.serviceAccountToken] : []))

function names(volume: Volume, kind: 'configMap' | 'secret'): readonly string[] {
  const own = kind === 'configMap' ? volume.configMap?.name : volume.secret?.secretName
  return [own, ...(volume.projected?.sources ?? []).map((source) => source[kind]?.name)].filter((name) => name !== undefined)
}

/** The user that every container runs as, if it is one and known. */
function commonUser(pod: Pod): number | undefined {
  const shared = pod.spec?.securityContext?.runAsUser
  const users = new Set(
    [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].map(
      (container) => container.securityContext?.runAsUser ?? shared,
    ),
  )
  return users.size === 1 ? [...users][0] : undefined
}

function sameFiles(a: readonly ProjectedFile[] | undefined, b: readonly ProjectedFile[]): boolean {
  if (!a || a.length !== b.length) return false
  return a.every((file, index) => {
    const other = b[index]!
    return (
      file.path === other.path &&
      file.mode === other.mode &&
      file.data.length === other.data.length &&
      file.data.every((byte, at) => byte === other.data[at])
    )
  })
}
