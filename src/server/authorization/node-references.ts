/**
 * What the pods of a node use, and so what the node may read (plugin/pkg/auth/authorizer/node/graph.go). Only what was decided by others
 * than the node counts: a mirror pod, which the node itself has made, gives it nothing, and a volume is a claim's only when the volume
 * says so too.
 */
import type { PersistentVolume, Pod, PodSpec, Volume } from '../../api/generated/core/v1.ts'
import type { Reader } from '../resource.ts'

export interface Reference {
  readonly namespace: string
  readonly name: string
}

/** Of a pod, the objects of one kind that it uses. */
export type ReferencesOf = (pod: Pod, read: Reader) => readonly Reference[]

const MIRROR = 'kubernetes.io/config.mirror'

export const isMirror = ({ metadata }: Pod): boolean => metadata?.annotations?.[MIRROR] !== undefined

/** Names in the pod's own namespace. */
const inNamespaceOf = ({ metadata }: Pod, names: readonly (string | undefined)[]): readonly Reference[] =>
  names.filter((name) => name !== undefined && name !== '').map((name) => ({ namespace: metadata!.namespace!, name: name! }))

const containersOf = ({ containers, initContainers = [], ephemeralContainers = [] }: PodSpec) => [
  ...containers,
  ...initContainers,
  ...ephemeralContainers,
]

interface AnySource {
  readonly secretName?: string
  readonly secretNamespace?: string
  readonly secretRef?: { readonly name?: string; readonly namespace?: string }
}

/** Volume sources name secrets alike, whatever their kind: `secretName`, `secretRef`, and `nodePublishSecretRef` of CSI. */
function secretsOfVolume(volume: Volume): readonly (string | undefined)[] {
  const sources = Object.values(volume).filter((value): value is AnySource => typeof value === 'object' && value !== null)
  return [
    ...sources.flatMap(({ secretName, secretRef }) => [secretName, secretRef?.name]),
    volume.csi?.nodePublishSecretRef?.name,
    ...(volume.projected?.sources ?? []).map((source) => source.secret?.name),
  ]
}

export const secretsOf: ReferencesOf = (pod, read) => {
  const spec = pod.spec!
  const own = [
    ...(spec.imagePullSecrets ?? []).map(({ name }) => name),
    ...(spec.volumes ?? []).flatMap(secretsOfVolume),
    ...containersOf(spec).flatMap(({ env = [], envFrom = [] }) => [
      ...env.map(({ valueFrom }) => valueFrom?.secretKeyRef?.name),
      ...envFrom.map(({ secretRef }) => secretRef?.name),
    ]),
  ]
  return [...inNamespaceOf(pod, own), ...boundVolumes(pod, read).flatMap(secretsOfPersistentVolume)]
}

/** Those that a kubelet is to see; the secrets of controllers are not among them. */
function secretsOfPersistentVolume({ spec = {} }: PersistentVolume): readonly Reference[] {
  const fallback = spec.claimRef?.namespace ?? ''
  const sources = Object.values(spec).filter(
    (value): value is AnySource => typeof value === 'object' && value !== null && !Array.isArray(value),
  )
  const { csi } = spec
  const found = [
    ...sources.map(({ secretName, secretNamespace }) => ({ name: secretName, namespace: secretNamespace })),
    ...sources.map(({ secretRef }) => secretRef),
    csi?.nodePublishSecretRef,
    csi?.nodeStageSecretRef,
    csi?.nodeExpandSecretRef,
  ]
  return found.filter((ref) => ref?.name).map((ref) => ({ namespace: ref!.namespace || fallback, name: ref!.name! }))
}

export const configMapsOf: ReferencesOf = (pod) => {
  const { volumes = [] } = pod.spec!
  return inNamespaceOf(pod, [
    ...volumes.flatMap(({ configMap, projected }) => [
      configMap?.name,
      ...(projected?.sources ?? []).map((source) => source.configMap?.name),
    ]),
    ...containersOf(pod.spec!).flatMap(({ env = [], envFrom = [] }) => [
      ...env.map(({ valueFrom }) => valueFrom?.configMapKeyRef?.name),
      ...envFrom.map(({ configMapRef }) => configMapRef?.name),
    ]),
  ])
}

/** A claim of an ephemeral volume is named after the pod and the volume. */
export const claimsOf: ReferencesOf = (pod) =>
  inNamespaceOf(
    pod,
    (pod.spec!.volumes ?? []).map(({ name, persistentVolumeClaim, ephemeral }) =>
      ephemeral ? `${pod.metadata!.name}-${name}` : persistentVolumeClaim?.claimName,
    ),
  )

const boundVolumes = (pod: Pod, read: Reader): readonly PersistentVolume[] =>
  claimsOf(pod, read).flatMap(({ namespace, name }) => {
    const volumeName = read.get('v1/PersistentVolumeClaim', namespace, name)?.spec?.volumeName
    const volume = volumeName ? read.get('v1/PersistentVolume', undefined, volumeName) : undefined
    const of = volume?.spec?.claimRef
    // Anybody may write a volume's name into a claim.
    return volume && of?.namespace === namespace && of.name === name ? [volume] : []
  })

export const volumesOf: ReferencesOf = (pod, read) =>
  boundVolumes(pod, read).map(({ metadata }) => ({ namespace: '', name: metadata!.name! }))

export const accountsOf: ReferencesOf = (pod) => inNamespaceOf(pod, [pod.spec!.serviceAccountName])

export const resourceClaimsOf: ReferencesOf = (pod) =>
  inNamespaceOf(pod, [
    ...(pod.spec!.resourceClaims ?? []).map(({ resourceClaimName }) => resourceClaimName),
    ...(pod.status?.resourceClaimStatuses ?? []).map(({ resourceClaimName }) => resourceClaimName),
    pod.status?.extendedResourceClaimStatus?.resourceClaimName,
  ])
