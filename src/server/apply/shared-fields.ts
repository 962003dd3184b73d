/**
 * Objects that are made alike have owners of the same fields: they share one set, so that a hundred thousand pods of a few
 * templates keep a few sets in memory and not a hundred thousand.
 */
import type { FieldSet } from '../../api/apply/field-set.ts'

const KNOWN_LIMIT = 5000
/** Larger sets are of few objects. */
const MAX_LENGTH = 8192

const known = new Map<string, FieldSet>()

export function shared(fields: FieldSet): FieldSet {
  const text = JSON.stringify(fields)
  if (text.length > MAX_LENGTH) return fields
  const same = known.get(text)
  if (same) return same
  if (known.size >= KNOWN_LIMIT) known.clear()
  known.set(text, fields)
  return fields
}
