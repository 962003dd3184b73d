/**
 * Decides the next step of a Deployment from a snapshot of it and its ReplicaSets. No clock, no I/O. A rollout is many small
 * steps, each planned anew from what the last one led to; nothing is remembered between them.
 */
import type { Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet } from '../../api/generated/apps/v1.ts'
import type { Pod } from '../../api/generated/core/v1.ts'
import { controllerReference } from '../../client/object-reference.ts'
import { findCondition, withCondition } from '../conditions.ts'
import { isPodTerminal } from '../pods/pod-state.ts'
import { draftOf } from './draft.ts'
import type { SetDraft } from './draft.ts'
import { annotationsOfNewSet, DESIRED_REPLICAS, rememberedSize, REVISION, revisionOfSet, withSizes } from './revisions.ts'
import { isRollingUpdate, maxSurgeOf, newSetSize, replicasOf, scaleDownOldSets, scaleProportionally } from './scaling.ts'
import {
  conditionOf,
  countStatus,
  hasProgressDeadline,
  isComplete,
  pausedConditions,
  progressCheckMs,
  revisionHistoryLimitOf,
  rolloutStatus,
} from './status.ts'
import type { Now } from './status.ts'
import { HASH_LABEL, hashOf, isSameTemplate } from './template-hash.ts'

export interface DeploymentInput {
  readonly deployment: Deployment
  /** The sets that it owns. */
  readonly sets: readonly ReplicaSet[]
  /** The pods of a set, for the Recreate strategy. */
  readonly podsOf: (set: ReplicaSet) => readonly Pod[]
  readonly now: Now
}

export interface DeploymentPlan {
  /** The new set as a draft with `isNew` and existing ones that change, in the order in which to write them. */
  readonly writes: readonly SetDraft[]
  /** Old sets that history no longer needs. */
  readonly delete: readonly ReplicaSet[]
  /** The Deployment's own revision; undefined when it stays. */
  readonly revision: string | undefined
  readonly status: DeploymentStatus
  readonly afterMs: number | undefined
}

const SUBDOMAIN_MAX_LENGTH = 253

const byAge = (a: ReplicaSet, b: ReplicaSet): number => {
  const [timeA = '', timeB = ''] = [a.metadata?.creationTimestamp, b.metadata?.creationTimestamp]
  if (timeA !== timeB) return timeA < timeB ? -1 : 1
  return (a.metadata?.name ?? '') < (b.metadata?.name ?? '') ? -1 : 1
}

const byRevision = (a: ReplicaSet, b: ReplicaSet): number => {
  const difference = revisionOfSet(a) - revisionOfSet(b)
  return difference === 0n ? byAge(a, b) : difference < 0n ? -1 : 1
}

export function planDeployment({ deployment, sets, podsOf, now }: DeploymentInput): DeploymentPlan {
  const drafts = sets.toSorted(byAge).map(draftOf)
  const existing = drafts.find((draft) => isSameTemplate(draft.set.spec?.template, deployment.spec?.template))
  const old = drafts.filter((draft) => draft !== existing)
  const step = new Step(deployment, old, existing, now)

  if (deployment.metadata?.deletionTimestamp) return step.plan(step.counted())
  step.conditions = pausedConditions(deployment, now)
  step.syncNewSet()
  if (deployment.spec?.paused) {
    step.scale()
    return step.plan(step.counted(), step.superfluous())
  }
  if (step.isScaling()) {
    step.scale()
    return step.plan(step.counted())
  }
  if (isRollingUpdate(deployment)) step.rollOver()
  else step.recreate(podsOf)
  return step.planRollout()
}

/** One step in the making: drafts of the sets are changed until the plan is taken from them. */
class Step {
  conditions: readonly DeploymentCondition[] | undefined
  readonly #deployment: Deployment
  readonly #old: readonly SetDraft[]
  #newSet: SetDraft | undefined
  readonly #now: Now
  #hasScaled = false
  #isWaiting = false

