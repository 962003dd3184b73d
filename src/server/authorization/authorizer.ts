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
  /** Of lists, watches and collection deletes. They narrow what is asked: who knows no selectors decides about the whole. */
  readonly fieldSelector?: string
  readonly labelSelector?: string
}

export interface Verdict {
  readonly isAllowed: boolean
  /** Nobody else is to be asked. Without it and without `isAllowed` there is no opinion. */
  readonly isDenied?: true
  /** Why not, or by which binding; may be empty. */
  readonly reason: string
  /** What went wrong on the way: a request that is not allowed fails by it. */
  readonly error?: string
}

/** What a user may do, as SelfSubjectRulesReview tells it. */
export interface Rules {
  readonly resourceRules: readonly {
    readonly verbs: readonly string[]
    readonly apiGroups: readonly string[]
    readonly resources: readonly string[]
    readonly resourceNames?: readonly string[]
  }[]
  readonly nonResourceRules: readonly { readonly verbs: readonly string[]; readonly nonResourceURLs: readonly string[] }[]
  /** Why there may be more than these. */
  readonly incomplete?: string
}

export interface Authorizer {
  /** Immediate where what is needed is in the watch cache; a promise where another program is asked. Never rejects. */
  authorize(attributes: Attributes): Verdict | Promise<Verdict>
  rulesFor(user: UserInfo, namespace: string): Rules
}

export const ALLOWED: Verdict = { isAllowed: true, reason: '' }
export const NO_OPINION: Verdict = { isAllowed: false, reason: '' }

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

/** An authorizer could not be asked (upstream's answer is plain text; ours is a Status with the same words). */
const undecided = ({ path }: Attributes, error: string): ApiError =>
  failure('InternalError', `Internal Server Error: ${JSON.stringify(path)}: ${error}`)

/** Throws at once what is refused at once; a promise only where another program is asked. `told` hears of the verdict first. */
export function authorizeOrThrow(
  authorizer: Authorizer,
  attributes: Attributes,
  told?: (verdict: Verdict) => void,
): Promise<void> | undefined {
  const decide = (verdict: Verdict): void => {
    told?.(verdict)
    check(attributes, verdict)
  }
  const verdict = attributes.user.groups.includes(MASTERS) ? ALLOWED : authorizer.authorize(attributes)
  if (verdict instanceof Promise) return verdict.then(decide)
  decide(verdict)
  return undefined
}

function check(attributes: Attributes, { isAllowed, reason, error }: Verdict): void {
  if (isAllowed) return
  throw error !== undefined ? undecided(attributes, error) : forbidden(attributes, reason)
}

/** Asks one after the other until one decides; reasons of those without an opinion are gathered. */
export function union(authorizers: readonly Authorizer[]): Authorizer {
  if (authorizers.length === 1) return authorizers[0]!
  const ask = (attributes: Attributes, from: number, before: Verdict): Verdict | Promise<Verdict> => {
    let gathered = before
    for (let index = from; index < authorizers.length; index++) {
      const verdict = authorizers[index]!.authorize(attributes)
      if (verdict instanceof Promise) {
        const soFar = gathered
        return verdict.then((decided) =>
          decided.isAllowed || decided.isDenied ? decided : ask(attributes, index + 1, joined(soFar, decided)),
        )
      }
      if (verdict.isAllowed || verdict.isDenied) return verdict
      gathered = joined(gathered, verdict)
    }
    return gathered
  }
  return {
    authorize: (attributes) => ask(attributes, 0, NO_OPINION),
    rulesFor(user, namespace) {
      const all = authorizers.map((authorizer) => authorizer.rulesFor(user, namespace))
      const missing = all.map(({ incomplete }) => incomplete).filter((why) => why !== undefined)
      return {
        resourceRules: all.flatMap(({ resourceRules }) => resourceRules),
        nonResourceRules: all.flatMap(({ nonResourceRules }) => nonResourceRules),
        ...(missing.length > 0 ? { incomplete: listed(missing) } : {}),
      }
    },
  }
}

/** As upstream shows one error or several. */
const listed = (texts: readonly string[]): string => (texts.length === 1 ? texts[0]! : `[${texts.join(', ')}]`)

function joined(a: Verdict, b: Verdict): Verdict {
  if (a.reason === '' && a.error === undefined) return b
  const errors = [a.error, b.error].filter((error) => error !== undefined)
  return {
    isAllowed: false,
    reason: [a.reason, b.reason].filter((reason) => reason !== '').join('\n'),
    ...(errors.length > 0 ? { error: listed(errors) } : {}),
  }
}
