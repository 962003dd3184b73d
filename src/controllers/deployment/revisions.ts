/** The annotations by which a Deployment numbers its ReplicaSets (for `kubectl rollout history` and `undo`) and remembers sizes. */
import type { Deployment, ReplicaSet } from '../../api/generated/apps/v1.ts'

export const REVISION = 'deployment.kubernetes.io/revision'
export const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history'
export const DESIRED_REPLICAS = 'deployment.kubernetes.io/desired-replicas'
export const MAX_REPLICAS = 'deployment.kubernetes.io/max-replicas'
const NOT_COPIED = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  REVISION,
  REVISION_HISTORY,
  DESIRED_REPLICAS,
  MAX_REPLICAS,
  'deprecated.deployment.rollback.to',
])
const MAX_HISTORY_LENGTH = 2000

export type Annotations = Readonly<Record<string, string>>

const integer = (text: string | undefined): number | undefined => (text !== undefined && /^[+-]?\d+$/.test(text) ? Number(text) : undefined)

const MAX_REVISION = 2n ** 63n - 1n

/** Revisions are 64-bit integers, and people do set large ones. Undefined for what is none. */
function parseRevision(text: string | undefined): bigint | undefined {
  if (text === undefined || !/^[+-]?\d{1,19}$/.test(text)) return undefined
  const revision = BigInt(text.replace(/^\+/, ''))
  return revision <= MAX_REVISION && revision >= -MAX_REVISION - 1n ? revision : undefined
}

/** Zero when there is none or it is no number. */
export const revisionOfSet = (set: ReplicaSet): bigint => parseRevision(set.metadata?.annotations?.[REVISION]) ?? 0n

/** A size that a set remembers; undefined when missing or out of range. */
export function rememberedSize(annotations: Annotations, name: string): number | undefined {
  const size = integer(annotations[name])
  return size !== undefined && size >= 0 && size <= 0x7fffffff ? size : undefined
}

export const withSizes = (annotations: Annotations, desired: number, max: number): Annotations =>
  annotations[DESIRED_REPLICAS] === String(desired) && annotations[MAX_REPLICAS] === String(max)
    ? annotations
    : { ...annotations, [DESIRED_REPLICAS]: String(desired), [MAX_REPLICAS]: String(max) }

/** The annotations of the set that the Deployment now wants: its own ones and the highest revision. The same object when nothing differs. */
export function annotationsOfNewSet(deployment: Deployment, current: Annotations, revision: bigint): Annotations {
  const copied = Object.entries(deployment.metadata?.annotations ?? {}).filter(
    ([name, value]) => !NOT_COPIED.has(name) && current[name] !== value,
  )
  const annotations = copied.length > 0 ? { ...current, ...Object.fromEntries(copied) } : current
  const oldText = current[REVISION]
  const old = parseRevision(oldText)
  // A revision that is no number was written by someone else: it is left alone.
  if ((oldText && old === undefined) || (old ?? 0n) >= revision) return annotations
  const history = oldText === undefined ? undefined : historyWith(current[REVISION_HISTORY], oldText)
  return { ...annotations, [REVISION]: String(revision), ...(history === undefined ? {} : { [REVISION_HISTORY]: history }) }
}

/** The set is rolled back to: its earlier revision joins those that it had, the oldest making room. */
function historyWith(history: string | undefined, revision: string): string | undefined {
  if (!history) return revision
  const revisions = history.split(',')
  let length = history.length + revision.length + 1
  while (length > MAX_HISTORY_LENGTH && revisions.length > 0) length -= revisions.shift()!.length + 1
  return length <= MAX_HISTORY_LENGTH ? [...revisions, revision].join(',') : history
}
