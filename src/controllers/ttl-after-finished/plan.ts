/** When a Job that has ended is to be deleted (KEP-592). */
import type { Job } from '../../api/generated/batch/v1.ts'
import { timeOf } from '../pods/pod-state.ts'

/** How long until its time is over, 0 when it is; undefined for a Job that is not to be deleted. */
export function expiresAfterMs({ metadata, spec, status }: Job, nowMs: number): number | undefined {
  const ttlSeconds = spec?.ttlSecondsAfterFinished
  const ended = status?.conditions?.find(({ type, status: value }) => (type === 'Complete' || type === 'Failed') && value === 'True')
  const endedMs = timeOf(ended?.lastTransitionTime)
  if (ttlSeconds === undefined || endedMs === undefined || metadata?.deletionTimestamp) return undefined
  return Math.max(0, endedMs + ttlSeconds * 1000 - nowMs)
}