  constructor(deployment: Deployment, old: readonly SetDraft[], newSet: SetDraft | undefined, now: Now) {
    this.#deployment = deployment
    this.#old = old
    this.#newSet = newSet
    this.#now = now
    this.conditions = deployment.status?.conditions
  }

  get #all(): readonly SetDraft[] {
    return this.#newSet ? [...this.#old, this.#newSet] : this.#old
  }

  get #nextRevision(): bigint {
    return this.#old.reduce((highest, { set }) => (revisionOfSet(set) > highest ? revisionOfSet(set) : highest), 0n) + 1n
  }

  readonly #scaleTo = (draft: SetDraft, replicas: number): void => {
    if (draft.replicas === replicas) return
    draft.replicas = replicas
    this.#rememberSizes(draft)
    this.#hasScaled = true
  }

  #rememberSizes(draft: SetDraft): void {
    const replicas = replicasOf(this.#deployment)
    draft.annotations = withSizes(draft.annotations, replicas, replicas + maxSurgeOf(this.#deployment))
  }

  /** Brings the annotations of the set that is wanted up to date, and takes its revision over. */
  syncNewSet(): void {
    const newSet = this.#newSet
    if (!newSet) return
    newSet.annotations = annotationsOfNewSet(this.#deployment, newSet.annotations, this.#nextRevision)
    newSet.minReadySeconds = this.#deployment.spec?.minReadySeconds ?? 0
    if (hasProgressDeadline(this.#deployment) && !findCondition(this.conditions, 'Progressing')) {
      const message = `Found new replica set "${newSet.set.metadata?.name}"`
      this.conditions = withCondition(this.conditions, conditionOf('Progressing', 'True', 'FoundNewReplicaSet', message, this.#now))
    }
  }

  /** Whether the Deployment's size has changed since its sets were last scaled. */
  isScaling(): boolean {
    return this.#all.some((draft) => {
      const desired = draft.replicas > 0 ? rememberedSize(draft.annotations, DESIRED_REPLICAS) : undefined
      return desired !== undefined && desired !== replicasOf(this.#deployment)
    })
  }

  scale(): void {
    const replicas = replicasOf(this.#deployment)
    const active = this.#all.filter((draft) => draft.replicas > 0)
    if (active.length <= 1) {
      const only = active[0] ?? this.#newSet ?? this.#old.at(-1)
      if (only) this.#scaleTo(only, replicas)
      return
    }
    if (this.#isSaturated()) {
      for (const draft of active) if (draft !== this.#newSet) this.#scaleTo(draft, 0)
      return
    }
    if (!isRollingUpdate(this.#deployment)) return
    scaleProportionally(
      this.#deployment,
      active.toSorted((a, b) => byAge(a.set, b.set)),
      (draft, size) => {
        this.#scaleTo(draft, size)
        // Also those that keep their size must remember the new one of the Deployment, or it would seem to change for ever.
        this.#rememberSizes(draft)
      },
    )
  }

  /** Whether the new set alone makes up the Deployment. */
  #isSaturated(): boolean {
    const newSet = this.#newSet
    const replicas = replicasOf(this.#deployment)
    if (!newSet || newSet.replicas !== replicas || newSet.set.status?.availableReplicas !== replicas) return false
    return rememberedSize(newSet.annotations, DESIRED_REPLICAS) === replicas
  }

  rollOver(): void {
    this.#createNewSet()
    const newSet = this.#newSet!
    const replicas = replicasOf(this.#deployment)
    if (newSet.isNew) return
    if (newSet.replicas !== replicas) {
      this.#scaleTo(newSet, newSet.replicas > replicas ? replicas : newSetSize(this.#deployment, this.#all, newSet))
      if (this.#hasScaled) return
    }
    const oldActive = this.#old.filter((draft) => draft.replicas > 0)
    if (oldActive.length > 0) scaleDownOldSets(this.#deployment, this.#all, oldActive, newSet, this.#scaleTo)
  }

  recreate(podsOf: (set: ReplicaSet) => readonly Pod[]): void {
    for (const draft of this.#old) this.#scaleTo(draft, 0)
    if (this.#hasScaled) return
    const isRunning = this.#old.some(
      (draft) => (draft.set.status?.replicas ?? 0) > 0 || podsOf(draft.set).some((pod) => !isPodTerminal(pod)),
    )
    this.#isWaiting = isRunning
    if (isRunning) return
    this.#createNewSet()
    this.#scaleTo(this.#newSet!, replicasOf(this.#deployment))
  }

  #createNewSet(): void {
    if (this.#newSet) return
    const { metadata, spec, status } = this.#deployment
    const hash = hashOf(spec!.template, status?.collisionCount)
    const labels = { ...spec!.template.metadata?.labels, [HASH_LABEL]: hash }
    const set: ReplicaSet = {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: {
        name: `${metadata!.name!.slice(0, SUBDOMAIN_MAX_LENGTH - 1 - hash.length)}-${hash}`,
        namespace: metadata!.namespace!,
        ownerReferences: [controllerReference('apps/v1/Deployment', this.#deployment)],
        labels,
      },
      spec: {
        replicas: 0,
        selector: { ...spec!.selector, matchLabels: { ...spec!.selector.matchLabels, [HASH_LABEL]: hash } },
        template: { ...spec!.template, metadata: { ...spec!.template.metadata, labels } },
      },
    }
    const draft: SetDraft = { ...draftOf(set), isNew: true, minReadySeconds: spec!.minReadySeconds ?? 0 }
    draft.replicas = newSetSize(this.#deployment, [...this.#old, draft], draft)
    draft.annotations = annotationsOfNewSet(this.#deployment, draft.annotations, this.#nextRevision)
    this.#rememberSizes(draft)
    this.#newSet = draft
    if (hasProgressDeadline(this.#deployment)) {
      const condition = conditionOf(
        'Progressing',
        'True',
        'NewReplicaSetCreated',
        `Created new replica set "${set.metadata!.name}"`,
        this.#now,
      )
      this.conditions = withCondition(this.conditions, condition)
    }
  }

  counted(): DeploymentStatus {
    return countStatus(this.#deployment, this.#all, this.#newSet, this.conditions, this.#now)
  }

  /** Old sets without pods beyond the revisions to keep, oldest first. */
  superfluous(): readonly ReplicaSet[] {
    const limit = revisionHistoryLimitOf(this.#deployment)
    if (limit === undefined) return []
    const alive = this.#old.map((draft) => draft.set).filter((set) => !set.metadata?.deletionTimestamp)
    const sorted = alive.toSorted(byRevision)
    const isEmpty = ({ metadata, spec, status }: ReplicaSet) =>
      !status?.replicas && spec?.replicas === 0 && (metadata?.generation ?? 0) <= (status?.observedGeneration ?? 0)
    return sorted.slice(0, Math.max(0, alive.length - limit)).filter(isEmpty)
  }

  planRollout(): DeploymentPlan {
    const isSettled = !this.#hasScaled && !this.#isWaiting && isComplete(this.#deployment, this.#deployment.status ?? {})
    const status = rolloutStatus(this.#deployment, this.#all, this.#newSet, this.counted(), this.#now)
    return this.plan(status, isSettled ? this.superfluous() : [])
  }

  plan(status: DeploymentStatus, superfluous: readonly ReplicaSet[] = []): DeploymentPlan {
    const revision = this.#newSet?.annotations[REVISION]
    const isNewRevision = revision !== undefined && revision !== this.#deployment.metadata?.annotations?.[REVISION]
    return {
      writes: this.#newSet ? [this.#newSet, ...this.#old] : this.#old,
      delete: superfluous,
      revision: isNewRevision ? revision : undefined,
      status,
      afterMs: progressCheckMs(this.#deployment, status, this.#now),
    }
  }
}
