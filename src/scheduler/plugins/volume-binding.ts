/**
 * Claims and volumes: a pod goes only where its volumes can be reached. Claims that wait for their first consumer are bound, or
 * handed to their provisioner, once the pod's node is chosen, and the pod waits until they are ready.
 *
 * Between the choice and the server's knowing of it, volumes are set aside here, so that two pods do not choose the same one.
 * That is why each scheduler makes a plugin of its own.
 */
import { sleep } from '../../base/clock.ts'
import type { PersistentVolume, PersistentVolumeClaim } from '../../api/generated/core/v1.ts'
import { keyOf, type KubeObject } from '../../api/object.ts'
import { referenceTo } from '../../client/object-reference.ts'
import { definePlugin, impossible, insufficient } from '../framework.ts'
import type { BindContext, Plugin } from '../framework.ts'
import { BOUND_BY_CONTROLLER, claimsOf, isFullyBound, planVolumes, SELECTED_NODE } from '../volumes.ts'
import type { Claims, VolumePlan } from '../volumes.ts'

export interface VolumeBindingArgs {
  /** How long a pod's binding waits for its claims. */
  readonly bindTimeoutSeconds: number
}

const POLL_MS = 1_000

const isRefusal = (plan: VolumePlan | readonly string[]): plan is readonly string[] => Array.isArray(plan)

const annotated = <T extends KubeObject>(object: T, name: string, value: string): T => ({
  ...object,
  metadata: { ...object.metadata, annotations: { ...object.metadata?.annotations, [name]: value } },
})

const boundTo = (volume: PersistentVolume, claim: PersistentVolumeClaim): PersistentVolume => {
  const isPreBound = volume.spec?.claimRef !== undefined
  const next = { ...volume, spec: { ...volume.spec, claimRef: referenceTo('v1/PersistentVolumeClaim', claim) } }
  return isPreBound ? next : annotated(next, BOUND_BY_CONTROLLER, 'yes')
}

/** True when all is bound; throws when it has come undone. */
function isBound(plan: VolumePlan, nodeName: string, { view }: BindContext): boolean {
  const current = (claim: PersistentVolumeClaim): PersistentVolumeClaim => {
    const found = view.claim(claim.metadata?.namespace ?? '', claim.metadata?.name ?? '')
    if (!found) throw new Error(`failed to check binding: persistentvolumeclaim "${claim.metadata?.name}" not found`)
    return found
  }
  for (const claim of plan.provisions) {
    const found = current(claim)
    // The provisioner takes the annotation off when it cannot make the volume for this node.
    const selected = found.metadata?.annotations?.[SELECTED_NODE]
    if (selected !== nodeName && !isFullyBound(found)) throw new Error(`provisioning failed for PVC "${claim.metadata?.name}"`)
    if (!isFullyBound(found)) return false
  }
  return plan.bindings.every(({ claim }) => isFullyBound(current(claim)))
}

async function bindVolumes(plan: VolumePlan, nodeName: string, context: BindContext, timeoutMs: number): Promise<void> {
  const { client, runtime, signal } = context
  for (const { volume, claim } of plan.bindings) await client.update('v1/PersistentVolume', boundTo(volume, claim))
  for (const claim of plan.provisions) {
    if (claim.metadata?.annotations?.[SELECTED_NODE] === nodeName) continue
    await client.update('v1/PersistentVolumeClaim', annotated(claim, SELECTED_NODE, nodeName))
  }
  for (const until = runtime.clock.monotonic() + timeoutMs; runtime.clock.monotonic() < until;) {
    // First wait: the caches have not seen yet what was just written.
    await sleep(runtime.clock, POLL_MS, signal)
    if (isBound(plan, nodeName, context)) return
  }
  throw new Error('binding volumes: context deadline exceeded')
}

export function createVolumeBinding({ bindTimeoutSeconds }: VolumeBindingArgs = { bindTimeoutSeconds: 600 }): Plugin {
  /** By volume: the pod on its way that will have it. */
  const setAside = new Map<string, string>()
  /** By pod: what its binding has to write. */
  const plans = new Map<string, VolumePlan>()

  return definePlugin<Claims>({
    name: 'VolumeBinding',
    preFilter({ pod }, { view }) {
      if (!pod.spec?.volumes?.some((volume) => volume.persistentVolumeClaim || volume.ephemeral)) return { skip: true }
      const claims = claimsOf(pod, view)
      return typeof claims === 'string' ? { rejection: impossible(claims) } : { state: claims }
    },
    filter(claims, _pod, { node }, { view }) {
      const plan = planVolumes(claims, node, view, (name) => setAside.has(name))
      return isRefusal(plan) ? impossible(...plan) : undefined
    },
    reserve({ pod, uid }, nodeName, { view, node }) {
      const claims = claimsOf(pod, view)
      const info = node(nodeName)
      if (typeof claims === 'string' || !info || claims.delayed.length === 0) return undefined
      const plan = planVolumes(claims, info.node, view, (name) => setAside.has(name))
      if (isRefusal(plan)) return insufficient(...plan)
      plans.set(uid, plan)
      for (const { volume } of plan.bindings) setAside.set(keyOf(volume), uid)
      return undefined
    },
    unreserve({ uid }) {
      plans.delete(uid)
      for (const [name, holder] of setAside) if (holder === uid) setAside.delete(name)
    },
    preBindPreFlight: ({ uid }) => plans.has(uid),
    async preBind(pod, nodeName, context) {
      const plan = plans.get(pod.uid)
      if (plan) await bindVolumes(plan, nodeName, context, bindTimeoutSeconds * 1_000)
    },
    postBind(pod) {
      this.unreserve?.(pod, '')
    },
    requeueOn: [{ on: ['claim', 'volume', 'storage-class', 'storage-capacity', 'csi-node', 'csi-driver', 'node-added', 'node-labels'] }],
  })
}
