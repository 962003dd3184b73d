/** Who may do what: the question as every road asks it, and the refusal in upstream's words. */
import type { UserInfo } from '../../api/exchange.ts'
import { failure, type ApiError } from '../../api/status.ts'

export interface Attributes {
  readonly user: UserInfo
  readonly verb: string
  readonly isResource: boolean
  readonly path: string
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  readonly fieldSelector?: string
}

export interface Verdict {
  readonly isAllowed: boolean
  /** Why not, or by which binding; may be empty. */
  readonly reason: string
}

/** What a user may do, as SelfSubjectRulesReview tells it. */
export interface Rules {
  readonly resourceRules: readonly {
    readonly verbs: readonly string[]
    readonly apiGroups: readonly string[]
    readonly resources: readonly string[]
    readonly resourceNames: readonly string[]
  }[]
  readonly nonResourceRules: readonly { readonly verbs: readonly string[]; readonly nonResourceURLs: readonly string[] }[]
}

export interface Authorizer {
  /** Immediate: everything it needs is in the watch cache. */
  authorize(attributes: Attributes): Verdict
  rulesFor(user: UserInfo, namespace: string): Rules
}

/** The group that may do everything, before any rule is read. */
export const MASTERS = 'system:masters'

const sanitize = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

function forbiddenMessage({ user, verb, isResource, path, group, resource, subresource, namespace }: Attributes): string {
  const quoted = JSON.stringify
  if (!isResource) return `User ${quoted(user.name)} cannot ${verb} path ${quoted(path)}`
  const what = `User ${quoted(user.name)} cannot ${verb} resource ${quoted(subresource ? `${resource}/${subresource}` : resource)} in API group ${quoted(group)}`
  return namespace ? `${what} in the namespace ${quoted(namespace)}` : `${what} at the cluster scope`
}

export function forbidden(attributes: Attributes, reason: string): ApiError {
  const { group, resource, name } = attributes
  const text = sanitize(forbiddenMessage(attributes)) + (reason ? `: ${reason}` : '')
  const of = resource || group ? (group ? `${resource}.${group}` : resource) : ''
  const message =
    of === '' ? `forbidden: ${text}` : name === '' ? `${of} is forbidden: ${text}` : `${of} ${JSON.stringify(name)} is forbidden: ${text}`
  const details = { ...(name ? { name } : {}), ...(group ? { group } : {}), ...(resource ? { kind: resource } : {}) }
  return failure('Forbidden', message, { details })
}

export function authorizeOrThrow(authorizer: Authorizer, attributes: Attributes): void {
  if (attributes.user.groups.includes(MASTERS)) return
  const verdict = authorizer.authorize(attributes)
  if (!verdict.isAllowed) throw forbidden(attributes, verdict.reason)
}
