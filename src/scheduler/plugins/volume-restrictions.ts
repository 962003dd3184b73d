/**
 * A claim of access mode ReadWriteOncePod (KEP-2485) serves one pod in the whole cluster at a time, and a disk that a pod names itself
 * (not by a claim) serves one pod of a node at a time, or several that only read.
 */
import type { Volume } from '../../api/generated/core/v1.ts'
import { definePlugin, impossible, insufficient } from '../framework.ts'
import type { NodeInfo } from '../node-info.ts'
import type { PodInfo } from '../pod-info.ts'

const SAME_DISK = insufficient('node(s) had no available disk')

const IN_USE = insufficient(
  'node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod',
)

/** Ways to name a disk: the same one in both, and may both have it? */
const isConflict: readonly ((a: Volume, b: Volume) => boolean)[] = [
  ({ gcePersistentDisk: a }, { gcePersistentDisk: b }) =>
    a !== undefined && b !== undefined && a.pdName === b.pdName && !(a.readOnly && b.readOnly),
  ({ awsElasticBlockStore: a }, { awsElasticBlockStore: b }) => a !== undefined && b !== undefined && a.volumeID === b.volumeID,
  ({ iscsi: a }, { iscsi: b }) => a !== undefined && b !== undefined && a.iqn === b.iqn && !(a.readOnly && b.readOnly),
  ({ rbd: a }, { rbd: b }) =>
    a !== undefined &&
    b !== undefined &&
    a.monitors.some((monitor) => b.monitors.includes(monitor)) &&
    a.pool === b.pool &&
    a.image === b.image &&
    !(a.readOnly && b.readOnly),
]

const namesDisk = ({ gcePersistentDisk, awsElasticBlockStore, iscsi, rbd }: Volume): boolean =>
  Boolean(gcePersistentDisk ?? awsElasticBlockStore ?? iscsi ?? rbd)

const shareDisk = (disks: readonly Volume[], other: PodInfo): boolean =>
  disks.some((disk) => other.pod.spec?.volumes?.some((volume) => isConflict.some((conflicts) => conflicts(disk, volume))))

interface State {
  readonly disks: readonly Volume[]
  readonly claims: ReadonlySet<string>
  readonly namespace: string
  /** How many of them are in use. */
  users: number
}

const uses = ({ claims, namespace }: State, other: PodInfo): boolean =>
  other.namespace === namespace &&
  (other.pod.spec?.volumes?.some((volume) => claims.has(volume.persistentVolumeClaim?.claimName ?? '')) ?? false)

function claimsInUse({ claims, namespace }: State, nodes: readonly NodeInfo[]): number {
  const used = new Set<string>()
  for (const node of nodes)
    for (const { pod, namespace: where } of node.pods)
      if (where === namespace)
        for (const { persistentVolumeClaim } of pod.spec?.volumes ?? [])
          if (persistentVolumeClaim && claims.has(persistentVolumeClaim.claimName)) used.add(persistentVolumeClaim.claimName)
  return used.size
}

export const volumeRestrictions = definePlugin<State>({
  name: 'VolumeRestrictions',
  preFilter({ pod, namespace }, { nodes, view }) {
    const claims = new Set<string>()
    for (const { persistentVolumeClaim } of pod.spec?.volumes ?? []) {
      if (!persistentVolumeClaim) continue
      const claim = view.claim(namespace, persistentVolumeClaim.claimName)
      if (!claim) return { rejection: impossible(`persistentvolumeclaim "${persistentVolumeClaim.claimName}" not found`) }
      if (claim.spec?.accessModes?.includes('ReadWriteOncePod')) claims.add(persistentVolumeClaim.claimName)
    }
    const disks = pod.spec?.volumes?.filter(namesDisk) ?? []
    if (claims.size === 0 && disks.length === 0) return { skip: true }
    const state: State = { disks, claims, namespace, users: 0 }
    // A claim that is in use has one user, as upstream counts; what pods leave is taken off for each.
    if (claims.size > 0) state.users = claimsInUse(state, nodes)
    return { state }
  },
  filter({ disks, users }, _pod, node) {
    if (disks.length > 0 && node.pods.some((other) => shareDisk(disks, other))) return SAME_DISK
    return users > 0 ? IN_USE : undefined
  },
  cloneState: (state) => ({ ...state }),
  adjust(state, _pod, { pod: other, sign }) {
    if (uses(state, other)) state.users += sign
  },
  requeueOn: [{ on: ['pod-deleted', 'node-added', 'claim'] }],
})
