/**
 * What happens between the choice of a node and the pod's being bound to it: reserve and permit at once, then, while the next pods
 * are decided, waiting for permission, preBind and bind. Whatever fails is undone in the reverse order.
 */
import { sleep } from '../base/clock.ts'
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

export function unreserve({ points }: Profile, pod: PodInfo, nodeName: string): void {
  for (const plugin of points.reserve.toReversed()) plugin.unreserve?.(pod, nodeName)
}

/** Reserves and asks for permission; on refusal everything is undone. */
export function reserveAndPermit(profile: Profile, pod: PodInfo, nodeName: string, snapshot: Snapshot): Refusal | readonly Waiting[] {
  const waiting: Waiting[] = []
  const refuse = (plugin: Plugin, rejection: Rejection): Refusal => {
    unreserve(profile, pod, nodeName)
    return { plugin: plugin.name, rejection }
  }
  for (const plugin of profile.points.reserve) {
    const rejection = plugin.reserve?.(pod, nodeName, snapshot)
    if (rejection) return refuse(plugin, rejection)
  }
  for (const plugin of profile.points.permit) {
    const verdict = plugin.permit!(pod, nodeName)
    if (!verdict) continue
    if ('reasons' in verdict) return refuse(plugin, verdict)
    waiting.push({ plugin: plugin.name, wait: verdict })
  }
  return waiting
}

/** The first refusal of those that wait, a time-out being one. */
export async function awaitPermission(waiting: readonly Waiting[], { runtime, signal }: BindContext): Promise<Refusal | undefined> {
  for (const { plugin, wait } of waiting) {
    const over = new AbortController()
    const timeout = sleep(runtime.clock, wait.timeoutMs, AbortSignal.any([signal, over.signal])).then((): Rejection => ({
      reasons: [`rejected due to timeout after waiting ${wait.timeoutMs / 1000}s at plugin ${plugin}`],
      canPreempt: true,
    }))
    // Losing the race is no failure.
    timeout.catch(() => undefined)
    const rejection = await Promise.race([wait.decided, timeout])
    over.abort()
    if (rejection) return { plugin, rejection }
  }
  return undefined
}

/** Says which plugin failed, in upstream's words. */
async function named<T>(point: string, plugin: Plugin, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    throw new Error(`running ${point} plugin "${plugin.name}": ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

/** Throws with upstream's text when a plugin fails. */
export async function preBindAndBind(
  { points }: Profile,
  pod: PodInfo,
  nodeName: string,
  context: BindContext,
  bindByExtender: (() => Promise<void>) | undefined,
): Promise<void> {
  for (const plugin of points.preBind) await named('PreBind', plugin, () => plugin.preBind!(pod, nodeName, context))
  const bound = () => {
    for (const plugin of points.postBind) plugin.postBind!(pod, nodeName)
  }
  if (bindByExtender) {
    await bindByExtender()
    return bound()
  }
  for (const plugin of points.bind) if (await named('Bind', plugin, () => plugin.bind!(pod, nodeName, context))) return bound()
  throw new Error('no bind plugin took the pod')
}
