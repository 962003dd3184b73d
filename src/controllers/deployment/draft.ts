/** A ReplicaSet while a plan is made: what it is, and what it shall be. */
import type { ReplicaSet } from '../../api/generated/apps/v1.ts'
import type { Annotations } from './revisions.ts'

export interface SetDraft {
  readonly set: ReplicaSet
  /** True when it does not exist yet. */
  readonly isNew: boolean
  replicas: number
  annotations: Annotations
  minReadySeconds: number
}

const NO_ANNOTATIONS: Annotations = {}

export const draftOf = (set: ReplicaSet): SetDraft => ({
  set,
  isNew: false,
  replicas: set.spec?.replicas ?? 1,
  annotations: set.metadata?.annotations ?? NO_ANNOTATIONS,
  minReadySeconds: set.spec?.minReadySeconds ?? 0,
})

export const isChanged = ({ set, replicas, annotations, minReadySeconds }: SetDraft): boolean =>
  replicas !== (set.spec?.replicas ?? 1) ||
  annotations !== (set.metadata?.annotations ?? NO_ANNOTATIONS) ||
  minReadySeconds !== (set.spec?.minReadySeconds ?? 0)

/** The object to write. */
export const finished = ({ set, replicas, annotations, minReadySeconds }: SetDraft): ReplicaSet => ({
  ...set,
  metadata: { ...set.metadata, annotations },
  spec: { ...set.spec!, replicas, minReadySeconds },
})
