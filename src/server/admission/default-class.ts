/** The class that objects get which name none: the newest that is marked as default, by name where two are of one age. */
import type { KubeObject } from '../../api/object.ts'

export function newestDefault<T extends KubeObject>(classes: readonly T[], isDefault: (candidate: T) => boolean): T | undefined {
  let found: T | undefined
  for (const candidate of classes) if (isDefault(candidate) && (!found || isNewer(candidate, found))) found = candidate
  return found
}

function isNewer(a: KubeObject, b: KubeObject): boolean {
  const difference = Date.parse(a.metadata?.creationTimestamp ?? '') - Date.parse(b.metadata?.creationTimestamp ?? '')
  return difference === 0 ? (a.metadata?.name ?? '') < (b.metadata?.name ?? '') : difference > 0
}
