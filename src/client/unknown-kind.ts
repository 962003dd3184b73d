/** The server does not serve a kind, worded as upstream's meta.NoKindMatchError. Recognised by `isUnknownKind`, not by instanceof. */
import { apiVersionOf, parseKindName } from '../api/schema.ts'

export class UnknownKind extends Error {
  override readonly name = 'UnknownKind'
  readonly kind: string

  constructor(kind: string) {
    const gvk = parseKindName(kind)
    super(`no matches for kind "${gvk.kind}" in version "${apiVersionOf(gvk)}"`)
    this.kind = kind
  }
}

export const isUnknownKind = (error: unknown): error is UnknownKind => error instanceof Error && error.name === 'UnknownKind'
