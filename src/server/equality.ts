/** Whether two JSON values say the same. Shared parts are equal at once, so comparing a change with what it came from is cheap. */
export function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, index) => isEqual(item, b[index]))
  if (Array.isArray(b)) return false
  return isEqualMap(a as Readonly<Record<string, unknown>>, b as Readonly<Record<string, unknown>>)
}

/** A key whose value is undefined is as good as absent. */
function isEqualMap(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): boolean {
  for (const key in a) if (!isEqual(a[key], b[key])) return false
  for (const key in b) if (b[key] !== undefined && a[key] === undefined) return false
  return true
}
