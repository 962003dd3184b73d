/**
 * An empty list or map is left out of an object, as Go leaves it out where it writes. Errors about the object still show it, so the
 * decoder notes it under a symbol: JSON, comparisons and loops over names do not see it, and copies keep it.
 */
const EMPTY = Symbol('empty lists and maps')

type Noted = { [EMPTY]?: Record<string, unknown> }

export function noteEmpty(target: object, field: string, value: unknown): void {
  ;((target as Noted)[EMPTY] ??= {})[field] = value
}

/** A field as it was given: an empty list or map, too, which the object itself does not have. */
export const asGiven = <T extends object, K extends keyof T & string>(object: T | undefined, field: K): T[K] | undefined =>
  object?.[field] ?? ((object as Noted | undefined)?.[EMPTY]?.[field] as T[K] | undefined)
