/**
 * Deletes what nobody owns any more, and carries out foreground and orphan deletion. Watches every kind that can be listed,
 * watched and deleted, through the informers that the other controllers use too, so that it costs no second copy.
 */
import type { OwnerReference } from '../../api/generated/meta/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { findResource } from '../../api/resources.ts'
import { kindNameOf } from '../../api/schema.ts'
import type { ResourceInfo } from '../../api/schema.ts'
import { isApiError } from '../../api/status.ts'
import { sleep } from '../../base/clock.ts'
import type { Client } from '../../client/client.ts'
import { referenceTo } from '../../client/object-reference.ts'
import { watch } from '../controller.ts'
import type { Controller, Outcome, ReconcileContext, StartContext } from '../controller.ts'
import { createOwnerGraph, isDeletingDependents, isReferent, ORPHAN, ownersOf } from './graph.ts'
import type { GraphNode, OwnerGraph } from './graph.ts'
import { needsOwners, planGarbage } from './plan.ts'
import type { GarbagePlan, OwnerState } from './plan.ts'

/** The key that stands for 'what is served has changed'; uids never look like this. */
const DISCOVERY_KEY = 'discovery'
/** A kind whose server does not answer must not hold up all others for ever: missing owners are looked up live anyway. */
const SYNC_DEADLINE_MS = 30_000
/** Events are many, short-lived and own nothing. */
const IGNORED = new Set(['events', 'events.events.k8s.io'])

const isCollectable = ({ group, resource, verbs }: ResourceInfo): boolean =>
  !IGNORED.has(group ? `${resource}.${group}` : resource) && (['list', 'watch', 'delete'] as const).every((verb) => verbs.includes(verb))

export function createGarbageCollector(): Controller {
  const graph = createOwnerGraph()
  const watched = new Map<string, () => void>()
  let start: StartContext | undefined

  function watchKind({ informers, enqueue }: StartContext, kind: string): void {
    const look = (uids: readonly string[]): void => {
      for (const uid of uids) enqueue(uid)
    }
    const put = (object: KubeObject): void => look(graph.put({ kind, object }))
    const remove = informers.of(kind).addHandlers({
      added: put,
      updated(object, old) {
        // Deleted and made anew while no watch was open.
        if (old.metadata?.uid !== object.metadata?.uid) look(graph.remove(old.metadata!.uid!))
        put(object)
      },
      deleted: (object) => look(graph.remove(object.metadata!.uid!)),
    })
    watched.set(kind, remove)
  }

  function forgetKind({ informers }: StartContext, kind: string): void {
    watched.get(kind)?.()
    watched.delete(kind)
    graph.removeKind(kind)
    const [version, name] = [kind.slice(0, kind.lastIndexOf('/')), kind.slice(kind.lastIndexOf('/') + 1)]
    const [group, shortVersion] = version.includes('/') ? version.split('/') : ['', version]
    // Built-in kinds may have other readers.
    if (!findResource({ group: group!, version: shortVersion!, kind: name })) informers.forget(kind)
  }

  /** Watches what is served now. Kinds of servers that do not answer are kept: their objects are not gone. */
  async function followDiscovery(context: StartContext): Promise<Outcome> {
    const { preferred, failures } = await context.client.discover()
    const kinds = new Set(preferred.filter(isCollectable).map(kindNameOf))
    for (const kind of kinds) if (!watched.has(kind)) watchKind(context, kind)
    for (const kind of watched.keys())
      if (!kinds.has(kind) && !failures.has(kind.slice(0, kind.lastIndexOf('/')))) forgetKind(context, kind)
    return { afterMs: failures.size > 0 ? SYNC_DEADLINE_MS : undefined }
  }

  return {
    name: 'garbage-collector',
    component: 'generic-garbage-collector',
    eventSource: 'garbage-collector-controller',
    workers: 20,
    reads: ['apiextensions.k8s.io/v1/CustomResourceDefinition', 'apiregistration.k8s.io/v1/APIService'],
    writes: ['*/*'],
    watches: [
      watch('apiextensions.k8s.io/v1/CustomResourceDefinition', () => DISCOVERY_KEY),
      watch('apiregistration.k8s.io/v1/APIService', () => DISCOVERY_KEY),
    ],

    async start(context) {
      start = context
      await followDiscovery(context)
      const synced = Promise.all([...watched.keys()].map(async (kind) => context.informers.find(kind)?.synced))
      const deadline = new AbortController()
      await Promise.race([
        synced,
        sleep(context.runtime.clock, SYNC_DEADLINE_MS, AbortSignal.any([context.signal, deadline.signal])).catch((error: unknown) => {
          if (!context.signal.aborted && !deadline.signal.aborted) throw error
        }),
      ])
      deadline.abort()
    },

    async reconcile(key, context) {
      if (key === DISCOVERY_KEY) return followDiscovery(start!)
      const node = graph.get(key)
      if (!node) return
      const states = needsOwners(node) ? await classify(context, graph, node) : undefined
      if (states === 'invalid') return
      const plan = planGarbage(node, graph.dependentsOf(key), (reference) => states!.get(reference.uid)!)
      await carryOut(context.client, node, plan, start!.enqueue)
    },
  }
}

