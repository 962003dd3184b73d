/** When pods must leave because of NoExecute taints of devices that were given to them (KEP-5055). No clock, no I/O. */
import type { Pod } from '../../api/generated/core/v1.ts'
import type { DeviceRequestAllocationResult, DeviceTaint, DeviceToleration, ResourceClaim } from '../../api/generated/resource/v1.ts'
import { timeOf } from '../pods/pod-state.ts'
import { claimNameOf, isClaimOf, NONE } from '../resource-claim/plan.ts'

export type TaintsOf = (device: DeviceRequestAllocationResult) => readonly DeviceTaint[]

/** The least of the times, undefined being none. */
const earlier = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b)

const tolerates = ({ key, operator = 'Equal', value = '', effect }: DeviceToleration, taint: DeviceTaint): boolean => {
  if (effect !== 'NoExecute' || (key && key !== taint.key)) return false
  return operator === 'Exists' || (operator === 'Equal' && value === (taint.value ?? ''))
}

/** Of the tolerations that fit the shortest counts, unless one has no end. */
function taintTime(taint: DeviceTaint, tolerations: readonly DeviceToleration[]): number | undefined {
  const fitting = tolerations.filter((toleration) => tolerates(toleration, taint))
  if (fitting.some(({ tolerationSeconds }) => tolerationSeconds === undefined)) return undefined
  const seconds = fitting.map(({ tolerationSeconds = 0 }) => Math.max(0, tolerationSeconds))
  return (timeOf(taint.timeAdded) ?? 0) + (seconds.length > 0 ? Math.min(...seconds) : 0) * 1000
}

function claimTime({ status }: ResourceClaim, taintsOf: TaintsOf): number | undefined {
  let at: number | undefined
  for (const device of status?.allocation?.devices?.results ?? [])
    for (const taint of taintsOf(device)) if (taint.effect === 'NoExecute') at = earlier(at, taintTime(taint, device.tolerations ?? []))
  return at
}

/** In milliseconds since 1970; undefined when the pod may stay. */
export function evictionTime(pod: Pod, claimNamed: (name: string) => ResourceClaim | undefined, taintsOf: TaintsOf): number | undefined {
  if (!pod.spec?.nodeName) return undefined
  let at: number | undefined
  for (const entry of pod.spec.resourceClaims ?? []) {
    const name = claimNameOf(pod, entry)
    const claim = name === undefined || name === NONE ? undefined : claimNamed(name)
    const isOurs = claim?.status?.reservedFor?.some(({ uid }) => uid === pod.metadata?.uid) ?? false
    if (!claim || !isOurs || (entry.resourceClaimTemplateName !== undefined && !isClaimOf(claim, pod))) continue
    at = earlier(at, claimTime(claim, taintsOf))
  }
  return at
}
