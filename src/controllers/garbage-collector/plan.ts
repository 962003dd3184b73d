/** Decides what becomes of one object, once it is known what its owners are. No I/O. */
import type { OwnerReference } from '../../api/generated/meta/v1.ts'
import { FOREGROUND, isBeingDeleted, isDeletingDependents, isOrphaning, ORPHAN, ownersOf } from './graph.ts'
import type { GraphNode } from './graph.ts'

/** `solid`: there and staying; `dangling`: gone, or never what was meant; `waiting`: going once its dependents are gone. */
export type OwnerState = 'solid' | 'dangling' | 'waiting'

export type GarbagePlan =
  | { readonly type: 'nothing' }
  | {
      readonly type: 'delete'
      readonly propagationPolicy: 'Background' | 'Foreground' | 'Orphan'
      /** Breaks a circle of owners that wait for each other. */ readonly unblockOwners: boolean
    }
  | { readonly type: 'set owners'; readonly owners: readonly OwnerReference[] }
  /** These must go first; then the finalizer can be taken off. */
  | { readonly type: 'delete dependents'; readonly dependents: readonly GraphNode[] }
  | { readonly type: 'orphan dependents'; readonly dependents: readonly GraphNode[] }
  | { readonly type: 'remove finalizer'; readonly finalizer: string }

const NOTHING: GarbagePlan = { type: 'nothing' }

/** Whether owners must be known to plan for the object. */
export const needsOwners = (node: GraphNode): boolean => !isBeingDeleted(node) && ownersOf(node).length > 0

export function planGarbage(
  node: GraphNode,
  dependents: readonly GraphNode[],
  stateOf: (reference: OwnerReference) => OwnerState,
): GarbagePlan {
  if (isOrphaning(node)) return { type: 'orphan dependents', dependents }
  if (isDeletingDependents(node)) return planForeground(node, dependents)
  if (!needsOwners(node)) return NOTHING

  const owners = ownersOf(node)
  const solid = owners.filter((reference) => stateOf(reference) === 'solid')
  if (solid.length > 0) return solid.length === owners.length ? NOTHING : { type: 'set owners', owners: solid }
  const isAwaited = owners.some((reference) => stateOf(reference) === 'waiting')
  if (isAwaited && dependents.length > 0) {
    return { type: 'delete', propagationPolicy: 'Foreground', unblockOwners: dependents.some(isDeletingDependents) }
  }
  const { finalizers = [] } = node.object.metadata ?? {}
  const propagationPolicy = finalizers.includes(ORPHAN) ? 'Orphan' : finalizers.includes(FOREGROUND) ? 'Foreground' : 'Background'
  return { type: 'delete', propagationPolicy, unblockOwners: false }
}

function planForeground(node: GraphNode, dependents: readonly GraphNode[]): GarbagePlan {
  const uid = node.object.metadata!.uid
  const blocking = dependents.filter((dependent) =>
    ownersOf(dependent).some((reference) => reference.uid === uid && reference.blockOwnerDeletion),
  )
  if (blocking.length === 0) return { type: 'remove finalizer', finalizer: FOREGROUND }
  return { type: 'delete dependents', dependents: blocking.filter((dependent) => !isDeletingDependents(dependent)) }
}
