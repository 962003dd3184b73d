/** Values such as maxSurge: a number, or a percentage of a total. */
import type { IntOrString } from '../api/generated/meta/v1.ts'

/** The value for a total; `absent` when it was not given. Validation has refused other texts than percentages before. */
export function scaledValue(value: IntOrString | undefined, total: number, rounding: 'up' | 'down', absent = 0): number {
  if (value === undefined) return absent
  if (typeof value === 'number') return value
  const share = (Number.parseInt(value, 10) * total) / 100
  return rounding === 'up' ? Math.ceil(share) : Math.floor(share)
}
