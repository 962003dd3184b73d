/**
 * Notices nodes that give no sign of life and marks them, so that no pod is placed there and those that are there can be moved.
 * A sign of life is a change of the node's Lease or of its Ready heartbeat, timed by this process's own clock: the clocks of two
 * machines are never compared. Each node has one delayed look at a time; a renewal costs a map entry.
 */
import type { Node, Pod } from '../../api/generated/core/v1.ts'
import { isApiError } from '../../api/status.ts'
import { timestamp } from '../../base/clock.ts'
import { byNodeName } from '../../client/object-cache.ts'
import { referenceTo } from '../../client/object-reference.ts'
import { findCondition, withCondition } from '../conditions.ts'
import { read, watch } from '../controller.ts'
import type { Caches, Controller, ReconcileContext, StartContext } from '../controller.ts'
import { isPodReady } from '../pods/pod-state.ts'
import { awaitsEviction, evictionIntervalMs, graceOf, lostConditions, planTaints, readyStatusOf, zoneOf } from './plan.ts'

const LEASE = 'coordination.k8s.io/v1/Lease'
const LEASE_NAMESPACE = 'kube-node-lease'
export const NODE_INDEX = 'node'
const ZONE_INDEX = 'zone'
/** Nodes that are lost within this time of each other are judged together (upstream's node-monitor-period). */
const JUDGE_AFTER_MS = 5000

const heartbeatOf = (node: Node): string | undefined => findCondition(node.status?.conditions, 'Ready')?.lastHeartbeatTime

