/** How many pods each ReplicaSet of a Deployment should have: the arithmetic of rolling updates and of scaling in their midst. */
import type { Deployment } from '../../api/generated/apps/v1.ts'
import { scaledValue } from '../int-or-percent.ts'
import type { SetDraft } from './draft.ts'
import { MAX_REPLICAS, rememberedSize } from './revisions.ts'

export const replicasOf = (deployment: Deployment): number => deployment.spec?.replicas ?? 1
export const isRollingUpdate = (deployment: Deployment): boolean => (deployment.spec?.strategy?.type ?? 'RollingUpdate') === 'RollingUpdate'

/** Both limits as numbers. Where both come to zero one pod may be missing, or no update could ever proceed. */
function fenceposts(deployment: Deployment): { surge: number; unavailable: number } {
  const { maxSurge, maxUnavailable } = deployment.spec?.strategy?.rollingUpdate ?? {}
  const surge = scaledValue(maxSurge, replicasOf(deployment), 'up')
  const unavailable = scaledValue(maxUnavailable, replicasOf(deployment), 'down')
  return { surge, unavailable: surge === 0 && unavailable === 0 ? 1 : unavailable }
}

export const maxSurgeOf = (deployment: Deployment): number => (isRollingUpdate(deployment) ? fenceposts(deployment).surge : 0)

export function maxUnavailableOf(deployment: Deployment): number {
  const replicas = replicasOf(deployment)
  return isRollingUpdate(deployment) && replicas > 0 ? Math.min(fenceposts(deployment).unavailable, replicas) : 0
}

const sum = (drafts: readonly SetDraft[], value: (draft: SetDraft) => number): number =>
  drafts.reduce((total, draft) => total + value(draft), 0)
export const wantedIn = (drafts: readonly SetDraft[]): number => sum(drafts, (draft) => draft.replicas)
export const availableIn = (drafts: readonly SetDraft[]): number => sum(drafts, (draft) => draft.set.status?.availableReplicas ?? 0)

/** The size of the new set in this step of a rollout: as far as the surge allows. */
export function newSetSize(deployment: Deployment, all: readonly SetDraft[], newSet: SetDraft): number {
  const replicas = replicasOf(deployment)
  if (!isRollingUpdate(deployment)) return replicas
  const room = replicas + scaledValue(deployment.spec?.strategy?.rollingUpdate?.maxSurge, replicas, 'up') - wantedIn(all)
  return room <= 0 ? newSet.replicas : newSet.replicas + Math.min(room, replicas - newSet.replicas)
}

/** How many pods of old sets may go in this step, so that enough stay available. */
export function scaleDownOldSets(
  deployment: Deployment,
  all: readonly SetDraft[],
  oldActive: readonly SetDraft[],
  newSet: SetDraft,
  scale: (draft: SetDraft, replicas: number) => void,
): void {
  const minAvailable = replicasOf(deployment) - maxUnavailableOf(deployment)
  // Pods of the new set that are not available yet must not lead to more old ones going.
  const newUnavailable = newSet.replicas - (newSet.set.status?.availableReplicas ?? 0)
  let mayClean = wantedIn(all) - minAvailable - newUnavailable
  if (mayClean <= 0) return
  // Pods that are not available go first: that costs nothing, and they might block the update for ever.
  for (const draft of oldActive) {
    const unhealthy = Math.min(mayClean, draft.replicas - (draft.set.status?.availableReplicas ?? 0))
    if (mayClean <= 0 || unhealthy <= 0) continue
    scale(draft, draft.replicas - unhealthy)
    mayClean -= unhealthy
  }
  let surplus = availableIn([...oldActive, newSet]) - minAvailable
  for (const draft of oldActive) {
    const count = Math.min(draft.replicas, surplus)
    if (count <= 0) continue
    scale(draft, draft.replicas - count)
    surplus -= count
  }
}

/** Spreads a change of the Deployment's size over its active sets in proportion to theirs. `active` comes by age, oldest first. */
export function scaleProportionally(
  deployment: Deployment,
  active: readonly SetDraft[],
  scale: (draft: SetDraft, replicas: number) => void,
): void {
  const replicas = replicasOf(deployment)
  const allowed = replicas > 0 ? replicas + maxSurgeOf(deployment) : 0
  const toAdd = allowed - wantedIn(active)
  // The largest first; among equals the newest when growing, the oldest when shrinking.
  const sorted = (toAdd > 0 ? active.toReversed() : active).toSorted((a, b) => b.replicas - a.replicas)
  let added = 0
  const sizes = sorted.map((draft) => {
    const part = toAdd === added ? 0 : proportionOf(deployment, draft)
    const bounded = toAdd > 0 ? Math.min(part, toAdd - added) : toAdd < 0 ? Math.max(part, toAdd - added) : 0
    added += bounded
    return draft.replicas + bounded
  })
  for (const [i, draft] of sorted.entries()) scale(draft, i === 0 ? Math.max(0, sizes[0]! + toAdd - added) : sizes[i]!)
}

/** What a set gains or loses, from the size that the Deployment had when the set was last scaled. */
function proportionOf(deployment: Deployment, draft: SetDraft): number {
  const replicas = replicasOf(deployment)
  if (replicas === 0) return -draft.replicas
  const before = rememberedSize(draft.annotations, MAX_REPLICAS) || (deployment.status?.replicas ?? 0)
  if (before === 0) return 0
  const size = (draft.replicas * (replicas + maxSurgeOf(deployment))) / before
  return Math.round(size) - draft.replicas
}
