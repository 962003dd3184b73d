/** The files of configMap, secret, downwardAPI and projected volumes, from the objects they project. Pure. */
import type { ConfigMap, DownwardAPIVolumeFile, KeyToPath, Secret, Volume, VolumeProjection } from '../../api/generated/core/v1.ts'
import { fieldValue, resourceValue, type DownwardContext } from '../downward.ts'
import { decodeBase64 } from '../environment.ts'
import type { ProjectedFile } from '../host.ts'

/** What a volume needs is not there: the pod waits. */
export class VolumeError extends Error {
  override readonly name = 'VolumeError'
}

export interface ProjectionContext extends DownwardContext {
  configMap(name: string): ConfigMap | undefined
  secret(name: string): Secret | undefined
  /** The token that was requested for this projection. */
  token(source: NonNullable<VolumeProjection['serviceAccountToken']>): string
  /** The user that owns token files: set when all containers run as one. */
  readonly tokenOwner: number | undefined
}

const DEFAULT_MODE = 0o644
const encoder = new TextEncoder()

function pick(
  data: ReadonlyMap<string, Uint8Array>,
  items: readonly KeyToPath[] | undefined,
  defaultMode: number,
  isOptional: boolean | undefined,
  complaint: (key: string) => string,
): ProjectedFile[] {
  if (!items?.length) return [...data].map(([path, bytes]) => ({ path, data: bytes, mode: defaultMode }))
  const files: ProjectedFile[] = []
  for (const { key, path, mode } of items) {
    const bytes = data.get(key)
    if (bytes) files.push({ path, data: bytes, mode: mode ?? defaultMode })
    else if (!isOptional) throw new VolumeError(complaint(key))
  }
  return files
}

const configMapData = (object: ConfigMap | undefined): Map<string, Uint8Array> =>
  new Map([
    ...Object.entries(object?.data ?? {}).map(([key, value]) => [key, encoder.encode(value)] as const),
    ...Object.entries(object?.binaryData ?? {}).map(([key, value]) => [key, decodeBase64(value)] as const),
  ])

const secretData = (object: Secret | undefined): Map<string, Uint8Array> =>
  new Map(Object.entries(object?.data ?? {}).map(([key, value]) => [key, decodeBase64(value)]))

interface MapSource {
  readonly name: string
  readonly items?: readonly KeyToPath[] | undefined
  readonly optional?: boolean | undefined
}

function configMapFiles(source: MapSource, mode: number, context: ProjectionContext): ProjectedFile[] {
  const object = context.configMap(source.name)
  if (!object && !source.optional) throw new VolumeError(`configmap "${source.name}" not found`)
  return pick(configMapData(object), source.items, mode, source.optional, (key) => `configmap references non-existent config key: ${key}`)
}

function secretFiles(source: MapSource, mode: number, context: ProjectionContext): ProjectedFile[] {
  const object = context.secret(source.name)
  if (!object && !source.optional) throw new VolumeError(`secret "${source.name}" not found`)
  return pick(secretData(object), source.items, mode, source.optional, (key) => `references non-existent secret key: ${key}`)
}

function downwardFiles(items: readonly DownwardAPIVolumeFile[] | undefined, mode: number, context: ProjectionContext): ProjectedFile[] {
  return (items ?? []).map((item) => {
    let text: string | undefined
    if (item.fieldRef) text = fieldValue(item.fieldRef, context)
    else if (item.resourceFieldRef) {
      const { containerName } = item.resourceFieldRef
      const containers = [...(context.pod.spec?.containers ?? []), ...(context.pod.spec?.initContainers ?? [])]
      const container = containers.find(({ name }) => name === containerName)
      if (!container) throw new VolumeError(`container ${containerName} not found`)
      text = resourceValue(item.resourceFieldRef, container, context)
    }
    if (text === undefined) throw new VolumeError(`unsupported fieldPath: ${item.fieldRef?.fieldPath}`)
    return { path: item.path, data: encoder.encode(text), mode: item.mode ?? mode }
  })
}

function projectionFiles(source: VolumeProjection, mode: number, context: ProjectionContext): ProjectedFile[] {
  if (source.configMap) return configMapFiles({ ...source.configMap, name: source.configMap.name ?? '' }, mode, context)
  if (source.secret) return secretFiles({ ...source.secret, name: source.secret.name ?? '' }, mode, context)
  if (source.downwardAPI) return downwardFiles(source.downwardAPI.items, mode, context)
  if (source.serviceAccountToken) {
    const { tokenOwner, pod } = context
    const isPrivate = tokenOwner !== undefined || pod.spec?.securityContext?.fsGroup !== undefined
    const data = encoder.encode(context.token(source.serviceAccountToken))
    return [
      {
        path: source.serviceAccountToken.path,
        data,
        mode: isPrivate ? 0o600 : mode,
        ...(tokenOwner === undefined ? {} : { uid: tokenOwner }),
      },
    ]
  }
  throw new VolumeError(`projected source ${Object.keys(source)[0] ?? 'without a kind'} is not supported by this node`)
}

/** Undefined when the volume is none of files that the node writes. A later source wins over an earlier one of the same path. */
export function projectedFiles(volume: Volume, context: ProjectionContext): readonly ProjectedFile[] | undefined {
  const { configMap, secret, downwardAPI, projected } = volume
  if (configMap) return configMapFiles({ ...configMap, name: configMap.name ?? '' }, configMap.defaultMode ?? DEFAULT_MODE, context)
  if (secret) return secretFiles({ ...secret, name: secret.secretName ?? '' }, secret.defaultMode ?? DEFAULT_MODE, context)
  if (downwardAPI) return downwardFiles(downwardAPI.items, downwardAPI.defaultMode ?? DEFAULT_MODE, context)
  if (!projected) return undefined
  const files = new Map<string, ProjectedFile>()
  for (const source of projected.sources ?? [])
    for (const file of projectionFiles(source, projected.defaultMode ?? DEFAULT_MODE, context)) files.set(file.path, file)
  return [...files.values()]
}
