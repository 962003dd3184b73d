/** A claim of access mode ReadWriteOncePod (KEP-2485) serves one pod in the whole cluster at a time. */
import { definePlugin, impossible, insufficient } from '../framework.ts'
import type { PodInfo } from '../pod-info.ts'

const IN_USE = insufficient(
  'node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod',
)

interface State {
  readonly claims: ReadonlySet<string>
  readonly namespace: string
  /** How many pods use one of them. */
  users: number
}

const uses = ({ claims, namespace }: State, other: PodInfo): boolean =>
  other.namespace === namespace &&
  (other.pod.spec?.volumes?.some((volume) => claims.has(volume.persistentVolumeClaim?.claimName ?? '')) ?? false)

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
    if (claims.size === 0) return { skip: true }
    const state: State = { claims, namespace, users: 0 }
    for (const node of nodes) for (const other of node.pods) if (uses(state, other)) state.users++
    return { state }
  },
  filter: ({ users }) => (users > 0 ? IN_USE : undefined),
  cloneState: (state) => ({ ...state }),
  adjust(state, _pod, { pod: other, sign }) {
    if (uses(state, other)) state.users += sign
  },
  requeueOn: [{ on: ['pod-deleted', 'node-added', 'volumes'] }],
})
