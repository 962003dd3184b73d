/** Decides on which nodes a DaemonSet's pods are missing, too many, or out of date. No clock, no I/O. */
import type { DaemonSet, DaemonSetStatus } from '../../api/generated/apps/v1.ts'
import type { Node, Pod } from '../../api/generated/core/v1.ts'
import { REVISION_HASH_LABEL } from '../history/controller-revisions.ts'
import { scaledValue } from '../int-or-percent.ts'
import { isPodAvailable, isPodReady, isPodTerminal } from '../pods/pod-state.ts'
import { fitNode, targetNodeOf, withDaemonTolerations } from './node-fit.ts'
import type { NodeFit } from './node-fit.ts'

export const MAX_BURST = 250

export interface DaemonInput {
  readonly set: DaemonSet
  readonly nodes: readonly Node[]
  /** The pods that it owns. */
  readonly pods: readonly Pod[]
  /** The revision of the template as it is now. */
  readonly hash: string
  /** How long a failed pod on this node must stay, so that the set does not fight with the node. */
  readonly failureWaitMs: (nodeName: string) => number
  readonly nowMs: number
}

export interface DaemonPlan {
  /** Names of nodes. */
  readonly create: readonly string[]
  readonly delete: readonly Pod[]
  /** Nodes whose failed pod is deleted: the next such deletion must wait longer. */
  readonly failedOn: readonly string[]
  readonly events: readonly (readonly [type: 'Normal' | 'Warning', reason: string, message: string])[]
  readonly status: DaemonSetStatus
  readonly afterMs: number | undefined
}

const byAge = (a: Pod, b: Pod): number => {
  const [isBoundA, isBoundB] = [Boolean(a.spec?.nodeName), Boolean(b.spec?.nodeName)]
  if (isBoundA !== isBoundB) return isBoundA ? -1 : 1
  const [timeA = '', timeB = ''] = [a.metadata?.creationTimestamp, b.metadata?.creationTimestamp]
  return timeA !== timeB ? (timeA < timeB ? -1 : 1) : (a.metadata?.name ?? '') < (b.metadata?.name ?? '') ? -1 : 1
}

export const isUpToDate = (pod: Pod, hash: string): boolean => pod.metadata?.labels?.[REVISION_HASH_LABEL] === hash
const isGoing = (pod: Pod): boolean => pod.metadata?.deletionTimestamp !== undefined

export function planDaemonSet(input: DaemonInput): DaemonPlan {
  return new DaemonStep(input).plan()
}

class DaemonStep {
  readonly #input: DaemonInput
  readonly #fits = new Map<string, NodeFit>()
  readonly #podsOn = new Map<string, Pod[]>()
  readonly #create: string[] = []
  readonly #delete: Pod[] = []
  readonly #failedOn: string[] = []
  readonly #events: (readonly ['Normal' | 'Warning', string, string])[] = []
  #afterMs: number | undefined

