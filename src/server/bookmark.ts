/** Bookmarks: events without an object that tell a watch how far it has seen (KEP-956, KEP-3157). */
import { Computed, Happening } from './revision.ts'

export const INITIAL_EVENTS_END = 'k8s.io/initial-events-end'

export interface BookmarkKind {
  readonly apiVersion: string
  readonly kind: string
}

export function bookmark(kind: BookmarkKind, revision: number, annotations?: Readonly<Record<string, string>>): Happening {
  const metadata = { resourceVersion: String(revision), ...(annotations ? { annotations } : {}) }
  return new Happening('BOOKMARK', new Computed({ kind: kind.kind, apiVersion: kind.apiVersion, metadata }))
}
