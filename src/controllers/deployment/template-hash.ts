/**
 * The pod-template-hash: the same template always gets the same ReplicaSet name, so that a creation tried twice makes one set.
 * Only equality matters; upstream hashes Go's memory layout, this the canonical JSON.
 */
import type { PodTemplateSpec } from '../../api/generated/core/v1.ts'
import { deepEqual } from '../../base/deep-equal.ts'

export const HASH_LABEL = 'pod-template-hash'
const SAFE_LETTERS = 'bcdfghjklmnpqrstvwxz2456789'

/** JSON with sorted keys and without undefined values. */
function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  return `{${fields
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`)
    .join(',')}}`
}

/** FNV-1a, 32 bits. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** The hash in letters that names and labels may hold and that form no words. */
export function hashOf(value: unknown, collisionCount: number | undefined): string {
  const hash = fnv1a(`${canonical(value)}${collisionCount ?? ''}`)
  return String(hash).replace(/./g, (digit) => SAFE_LETTERS[digit.charCodeAt(0) % SAFE_LETTERS.length]!)
}

/** Whether two templates differ in nothing but the hash label. */
export function isSameTemplate(a: PodTemplateSpec | undefined, b: PodTemplateSpec | undefined): boolean {
  if (a === b) return true
  return deepEqual(a?.spec, b?.spec) && deepEqual(withoutHash(a), withoutHash(b))
}

function withoutHash(template: PodTemplateSpec | undefined): unknown {
  const { labels = {}, annotations = {}, creationTimestamp: _time, ...rest } = template?.metadata ?? {}
  const { [HASH_LABEL]: _hash, ...others } = labels
  return { ...rest, labels: others, annotations }
}
