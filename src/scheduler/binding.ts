/**
 * What happens between the choice of a node and the pod's being bound to it: reserve and permit at once, then, while the next pods
 * are decided, waiting for permission, preBind and bind. Whatever fails is undone in the reverse order.
 */
import { sleep } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { insufficient } from './framework.ts'
import type { BindContext, Plugin, Profile, Rejection, Wait } from './framework.ts'
import type { PodInfo } from './pod-info.ts'
import type { Snapshot } from './snapshot.ts'

export interface Refusal {
  readonly plugin: string
  readonly rejection: Rejection
}

export interface Waiting {
  readonly plugin: string
  readonly wait: Wait
}

/** A plugin's bug in undoing, or after everything is done, must not keep the others from it. */
function safely(log: Log, point: string, plugin: Plugin, run: () => void): void {
  try {
    run()
  } catch (error) {
    log.error('plugin failed', { point, plugin: plugin.name, error })
  }
}

export function unreserve({ points }: Profile, pod: PodInfo, nodeName: string, log: Log): void {
  for (const plugin of points.reserve.toReversed()) safely(log, 'unreserve', plugin, () => plugin.unreserve?.(pod, nodeName))
}

/** Reserves and asks for permission; on refusal, or when a plugin throws, everything is undone. */
export function reserveAndPermit(
  profile: Profile,
  pod: PodInfo,
  nodeName: string,
  snapshot: Snapshot,
  log: Log,
): Refusal | readonly Waiting[] {
  const waiting: Waiting[] = []
  let refusal: Refusal | undefined
  try {
    for (const plugin of profile.points.reserve) {
      const rejection = plugin.reserve?.(pod, nodeName, snapshot)
      if (!rejection) continue
      refusal = { plugin: plugin.name, rejection }
      break
    }
    for (const plugin of refusal ? [] : profile.points.permit) {
      const verdict = plugin.permit!(pod, nodeName)
      if (!verdict) continue
      if (!('reasons' in verdict)) {
        waiting.push({ plugin: plugin.name, wait: verdict })
        continue
      }
      refusal = { plugin: plugin.name, rejection: verdict }
      break
    }
  } catch (error) {
    unreserve(profile, pod, nodeName, log)
    throw error
  }
  if (!refusal) return waiting
  unreserve(profile, pod, nodeName, log)
  return refusal
}

const PREEMPTED: Refusal = { plugin: 'DefaultPreemption', rejection: insufficient('preempted') }

/** The first refusal of those that wait, a time-out being one, or that `cancelled` aborts because another pod takes the room. */
export async function awaitPermission(
  waiting: readonly Waiting[],
  { runtime, signal }: BindContext,
  cancelled: AbortSignal,
): Promise<Refusal | undefined> {
  const over = new AbortController()
  const taken = new Promise<Refusal>((resolve) => {
    cancelled.addEventListener('abort', () => resolve(PREEMPTED), { once: true, signal: over.signal })
  })
  try {
    for (const { plugin, wait } of waiting) {
      const timeout = sleep(runtime.clock, wait.timeoutMs, AbortSignal.any([signal, over.signal])).then((): Refusal => ({
        plugin,
        rejection: insufficient(`rejected due to timeout after waiting ${wait.timeoutMs / 1000}s at plugin ${plugin}`),
      }))
      // Losing the race is no failure.
      timeout.catch(() => undefined)
      const decided = wait.decided.then((rejection): Refusal | undefined => rejection && { plugin, rejection })
      const refusal = await Promise.race([decided, timeout, taken])
      if (refusal) return refusal
    }
    return undefined
  } finally {
    over.abort()
  }
}

/** Says which plugin failed, in upstream's words. */
async function named<T>(point: string, plugin: Plugin, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    throw new Error(`running ${point} plugin "${plugin.name}": ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

/** Will something be done before the pod is bound? */
export const hasPreBind = ({ points }: Profile, pod: PodInfo, nodeName: string): boolean =>
  points.preBind.some((plugin) => plugin.preBindPreFlight?.(pod, nodeName) ?? true)

/** Throws with upstream's text when a plugin fails. */
export async function preBindAndBind(
  { points }: Profile,
  pod: PodInfo,
  nodeName: string,
  context: BindContext,
  bindByExtender: (() => Promise<void>) | undefined,
): Promise<void> {
  for (const plugin of points.preBind)
    if (plugin.preBindPreFlight?.(pod, nodeName) ?? true) await named('PreBind', plugin, () => plugin.preBind!(pod, nodeName, context))
  const bound = () => {
    for (const plugin of points.postBind) safely(context.runtime.log, 'postBind', plugin, () => plugin.postBind!(pod, nodeName))
  }
  if (bindByExtender) {
    await bindByExtender()
    return bound()
  }
  for (const plugin of points.bind) if (await named('Bind', plugin, () => plugin.bind!(pod, nodeName, context))) return bound()
  throw new Error('no bind plugin took the pod')
}