export function createNodeLifecycleController(): Controller {
  /** When each node last gave a sign of life, by the monotonic clock. */
  const seenMs = new Map<string, number>()
  /** Nodes that were ready when last looked at. */
  const ready = new Set<string>()
  /** Nodes that are ready now. */
  const readyNow = new Set<string>()
  /** Since when nodes await that their pods are evicted. */
  const awaitingMs = new Map<string, number>()
  /** When pods of a zone were last evicted from a further node, by the monotonic clock. Zones are few. */
  const evictedMs = new Map<string, number>()

  /** 0 when the node's turn has come. */
  function evictionWaitMs(node: Node, { caches, runtime }: ReconcileContext): number {
    const nowMs = runtime.clock.monotonic()
    const sinceMs = awaitingMs.get(node.metadata!.name!) ?? nowMs
    awaitingMs.set(node.metadata!.name!, sinceMs)
    if (sinceMs + JUDGE_AFTER_MS > nowMs) return sinceMs + JUDGE_AFTER_MS - nowMs
    const zone = zoneOf(node)
    const intervalMs = evictionIntervalMs(caches.of('v1/Node').byIndex(ZONE_INDEX, zone))
    if (intervalMs === Infinity) return Infinity
    return Math.max(0, (evictedMs.get(zone) ?? -Infinity) + intervalMs - nowMs)
  }

  function followHeartbeats({ informers, runtime, caches, signal, enqueue }: StartContext): void {
    const see = (name: string): void => {
      seenMs.set(name, runtime.clock.monotonic())
      const node = caches.of('v1/Node').get(name)
      if (node && readyStatusOf(node) === 'Unknown') enqueue(name)
    }
    const seeLease = (lease: { readonly metadata?: { readonly namespace?: string; readonly name?: string } }): void => {
      if (lease.metadata?.namespace === LEASE_NAMESPACE) see(lease.metadata.name!)
    }
    const removers = [
      informers.of(LEASE).addHandlers({
        added: seeLease,
        updated(lease, old) {
          if (lease.spec?.renewTime !== old.spec?.renewTime) seeLease(lease)
        },
      }),
      informers.of('v1/Node').addHandlers({
        updated(node, old) {
          // Only the node itself takes 'Unknown' back.
          const isBack = readyStatusOf(old) === 'Unknown' && readyStatusOf(node) !== 'Unknown'
          if (isBack || heartbeatOf(node) !== heartbeatOf(old)) see(node.metadata!.name!)
        },
      }),
    ]
    signal.addEventListener('abort', () => removers.forEach((remove) => remove()), { once: true })
  }

  return {
    name: 'node-lifecycle',
    component: 'node-controller',
    reads: ['v1/Node', LEASE, 'v1/Pod'],
    writes: ['v1/Node', 'v1/Node/status', 'v1/Pod/status'],
    watches: [
      watch(
        'v1/Node',
        ({ type, object }, caches) => {
          const name = object.metadata!.name!
          const before = readyNow.size
          if (type !== 'deleted' && readyStatusOf(object) === 'True') readyNow.add(name)
          else readyNow.delete(name)
          // The first nodes that become ready and the last ones that cease to be change what the others' state means.
          const concernsAll = readyNow.size !== before && Math.min(readyNow.size, before) < 2
          return concernsAll ? [name, ...unreadyNodes(caches)] : name
        },
        { [ZONE_INDEX]: zoneOf },
      ),
      read(LEASE),
      read('v1/Pod', { [NODE_INDEX]: byNodeName }),
    ],
    start: followHeartbeats,

    async reconcile(key, context) {
      const { runtime, client, caches, events } = context
      let node = caches.of('v1/Node').get(key)
      if (!node) {
        seenMs.delete(key)
        awaitingMs.delete(key)
        ready.delete(key)
        return
      }
      const now = timestamp(runtime.clock)
      const lastSeenMs = seenMs.get(key) ?? runtime.clock.monotonic()
      seenMs.set(key, lastSeenMs)
      const remainingMs = lastSeenMs + graceOf(node) - runtime.clock.monotonic()
      if (remainingMs <= 0) {
        const conditions = lostConditions(node, now)
        if (conditions !== node.status?.conditions)
          node = await client.update('v1/Node', { ...node, status: { ...node.status, conditions } }, { subresource: 'status' })
      }
      const isReady = readyStatusOf(node) === 'True'
      const wasReady = ready.has(key)
      if (isReady) ready.add(key)
      else ready.delete(key)
      if (wasReady && !isReady)
        events.record(referenceTo('v1/Node', node), 'Normal', 'NodeNotReady', `Node ${key} status is now: NodeNotReady`)
      if (readyStatusOf(node) === 'Unknown' || (wasReady && !isReady)) await markPodsNotReady(context, key, now)

      const mayEvict = isReady || readyNow.size > (readyNow.has(key) ? 1 : 0)
      const isAwaiting = mayEvict && awaitsEviction(node)
      const waitMs = isAwaiting ? evictionWaitMs(node, context) : 0
      if (waitMs === 0) awaitingMs.delete(key)
      if (isAwaiting && waitMs === 0) evictedMs.set(zoneOf(node), runtime.clock.monotonic())
      const taints = planTaints(node, mayEvict && waitMs === 0, now)
      if (taints !== (node.spec?.taints ?? taints) || (!node.spec?.taints && taints.length > 0)) {
        await client.patch('v1/Node', { name: key }, 'merge', {
          metadata: { resourceVersion: node.metadata!.resourceVersion },
          spec: { taints },
        })
      }
      const times = [remainingMs, waitMs].filter((ms) => ms > 0 && ms < Infinity)
      return { afterMs: times.length > 0 ? Math.min(...times) : undefined }
    },
  }
}

const unreadyNodes = (caches: Caches): readonly string[] => {
  const names: string[] = []
  for (const node of caches.of('v1/Node').values()) if (readyStatusOf(node) !== 'True') names.push(node.metadata!.name!)
  return names
}

/** Services must not send to pods of which nobody knows whether they still run. */
async function markPodsNotReady({ client, caches, events }: ReconcileContext, nodeName: string, now: string): Promise<void> {
  const pods = caches.of('v1/Pod').byIndex(NODE_INDEX, nodeName).filter(isPodReady)
  const mark = async (pod: Pod): Promise<void> => {
    const conditions = withCondition(pod.status?.conditions, {
      ...findCondition(pod.status?.conditions, 'Ready')!,
      status: 'False',
      lastTransitionTime: now,
    })
    try {
      await client.update('v1/Pod', { ...pod, status: { ...pod.status, conditions } }, { subresource: 'status' })
      events.record(referenceTo('v1/Pod', pod), 'Warning', 'NodeNotReady', 'Node is not ready')
    } catch (error) {
      if (!isApiError(error, 'NotFound')) throw error
    }
  }
  await Promise.all(pods.map(mark))
}
