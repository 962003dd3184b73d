/**
 * Results kept between decisions, a value a node. A NodeInfo is an immutable value, so what was worked out for it holds as long as the
 * snapshot still has that very value at the same place; whatever changed is worked out anew. What is worked out must not depend on
 * anything else: what it depends on of the pod is the key that a column is found by.
 *
 * At most `MAXIMUM_COLUMNS` are kept by each owner, the least recently used going first: some templates are scheduled at a time.
 */
import type { NodeInfo } from './node-info.ts'

const MAXIMUM_COLUMNS = 32

export interface Remembered<T> {
  /** The value for the key, made anew when it is not remembered (any more). */
  of(key: string, make: () => T): T
}

export function createRemembered<T>(): Remembered<T> {
  const values = new Map<string, T>()
  return {
    of(key, make) {
      let value = values.get(key)
      if (value === undefined) {
        value = make()
        if (values.size >= MAXIMUM_COLUMNS) values.delete(values.keys().next().value!)
      } else values.delete(key)
      values.set(key, value)
      return value
    },
  }
}

/** Told which nodes are other values than when it was last asked. */
export interface NodeChanges {
  /** Calls `changed` for each place whose node differs from last time; undefined where there was or is none. */
  repair(nodes: readonly NodeInfo[], changed: (now: NodeInfo | undefined, before: NodeInfo | undefined) => void): void
}

export function createNodeChanges(): NodeChanges {
  let seen: (NodeInfo | undefined)[] = []
  let last: readonly NodeInfo[] | undefined
  return {
    repair(nodes, changed) {
      if (nodes === last) return
      last = nodes
      const count = Math.max(nodes.length, seen.length)
      for (let i = 0; i < count; i++) {
        const now = nodes[i]
        const before = seen[i]
        if (now === before) continue
        changed(now, before)
        seen[i] = now
      }
      if (seen.length > nodes.length) seen = seen.slice(0, nodes.length)
    },
  }
}