/** Finds out what each owner is; 'invalid' when the object names an owner that it cannot have, which no retry will mend. */
async function classify(
  context: ReconcileContext,
  graph: OwnerGraph,
  node: GraphNode,
): Promise<ReadonlyMap<string, OwnerState> | 'invalid'> {
  const states = new Map<string, OwnerState>()
  for (const reference of ownersOf(node)) {
    const state = knownState(graph, node, reference) ?? (await liveState(context, node, reference))
    if (state === 'invalid') return 'invalid'
    states.set(reference.uid, state)
  }
  return states
}

function knownState(graph: OwnerGraph, node: GraphNode, reference: OwnerReference): OwnerState | undefined {
  if (graph.wasDeleted(reference.uid)) return 'dangling'
  const owner = graph.get(reference.uid)
  if (!owner || !isReferent(reference, node, owner)) return undefined
  return isDeletingDependents(owner) ? 'waiting' : 'solid'
}

async function liveState(
  { client, events }: ReconcileContext,
  node: GraphNode,
  reference: OwnerReference,
): Promise<OwnerState | 'invalid'> {
  const kind = `${reference.apiVersion}/${reference.kind}`
  const { namespaced } = await client.resourceOf(kind)
  const namespace = node.object.metadata?.namespace
  if (namespaced && !namespace) {
    const message = `ownerRef ${JSON.stringify(reference)} does not exist in namespace "${namespace ?? ''}"`
    events.record(referenceTo(node.kind, node.object), 'Warning', 'OwnerRefInvalidNamespace', message)
    return 'invalid'
  }
  try {
    const owner: KubeObject = await client.get<string>(kind, namespaced ? { namespace, name: reference.name } : { name: reference.name })
    if (owner.metadata?.uid !== reference.uid) return 'dangling'
    return isDeletingDependents({ kind, object: owner }) ? 'waiting' : 'solid'
  } catch (error) {
    if (isApiError(error, 'NotFound')) return 'dangling'
    throw error
  }
}

async function carryOut(client: Client, node: GraphNode, plan: GarbagePlan, enqueue: (uid: string) => void): Promise<void> {
  switch (plan.type) {
    case 'nothing':
      return
    case 'set owners':
      return patchMetadata(client, node, { ownerReferences: plan.owners })
    case 'remove finalizer':
      return patchMetadata(client, node, {
        finalizers: node.object.metadata?.finalizers?.filter((finalizer) => finalizer !== plan.finalizer) ?? [],
      })
    case 'delete dependents':
      for (const dependent of plan.dependents) enqueue(dependent.object.metadata!.uid!)
      return
    case 'orphan dependents':
      await Promise.all(plan.dependents.map((dependent) => letGo(client, dependent, node)))
      return patchMetadata(client, node, {
        finalizers: node.object.metadata?.finalizers?.filter((finalizer) => finalizer !== ORPHAN) ?? [],
      })
    case 'delete':
      if (plan.unblockOwners) {
        await patchMetadata(client, node, {
          ownerReferences: ownersOf(node).map((reference) => ({ ...reference, blockOwnerDeletion: false })),
        })
      }
      return remove(client, node, plan.propagationPolicy, !plan.unblockOwners)
  }
}

const keyOfNode = ({ object }: GraphNode) => ({ namespace: object.metadata!.namespace, name: object.metadata!.name! })

const letGo = (client: Client, dependent: GraphNode, owner: GraphNode): Promise<void> =>
  patchMetadata(client, dependent, {
    ownerReferences: ownersOf(dependent).filter((reference) => reference.uid !== owner.object.metadata?.uid),
  })

/** Lists are replaced as a whole, so the version they were read at must still hold. */
async function patchMetadata(client: Client, node: GraphNode, change: Readonly<Record<string, unknown>>): Promise<void> {
  const { uid, resourceVersion } = node.object.metadata!
  try {
    await client.patch(node.kind, keyOfNode(node), 'merge', { metadata: { uid, resourceVersion, ...change } })
  } catch (error) {
    if (!isApiError(error, 'NotFound')) throw error
  }
}

/** The uid and the version guard against deleting what is not, or no longer, without owners. */
async function remove(
  client: Client,
  node: GraphNode,
  propagationPolicy: 'Background' | 'Foreground' | 'Orphan',
  isVersionChecked: boolean,
): Promise<void> {
  const { uid, resourceVersion } = node.object.metadata!
  const preconditions = { uid: uid!, ...(isVersionChecked ? { resourceVersion: resourceVersion! } : {}) }
  try {
    await client.delete(node.kind, keyOfNode(node), { propagationPolicy, preconditions })
  } catch (error) {
    if (!isApiError(error, 'NotFound')) throw error
  }
}
