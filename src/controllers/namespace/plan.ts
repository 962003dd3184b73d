/** What a namespace that is going says about how far it is. No clock, no I/O. */
import type { NamespaceCondition } from '../../api/generated/core/v1.ts'
import { findCondition } from '../conditions.ts'

/** What one pass over the namespace's content found. */
export interface DeletionReport {
  /** "group/version" to the reason why its resources are not known. */
  readonly discoveryFailures: ReadonlyMap<string, string>
  readonly errors: readonly string[]
  /** By "resource.group", how many objects remain. */
  readonly remaining: ReadonlyMap<string, number>
  readonly finalizers: ReadonlyMap<string, number>
}

interface Wanted {
  readonly type: string
  readonly ok: readonly [reason: string, message: string]
  /** The message while it is true; undefined when all is well. */
  readonly problem: readonly [reason: string, message: string] | undefined
}

const join = (counts: ReadonlyMap<string, number>, text: (name: string, count: number) => string): string =>
  [...counts]
    .map(([name, count]) => text(name, count))
    .toSorted()
    .join(', ')

function wantedOf({ discoveryFailures, errors, remaining, finalizers }: DeletionReport): readonly Wanted[] {
  const failures = [...discoveryFailures].map(([groupVersion, reason]) => `${groupVersion}: ${reason}`).join(', ')
  return [
    {
      type: 'NamespaceDeletionDiscoveryFailure',
      ok: ['ResourcesDiscovered', 'All resources successfully discovered'],
      problem:
        discoveryFailures.size > 0
          ? [
              'DiscoveryFailed',
              `Discovery failed for some groups, ${discoveryFailures.size} failing: unable to retrieve the complete list of server APIs: ${failures}`,
            ]
          : undefined,
    },
    {
      type: 'NamespaceDeletionGroupVersionParsingFailure',
      ok: ['ParsedGroupVersions', 'All legacy kube types successfully parsed'],
      problem: undefined,
    },
    {
      type: 'NamespaceDeletionContentFailure',
      ok: ['ContentDeleted', 'All content successfully deleted, may be waiting on finalization'],
      problem:
        errors.length > 0
          ? ['ContentDeletionFailed', `Failed to delete all resource types, ${errors.length} remaining: ${errors.toSorted().join(', ')}`]
          : undefined,
    },
    {
      type: 'NamespaceContentRemaining',
      ok: ['ContentRemoved', 'All content successfully removed'],
      problem:
        remaining.size > 0
          ? [
              'SomeResourcesRemain',
              `Some resources are remaining: ${join(remaining, (name, count) => `${name} has ${count} resource instances`)}`,
            ]
          : undefined,
    },
    {
      type: 'NamespaceFinalizersRemaining',
      ok: ['ContentHasNoFinalizers', 'All content-preserving finalizers finished'],
      problem:
        finalizers.size > 0
          ? [
              'SomeFinalizersRemain',
              `Some content in the namespace has finalizers remaining: ${join(finalizers, (name, count) => `${name} in ${count} resource instances`)}`,
            ]
          : undefined,
    },
  ]
}

/** The conditions as they should be; the same list when nothing differs. */
export function planConditions(
  current: readonly NamespaceCondition[] | undefined,
  report: DeletionReport,
  now: string,
): readonly NamespaceCondition[] | undefined {
  let conditions = current
  for (const { type, ok, problem } of wantedOf(report)) {
    const status = problem ? 'True' : 'False'
    const [reason, message] = problem ?? ok
    const old = findCondition(conditions, type)
    if (old && old.status === status && old.reason === reason && old.message === message) continue
    const lastTransitionTime = old && old.status === status && old.lastTransitionTime ? old.lastTransitionTime : now
    const next: NamespaceCondition = { type, status, reason, message, lastTransitionTime }
    conditions = old ? conditions!.map((condition) => (condition === old ? next : condition)) : [...(conditions ?? []), next]
  }
  return conditions
}

const SHORTEST_WAIT_MS = 250
const LONGEST_WAIT_MS = 15_000

/** The longer it lasts, the rarer another look: what remains waits for someone else's finalizer. */
export const waitMs = (sinceDeletionMs: number): number => Math.min(LONGEST_WAIT_MS, Math.max(SHORTEST_WAIT_MS, sinceDeletionMs / 4))
