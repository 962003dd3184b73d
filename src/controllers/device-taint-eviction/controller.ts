/** Ends pods whose devices have got NoExecute taints that their claims do not tolerate, or no longer. */
import type { Pod } from '../../api/generated/core/v1.ts'
import type { DeviceRequestAllocationResult, DeviceTaint, ResourceClaim, ResourceSlice } from '../../api/generated/resource/v1.ts'
import { keyOf, parseKey } from '../../api/object.ts'
import { isApiError } from '../../api/status.ts'
import { timestamp } from '../../base/clock.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { watch } from '../controller.ts'
import type { Caches, Controller } from '../controller.ts'
import { markDisrupted } from '../pods/disruption.ts'
import { isPodTerminal } from '../pods/pod-state.ts'
import { isPod } from '../resource-claim/plan.ts'
import { evictionTime } from './plan.ts'

const CLAIM = 'resource.k8s.io/v1/ResourceClaim'
const SLICE = 'resource.k8s.io/v1/ResourceSlice'
const POOL_INDEX = 'pool'

const poolOf = ({ driver, pool }: { readonly driver: string; readonly pool: string }): string => `${driver}/${pool}`
const byPool = ({ spec }: ResourceSlice): string => poolOf({ driver: spec.driver, pool: spec.pool.name })
const byPools = ({ status }: ResourceClaim): readonly string[] => status?.allocation?.devices?.results?.map(poolOf) ?? []

const podsOf = ({ metadata, status }: ResourceClaim): readonly string[] =>
  status?.reservedFor?.filter(isPod).map(({ name }) => `${metadata?.namespace}/${name}`) ?? []

const taintsIn = (slice: ResourceSlice | undefined) => slice?.spec.devices?.map(({ name, taints }) => [name, taints ?? []])

/** Of the newest generation of a pool: older slices are on their way out. */
function taintsOf(caches: Caches, device: DeviceRequestAllocationResult): readonly DeviceTaint[] {
  const slices = caches.of(SLICE).byIndex(POOL_INDEX, poolOf(device))
  const newest = Math.max(...slices.map(({ spec }) => spec.pool.generation))
  const current = slices.filter(({ spec }) => spec.pool.generation === newest)
  return current.flatMap(({ spec }) => spec.devices ?? []).find(({ name }) => name === device.device)?.taints ?? []
}

export function createDeviceTaintEviction(): Controller {
  /** Pods whose time is set, so that its end can be told. */
  const waiting = new Set<string>()

  return {
    name: 'device-taint-eviction',
    component: 'device-taint-eviction-controller',
    reads: ['v1/Pod', CLAIM, SLICE],
    writes: ['v1/Pod', 'v1/Pod/status'],
    watches: [
      watch('v1/Pod', ({ type, object, old }) => {
        if (!object.spec?.resourceClaims?.length) return undefined
        const isBound = object.spec.nodeName !== old?.spec?.nodeName
        return type !== 'updated' || isBound || object.status?.resourceClaimStatuses !== old?.status?.resourceClaimStatuses
          ? keyOf(object)
          : undefined
      }),
      watch(CLAIM, ({ object, old }) => [...podsOf(object), ...(old ? podsOf(old) : [])], { [POOL_INDEX]: byPools }),
      watch(
        SLICE,
        ({ type, object, old }, caches) => {
          const isNews = type !== 'updated' || !deepEqual(taintsIn(object), taintsIn(old))
          return isNews ? caches.of(CLAIM).byIndex(POOL_INDEX, byPool(object)).flatMap(podsOf) : undefined
        },
        { [POOL_INDEX]: byPool },
      ),
    ],

    async reconcile(key, { runtime, client, caches, events }) {
      const pod: Pod | undefined = caches.of('v1/Pod').get(key)
      if (!pod || pod.metadata?.deletionTimestamp || isPodTerminal(pod)) {
        waiting.delete(key)
        return
      }
      const { namespace, name, uid } = pod.metadata!
      const about = { kind: 'Pod', apiVersion: 'v1', namespace: namespace!, name: name!, uid: uid! }
      const claimNamed = (claim: string) => caches.of(CLAIM).get(`${namespace}/${claim}`)
      const at = evictionTime(pod, claimNamed, (device) => taintsOf(caches, device))
      if (at === undefined) {
        if (waiting.delete(key)) events.record(about, 'Normal', 'DeviceTaintManagerEviction', 'Cancelling deletion')
        return
      }
      const afterMs = at - runtime.clock.now()
      if (afterMs > 0) {
        waiting.add(key)
        return { afterMs }
      }
      waiting.delete(key)
      events.record(about, 'Normal', 'DeviceTaintManagerEviction', 'Marking for deletion')
      const message = 'Device Taint manager: deleting due to NoExecute taint'
      try {
        await markDisrupted(client, pod, 'DeletionByDeviceTaintManager', message, timestamp(runtime.clock))
        await client.delete('v1/Pod', parseKey(key), { preconditions: { uid: uid! } })
      } catch (error) {
        if (!isApiError(error, 'NotFound')) throw error
      }
    },
  }
}
