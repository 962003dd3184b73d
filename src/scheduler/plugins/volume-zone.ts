/** A volume that is labelled with a zone or region can be reached only from nodes of that zone or region. */
import type { PersistentVolume, Pod } from '../../api/generated/core/v1.ts'
import type { ClusterView } from '../cluster-view.ts'
import { definePlugin, impossible } from '../framework.ts'
import type { Rejection } from '../framework.ts'
import { classOf } from '../volumes.ts'

const REFUSED = impossible('node(s) had no available volume zone')

/** The labels, and what nodes may call those of old instead. */
const TOPOLOGY_LABELS: readonly (readonly [label: string, current: string])[] = [
  ['failure-domain.beta.kubernetes.io/zone', 'topology.kubernetes.io/zone'],
  ['failure-domain.beta.kubernetes.io/region', 'topology.kubernetes.io/region'],
  ['topology.kubernetes.io/zone', 'topology.kubernetes.io/zone'],
  ['topology.kubernetes.io/region', 'topology.kubernetes.io/region'],
]

/** Several zones are joined by two underscores; a label with an empty one among them says nothing. */
const ZONE_DELIMITER = '__'

interface Topology {
  readonly label: string
  readonly current: string
  readonly values: ReadonlySet<string>
}

function topologiesOf({ metadata }: PersistentVolume): readonly Topology[] {
  const found: Topology[] = []
  for (const [label, current] of TOPOLOGY_LABELS) {
    const zones = metadata?.labels?.[label]?.split(ZONE_DELIMITER).map((zone) => zone.trim())
    if (zones?.every(Boolean)) found.push({ label, current, values: new Set(zones) })
  }
  return found
}

/** The topologies of all bound volumes, or why the pod cannot be placed anywhere. */
function topologiesOfPod(pod: Pod, view: ClusterView): readonly Topology[] | Rejection {
  const found: Topology[] = []
  for (const { persistentVolumeClaim } of pod.spec?.volumes ?? []) {
    if (!persistentVolumeClaim) continue
    const { claimName } = persistentVolumeClaim
    const claim = view.claim(pod.metadata?.namespace ?? '', claimName)
    if (!claim) return impossible(`persistentvolumeclaim "${claimName}" not found`)
    const volumeName = claim.spec?.volumeName
    if (!volumeName) {
      const className = classOf(claim)
      if (!className) return impossible('PersistentVolumeClaim had no pv name and storageClass name')
      const storageClass = view.storageClass(className)
      if (!storageClass) return impossible(`storageclass.storage.k8s.io "${className}" not found`)
      if (storageClass.volumeBindingMode === undefined) return impossible(`VolumeBindingMode not set for StorageClass "${className}"`)
      if (storageClass.volumeBindingMode !== 'WaitForFirstConsumer') return impossible('PersistentVolume had no name')
      continue
    }
    const volume = view.volume(volumeName)
    if (!volume) return impossible(`persistentvolume "${volumeName}" not found`)
    found.push(...topologiesOf(volume))
  }
  return found
}

export const volumeZone = definePlugin<readonly Topology[]>({
  name: 'VolumeZone',
  preFilter({ pod }, { view }) {
    const topologies = topologiesOfPod(pod, view)
    if ('reasons' in topologies) return { rejection: topologies }
    return topologies.length === 0 ? { skip: true } : { state: topologies }
  },
  filter(topologies, _pod, { labels }) {
    // A cluster of a single zone need not label its nodes.
    if (!TOPOLOGY_LABELS.some(([label]) => labels[label] !== undefined)) return undefined
    for (const { label, current, values } of topologies) {
      const value = labels[label] ?? labels[current]
      if (value === undefined || !values.has(value)) return REFUSED
    }
    return undefined
  },
  requeueOn: [{ on: ['node-added', 'node-labels', 'claim', 'volume', 'storage-class'] }],
})
