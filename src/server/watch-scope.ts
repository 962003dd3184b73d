/** What a list or a watch can see at all, and what it selects of that. */
import type { KubeObject } from '../api/object.ts'

export type Predicate = (object: KubeObject) => boolean

/** An equality that a selector asks for: what an index answers without looking at all objects. */
export interface Term {
  /** Of the field ("spec.nodeName") or of the label ("app"). */
  readonly name: string
  readonly isLabel: boolean
  readonly value: string
  /** An object's own value; undefined for a label that it does not have. */
  read(object: KubeObject): string | undefined
}

/** One key, or all keys with a prefix ("" or "ns/"). */
export interface WatchScope {
  readonly key?: string
  readonly prefix: string
  /** Equalities that the predicate asks for, too. */
  readonly terms?: readonly Term[]
  /** Names the predicate: watches of one scope and view with the same text share their events. Absent: shared with nobody. */
  readonly selector?: string
}

export const labelTerm = (name: string, value: string): Term => ({
  name,
  isLabel: true,
  value,
  read: ({ metadata }) => {
    const labels = metadata?.labels
    return labels && Object.hasOwn(labels, name) ? labels[name] : undefined
  },
})