  constructor(input: DaemonInput) {
    this.#input = input
    const spec = withDaemonTolerations(input.set.spec!.template.spec!)
    for (const node of input.nodes) this.#fits.set(node.metadata!.name!, fitNode(spec, node))
    for (const pod of input.pods) {
      const node = targetNodeOf(pod.spec)
      if (node === undefined || (isGoing(pod) && isPodTerminal(pod))) continue
      const there = this.#podsOn.get(node)
      if (there) there.push(pod)
      else this.#podsOn.set(node, [pod])
    }
    for (const there of this.#podsOn.values()) there.sort(byAge)
  }

  plan(): DaemonPlan {
    if (!this.#input.set.metadata?.deletionTimestamp) {
      this.#manage()
      const isSettled = this.#create.length === 0 && this.#delete.length === 0
      if (isSettled && (this.#input.set.spec?.updateStrategy?.type ?? 'RollingUpdate') === 'RollingUpdate') this.#update()
    }
    return {
      create: this.#create.slice(0, MAX_BURST),
      delete: this.#delete.slice(0, MAX_BURST),
      failedOn: this.#failedOn,
      events: this.#events,
      status: this.#status(),
      afterMs: this.#afterMs,
    }
  }

  #isAvailable(pod: Pod): boolean {
    return isPodAvailable(pod, this.#input.set.spec?.minReadySeconds ?? 0, this.#input.nowMs)
  }

  get #desired(): number {
    let count = 0
    for (const { shouldRun } of this.#fits.values()) if (shouldRun) count++
    return count
  }

  get #maxSurge(): number {
    return scaledValue(this.#input.set.spec?.updateStrategy?.rollingUpdate?.maxSurge, this.#desired, 'up')
  }

  get #maxUnavailable(): number {
    const value = scaledValue(this.#input.set.spec?.updateStrategy?.rollingUpdate?.maxUnavailable, this.#desired, 'up', 1)
    return value === 0 && this.#maxSurge === 0 ? 1 : value
  }

  #manage(): void {
    for (const [node, fit] of this.#fits) this.#manageNode(node, fit)
    // Pods bound for nodes that are gone would wait for ever.
    for (const [node, pods] of this.#podsOn)
      if (!this.#fits.has(node)) this.#delete.push(...pods.filter((pod) => !pod.spec?.nodeName && !isGoing(pod)))
  }

  #manageNode(node: string, { shouldRun, shouldContinue }: NodeFit): void {
    const pods = this.#podsOn.get(node) ?? []
    if (shouldRun && pods.length === 0) this.#create.push(node)
    else if (!shouldContinue) this.#delete.push(...pods.filter((pod) => !isGoing(pod)))
    else
      this.#keepOne(
        node,
        pods.filter((pod) => !isGoing(pod) && !this.#clearEnded(node, pod)),
        shouldRun,
      )
  }

  /** True when the pod has ended; it is deleted, a failed one perhaps later, and made anew after that. */
  #clearEnded(node: string, pod: Pod): boolean {
    const { namespace, name } = pod.metadata!
    if (pod.status?.phase === 'Succeeded') {
      this.#events.push([
        'Normal',
        'SucceededDaemonPod',
        `Found succeeded daemon pod ${namespace}/${name} on node ${node}, will try to delete it`,
      ])
      this.#delete.push(pod)
      return true
    }
    if (pod.status?.phase !== 'Failed') return false
    const waitMs = this.#input.failureWaitMs(node)
    if (waitMs > 0) {
      this.#afterMs = Math.min(this.#afterMs ?? Infinity, waitMs)
      return true
    }
    this.#events.push(['Warning', 'FailedDaemonPod', `Found failed daemon pod ${namespace}/${name} on node ${node}, will try to kill it`])
    this.#failedOn.push(node)
    this.#delete.push(pod)
    return true
  }

  /** One pod per node; with surge also a new one beside the old one until it is available. */
  #keepOne(node: string, running: readonly Pod[], shouldRun: boolean): void {
    if (this.#maxSurge === 0) {
      this.#delete.push(...running.slice(1))
      return
    }
    if (running.length === 0 && shouldRun && (this.#podsOn.get(node) ?? []).every(isGoing)) this.#create.push(node)
    if (running.length <= 1) return
    const fresh = running.find((pod) => isUpToDate(pod, this.#input.hash))
    const stale = running.find((pod) => !isUpToDate(pod, this.#input.hash))
    this.#delete.push(...running.filter((pod) => pod !== fresh && pod !== stale))
    if (fresh && stale && (!isPodReady(stale) || this.#isAvailable(fresh))) this.#delete.push(stale)
  }

  #update(): void {
    if (this.#maxSurge > 0) this.#updateBySurge()
    else this.#updateByReplacement()
  }

  /** The one pod of each sort on a node; undefined where there are more, which is put right first. */
  #pair(node: string): { readonly fresh: Pod | undefined; readonly stale: Pod | undefined } | undefined {
    const alive = (this.#podsOn.get(node) ?? []).filter((pod) => !isGoing(pod))
    const fresh = alive.filter((pod) => isUpToDate(pod, this.#input.hash))
    const stale = alive.filter((pod) => !isUpToDate(pod, this.#input.hash))
    return fresh.length > 1 || stale.length > 1 ? undefined : { fresh: fresh[0], stale: stale[0] }
  }

  #updateByReplacement(): void {
    let unavailable = 0
    const candidates: Pod[] = []
    const nodes = new Set([...this.#podsOn.keys(), ...[...this.#fits].filter(([, fit]) => fit.shouldRun).map(([node]) => node)])
    for (const node of nodes) {
      const pair = this.#pair(node)
      if (!pair || Boolean(pair.fresh) === Boolean(pair.stale)) unavailable++
      else if (pair.fresh) unavailable += this.#isAvailable(pair.fresh) ? 0 : 1
      else if (this.#isAvailable(pair.stale!)) candidates.push(pair.stale!)
      else this.#delete.push(pair.stale!)
    }
    this.#delete.push(...candidates.slice(0, Math.max(0, this.#maxUnavailable - unavailable)))
  }

  #updateBySurge(): void {
    let surge = 0
    const candidates: string[] = []
    for (const node of this.#podsOn.keys()) {
      const pair = this.#pair(node)
      if (!pair) surge++
      else if (pair.stale && pair.fresh) {
        if (this.#isAvailable(pair.fresh)) this.#delete.push(pair.stale)
        else surge++
      } else if (pair.stale && this.#fits.get(node)?.shouldRun) {
        if (this.#isAvailable(pair.stale)) candidates.push(node)
        else this.#create.push(node)
      }
    }
    this.#create.push(...candidates.slice(0, Math.max(0, this.#maxSurge - surge)))
  }

  #status(): DaemonSetStatus {
    const { set, hash } = this.#input
    const counts = { desired: 0, current: 0, misscheduled: 0, ready: 0, updated: 0, available: 0 }
    for (const [node, { shouldRun }] of this.#fits) {
      const [pod] = this.#podsOn.get(node) ?? []
      if (!shouldRun) {
        if (pod) counts.misscheduled++
        continue
      }
      counts.desired++
      if (!pod) continue
      counts.current++
      if (isPodReady(pod)) counts.ready++
      if (this.#isAvailable(pod)) counts.available++
      if (isUpToDate(pod, hash)) counts.updated++
    }
    return {
      ...set.status,
      observedGeneration: set.metadata?.generation ?? 0,
      desiredNumberScheduled: counts.desired,
      currentNumberScheduled: counts.current,
      numberMisscheduled: counts.misscheduled,
      numberReady: counts.ready,
      updatedNumberScheduled: counts.updated,
      numberAvailable: counts.available,
      numberUnavailable: counts.desired - counts.available,
    }
  }
}

export function isSameStatus(a: DaemonSetStatus | undefined, b: DaemonSetStatus): boolean {
  const counts = [
    'observedGeneration',
    'desiredNumberScheduled',
    'currentNumberScheduled',
    'numberMisscheduled',
    'numberReady',
    'updatedNumberScheduled',
    'numberAvailable',
    'numberUnavailable',
  ] as const
  return counts.every((name) => (a?.[name] ?? 0) === (b[name] ?? 0))
}
