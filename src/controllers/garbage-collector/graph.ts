/**
 * Who owns whom: every object of every kind that can be deleted, linked by owner references. It only remembers what the watches
 * told; whether an owner that is missing here is really gone is asked of the server before anything is deleted.
 */
import type { OwnerReference } from '../../api/generated/meta/v1.ts'
import type { KubeObject } from '../../api/object.ts'

export const FOREGROUND = 'foregroundDeletion'
export const ORPHAN = 'orphan'

export interface GraphNode {
  readonly kind: string
  readonly object: KubeObject
}

export const ownersOf = (node: GraphNode): readonly OwnerReference[] => node.object.metadata?.ownerReferences ?? []
export const isBeingDeleted = ({ object }: GraphNode): boolean => object.metadata?.deletionTimestamp !== undefined
const hasFinalizer = ({ object }: GraphNode, finalizer: string): boolean => object.metadata?.finalizers?.includes(finalizer) ?? false
/** It waits, deleted in the foreground, until its dependents are gone. */
export const isDeletingDependents = (node: GraphNode): boolean => isBeingDeleted(node) && hasFinalizer(node, FOREGROUND)
/** It waits, deleted, until its dependents no longer name it. */
export const isOrphaning = (node: GraphNode): boolean => isBeingDeleted(node) && hasFinalizer(node, ORPHAN)

/** Whether the node is what a reference of `dependent` means: an owner lives in the same namespace or in none. */
export function isReferent(reference: OwnerReference, dependent: GraphNode, owner: GraphNode): boolean {
  const { metadata } = owner.object
  if (metadata?.name !== reference.name || owner.kind.slice(owner.kind.lastIndexOf('/') + 1) !== reference.kind) return false
  return !metadata?.namespace || metadata.namespace === dependent.object.metadata?.namespace
}

export interface OwnerGraph {
  readonly size: number
  get(uid: string): GraphNode | undefined
  dependentsOf(uid: string): readonly GraphNode[]
  /** Takes a change over and returns the uids that must be looked at because of it. */
  put(node: GraphNode): readonly string[]
  remove(uid: string): readonly string[]
  /** Forgets all objects of a kind that is no longer served, without consequences for their dependents. */
  removeKind(kind: string): void
  /** True when the object's deletion was seen, not long ago: its uid never comes back. */
  wasDeleted(uid: string): boolean
}

/** Deleted uids that are remembered, so that their dependents need not ask the server. */
const MAX_REMEMBERED_DELETIONS = 10_000
const NONE: readonly string[] = []

export function createOwnerGraph(): OwnerGraph {
  const nodes = new Map<string, GraphNode>()
  const dependents = new Map<string, Set<string>>()
  const deleted = new Set<string>()

  function link(owner: string, dependent: string): void {
    const set = dependents.get(owner)
    if (set) set.add(dependent)
    else dependents.set(owner, new Set([dependent]))
  }

  function unlink(owner: string, dependent: string): void {
    const set = dependents.get(owner)
    if (set?.delete(dependent) && set.size === 0) dependents.delete(owner)
  }

  /** Owners that may be waiting for this dependent. */
  const waitingOwners = (references: readonly OwnerReference[]): string[] =>
    references.flatMap(({ uid }) => {
      const owner = nodes.get(uid)
      return owner && isDeletingDependents(owner) ? [uid] : []
    })

  const needsLook = (node: GraphNode): boolean =>
    ownersOf(node).some((reference) => {
      const owner = nodes.get(reference.uid)
      return !owner || !isReferent(reference, node, owner) || isDeletingDependents(owner)
    })

  function isSameOwners(a: readonly OwnerReference[], b: readonly OwnerReference[]): boolean {
    return (
      a === b ||
      (a.length === b.length &&
        a.every((reference, i) => reference.uid === b[i]!.uid && reference.blockOwnerDeletion === b[i]!.blockOwnerDeletion))
    )
  }

  return {
    get size() {
      return nodes.size
    },
    get: (uid) => nodes.get(uid),
    dependentsOf(uid) {
      const uids = dependents.get(uid)
      return uids ? [...uids].flatMap((dependent) => nodes.get(dependent) ?? []) : []
    },
    put(node) {
      const uid = node.object.metadata!.uid!
      const old = nodes.get(uid)
      nodes.set(uid, node)
      const owners = ownersOf(node)
      const oldOwners = old ? ownersOf(old) : []
      const look: string[] = []
      if (!old || !isSameOwners(owners, oldOwners)) {
        for (const reference of oldOwners) unlink(reference.uid, uid)
        for (const reference of owners) link(reference.uid, uid)
        look.push(...waitingOwners(oldOwners))
        if (needsLook(node)) look.push(uid)
      }
      if (isDeletingDependents(node) && !(old && isDeletingDependents(old))) look.push(...(dependents.get(uid) ?? NONE), uid)
      if (isOrphaning(node) && !(old && isOrphaning(old))) look.push(uid)
      // A dependent that is now deleted in the foreground itself may close a circle.
      if (old && isBeingDeleted(node) && !isBeingDeleted(old)) look.push(...waitingOwners(owners))
      return look
    },
    remove(uid) {
      const node = nodes.get(uid)
      if (!node) return NONE
      nodes.delete(uid)
      deleted.add(uid)
      if (deleted.size > MAX_REMEMBERED_DELETIONS) deleted.delete(deleted.values().next().value!)
      const owners = ownersOf(node)
      for (const reference of owners) unlink(reference.uid, uid)
      return [...(dependents.get(uid) ?? NONE), ...waitingOwners(owners)]
    },
    removeKind(kind) {
      for (const [uid, node] of nodes) {
        if (node.kind !== kind) continue
        nodes.delete(uid)
        for (const reference of ownersOf(node)) unlink(reference.uid, uid)
      }
    },
    wasDeleted: (uid) => deleted.has(uid),
  }
}
