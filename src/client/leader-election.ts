/**
 * One of several may act: whoever holds a Lease (coordination.k8s.io/v1). The holder renews it; when it has not been renewed for
 * its duration, as seen by the candidate's own clock (never comparing clocks of two machines), another takes it. A leader that
 * cannot renew in time stops its work before anyone else can begin.
 */
import type { Lease } from '../api/generated/coordination/v1.ts'
import { isApiError } from '../api/status.ts'
import { microTimestamp, sleep } from '../base/clock.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Client } from './client.ts'

export interface LeaderElectionOptions {
  readonly namespace: string
  readonly name: string
  /** Unique among the candidates. */
  readonly identity: string
  readonly leaseDurationMs?: number
  readonly renewDeadlineMs?: number
  readonly retryPeriodMs?: number
}

/** How a candidate saw the lease last, and when it saw it change. */
interface Observation {
  readonly record: string
  readonly sinceMs: number
}

/**
 * Stands for election until the signal aborts; while leading runs `lead`, whose signal aborts when leadership is lost. When
 * leadership was lost, stands again.
 */
export async function runWhenLeading(
  runtime: Runtime,
  client: Client,
  options: LeaderElectionOptions,
  signal: AbortSignal,
  lead: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { clock, random } = runtime
  const { namespace, name, identity, leaseDurationMs = 15_000, renewDeadlineMs = 10_000, retryPeriodMs = 2_000 } = options
  const log = runtime.log.with({ lease: `${namespace}/${name}`, identity })
  let observed: Observation | undefined

  const pause = (ms: number, until: AbortSignal) =>
    sleep(clock, ms, until).catch((error: unknown) => {
      if (!until.aborted) throw error
    })

  const specOf = (old: Lease | undefined): Lease['spec'] => {
    const now = microTimestamp(clock)
    const isRenewal = old?.spec?.holderIdentity === identity
    return {
      ...old?.spec,
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseDurationMs / 1000),
      acquireTime: isRenewal && old.spec?.acquireTime ? old.spec.acquireTime : now,
      renewTime: now,
      leaseTransitions: (old?.spec?.leaseTransitions ?? 0) + (old && !isRenewal ? 1 : 0),
    }
  }

  /** True when the lease is this candidate's afterwards. */
  async function acquireOrRenew(): Promise<boolean> {
    let old: Lease
    try {
      old = await client.get('coordination.k8s.io/v1/Lease', { namespace, name })
    } catch (error) {
      if (!isApiError(error, 'NotFound')) throw error
      await client.create('coordination.k8s.io/v1/Lease', { metadata: { namespace, name }, spec: specOf(undefined)! })
      return true
    }
    const record = `${old.spec?.holderIdentity}|${old.spec?.renewTime}`
    if (observed?.record !== record) observed = { record, sinceMs: clock.monotonic() }
    const isHeldByOther = Boolean(old.spec?.holderIdentity) && old.spec?.holderIdentity !== identity
    const durationMs = (old.spec?.leaseDurationSeconds ?? leaseDurationMs / 1000) * 1000
    if (isHeldByOther && clock.monotonic() < observed.sinceMs + durationMs) return false
    await client.update('coordination.k8s.io/v1/Lease', { ...old, spec: specOf(old)! })
    return true
  }

  async function tryAcquireOrRenew(): Promise<boolean> {
    try {
      return await acquireOrRenew()
    } catch (error) {
      // Someone else was quicker, or the server cannot be reached: both mean 'not now'.
      if (!isApiError(error, 'Conflict', 'AlreadyExists')) log.warn('lease could not be read or written', { error })
      return false
    }
  }

  async function renewUntilLost(leading: AbortController): Promise<void> {
    let renewedMs = clock.monotonic()
    const stop = AbortSignal.any([signal, leading.signal])
    while (!stop.aborted) {
      await pause(retryPeriodMs, stop)
      if (stop.aborted) return
      const isRenewed = await Promise.race([
        tryAcquireOrRenew(),
        sleep(clock, renewDeadlineMs, stop).then(
          () => false,
          () => false,
        ),
      ])
      if (isRenewed) renewedMs = clock.monotonic()
      else if (clock.monotonic() - renewedMs >= renewDeadlineMs) {
        log.error('leadership lost')
        return
      }
    }
  }

  /** Gives the lease up, so that the next leader need not wait for it to expire. */
  async function release(): Promise<void> {
    try {
      const old = await client.get('coordination.k8s.io/v1/Lease', { namespace, name })
      if (old.spec?.holderIdentity !== identity) return
      const now = microTimestamp(clock)
      await client.update('coordination.k8s.io/v1/Lease', {
        ...old,
        spec: { ...old.spec, holderIdentity: '', leaseDurationSeconds: 1, acquireTime: now, renewTime: now },
      })
    } catch (error) {
      log.warn('lease not released: it will expire', { error })
    }
  }

  while (!signal.aborted) {
    if (!(await tryAcquireOrRenew())) {
      await pause(retryPeriodMs * (1 + 1.2 * random.next()), signal)
      continue
    }
    log.info('leading')
    const leading = new AbortController()
    const work = lead(AbortSignal.any([signal, leading.signal])).finally(() => leading.abort())
    await renewUntilLost(leading)
    leading.abort()
    await work
    if (signal.aborted) await release()
  }
}
