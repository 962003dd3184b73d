/** When a bootstrap token is no longer good (secrets of type bootstrap.kubernetes.io/token). */
import type { Secret } from '../../api/generated/core/v1.ts'

const TYPE = 'bootstrap.kubernetes.io/token'
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/

/** How long it still is, 0 when it is not, or its time cannot be read; undefined for what does not expire. */
export function tokenExpiresAfterMs({ type, data }: Secret, nowMs: number): number | undefined {
  const encoded = data?.['expiration']
  if (type !== TYPE || !encoded) return undefined
  const text = atob(encoded)
  const endMs = RFC3339.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(endMs) ? 0 : Math.max(0, endMs - nowMs)
}
