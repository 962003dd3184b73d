/** Says of a claim that has grown that its driver's resizer is to enlarge the volume: upstream's own volumes that could are all gone. */
import type { PersistentVolumeClaim } from '../../api/generated/core/v1.ts'
import { keyOf } from '../../api/object.ts'
import { compareQuantities } from '../../api/quantity.ts'
import { referenceTo } from '../../client/object-reference.ts'
import { read, watch } from '../controller.ts'
import type { Controller } from '../controller.ts'

const CLAIM = 'v1/PersistentVolumeClaim'
const VOLUME = 'v1/PersistentVolume'

const requestOf = ({ spec }: PersistentVolumeClaim): string => spec?.resources?.requests?.['storage'] ?? '0'

export const isGrown = (claim: PersistentVolumeClaim): boolean =>
  claim.status?.phase === 'Bound' && compareQuantities(requestOf(claim), claim.status.capacity?.['storage'] ?? '0') > 0

export const volumeExpander: Controller = {
  name: 'volume-expander',
  component: 'expand-controller',
  eventSource: 'volume_expand',
  reads: [CLAIM, VOLUME],
  writes: [],
  watches: [
    watch(CLAIM, ({ type, object, old }) => {
      const isNews = type === 'added' || (old !== undefined && requestOf(old) !== requestOf(object))
      return type !== 'deleted' && isNews && isGrown(object) ? keyOf(object) : undefined
    }),
    read(VOLUME),
  ],
  async reconcile(key, { caches, events }) {
    const claim = caches.of(CLAIM).get(key)
    const volume = claim && caches.of(VOLUME).get(claim.spec?.volumeName ?? '')
    if (!claim || !volume || !isGrown(claim) || volume.spec?.claimRef?.uid !== claim.metadata?.uid) return
    const type = volume.spec?.csi ? 'Normal' : 'Warning'
    events.record(referenceTo(CLAIM, claim), type, 'ExternalExpanding', 'waiting for an external controller to expand this PVC')
  },
}
