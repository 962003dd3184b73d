/** Which volumes of CSI drivers have to be attached to a node, and which no longer. No I/O. */
import type { AttachedVolume, Node, PersistentVolume, Pod } from '../../api/generated/core/v1.ts'
import type { VolumeAttachment } from '../../api/generated/storage/v1.ts'
import { findCondition } from '../conditions.ts'

const PLUGIN_PREFIX = 'kubernetes.io/csi/'
const OUT_OF_SERVICE = 'node.kubernetes.io/out-of-service'
/** After this time a volume is taken from a node that is not ready, although it may still be mounted there. */
const MAX_UNMOUNT_WAIT_MS = 360_000

/** A volume that pods on the node use. */
export interface WantedVolume {
  readonly volume: PersistentVolume
  readonly pods: readonly Pod[]
}

export interface AttachInput {
  readonly node: Node
  readonly wanted: readonly WantedVolume[]
  /** Of this node. */
  readonly attachments: readonly VolumeAttachment[]
  /** Of the same volume, of whatever node. */
  readonly attachmentsOf: (volume: PersistentVolume) => readonly VolumeAttachment[]
  readonly volumeNamed: (name: string) => PersistentVolume | undefined
  /** Since when an attachment is no longer wanted. */
  readonly unwantedSinceMs: (attachment: VolumeAttachment) => number
  readonly nowMs: number
}

export interface AttachPlan {
  readonly attach: readonly WantedVolume[]
  /** They wait for another node to let go. */
  readonly blocked: readonly { readonly wanted: WantedVolume; readonly by: readonly VolumeAttachment[] }[]
  /** First they leave the node's status, then they are deleted. */
  readonly detach: readonly VolumeAttachment[]
  readonly volumesAttached: readonly AttachedVolume[]
  readonly afterMs: number | undefined
}

/** As kubelets and the scheduler name it. */
export const uniqueNameOf = ({ spec }: PersistentVolume): string => `${PLUGIN_PREFIX}${spec?.csi?.driver}^${spec?.csi?.volumeHandle}`

const isShared = ({ spec }: PersistentVolume): boolean =>
  spec?.accessModes?.some((mode) => mode === 'ReadWriteMany' || mode === 'ReadOnlyMany') ?? false

const volumeNameOf = ({ spec }: VolumeAttachment): string => spec.source.persistentVolumeName ?? ''

export function planAttachments(input: AttachInput): AttachPlan {
  const { node, wanted, attachments } = input
  const here = new Map(attachments.map((attachment) => [volumeNameOf(attachment), attachment]))
  const wantedNames = new Set(wanted.map(({ volume }) => volume.metadata!.name!))
  const attach: WantedVolume[] = []
  const blocked: AttachPlan['blocked'][number][] = []
  for (const one of wanted) {
    if (here.has(one.volume.metadata!.name!)) continue
    const by = isShared(one.volume) ? [] : input.attachmentsOf(one.volume).filter(({ spec }) => spec.nodeName !== node.metadata?.name)
    if (by.length > 0) blocked.push({ wanted: one, by })
    else attach.push(one)
  }
  let afterMs: number | undefined
  const detach: VolumeAttachment[] = []
  for (const attachment of attachments) {
    if (attachment.metadata?.deletionTimestamp || wantedNames.has(volumeNameOf(attachment))) continue
    const waitMs = unmountWaitMs(input, attachment)
    if (waitMs === 0) detach.push(attachment)
    else if (waitMs < Infinity) afterMs = Math.min(afterMs ?? Infinity, waitMs)
  }
  return { attach, blocked, detach, volumesAttached: attachedAfter(input, detach), afterMs }
}

/** How long a volume must stay although no pod wants it: as long as the node has it mounted. */
function unmountWaitMs({ node, volumeNamed, unwantedSinceMs, nowMs }: AttachInput, attachment: VolumeAttachment): number {
  const volume = volumeNamed(volumeNameOf(attachment))
  const isMounted = volume !== undefined && (node.status?.volumesInUse ?? []).includes(uniqueNameOf(volume))
  if (!isMounted || node.spec?.taints?.some(({ key }) => key === OUT_OF_SERVICE)) return 0
  if (findCondition(node.status?.conditions, 'Ready')?.status === 'True') return Infinity
  return Math.max(0, unwantedSinceMs(attachment) + MAX_UNMOUNT_WAIT_MS - nowMs)
}

/** The node's list: others' entries stay, ours are those that are attached and are not being taken away. */
function attachedAfter({ node, attachments, volumeNamed }: AttachInput, detach: readonly VolumeAttachment[]): readonly AttachedVolume[] {
  const current = node.status?.volumesAttached ?? []
  const attached = attachments
    .filter((attachment) => attachment.status?.attached && !attachment.metadata?.deletionTimestamp && !detach.includes(attachment))
    .flatMap((attachment) => volumeNamed(volumeNameOf(attachment)) ?? [])
    .map(uniqueNameOf)
  const kept = current.filter(({ name }) => !name.startsWith(PLUGIN_PREFIX) || attached.includes(name))
  const added = attached.filter((name) => !kept.some((entry) => entry.name === name))
  return kept.length === current.length && added.length === 0 ? current : [...kept, ...added.map((name) => ({ name, devicePath: '' }))]
}
