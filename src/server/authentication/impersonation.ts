/**
 * Acting as someone else (Impersonate-User, -Group, -Uid, -Extra-*). Constrained impersonation (KEP-5284) is tried first: who may use
 * `impersonate:MODE` on the wanted user and `impersonate-on:MODE:VERB` on what the request is about may do that much as that user. Then
 * the older way, by which whoever has `impersonate` on each part acts as that user in everything
 * (k8s.io/apiserver/pkg/endpoints/filters/impersonation).
 */
import type { ApiRequest, UserInfo } from '../../api/exchange.ts'
import { dns1123SubdomainFaults } from '../../api/names.ts'
import { badRequest, isApiError, type ApiError } from '../../api/status.ts'
import { authorizeOrThrow, forbidden, MASTERS, type Attributes, type Authorizer } from '../authorization/authorizer.ts'
import { checkDomainPrefixedPath, type FieldErrors } from '../resources/rules.ts'
import { AUTHENTICATED } from './authenticator.ts'
import { allValues, unescapeHeaderKey } from './headers.ts'

const EXTRA = 'impersonate-extra-'
const NODE_PREFIX = 'system:node:'
const UNAUTHENTICATED = 'system:unauthenticated'
const NODE_OF_ACCOUNT = 'authentication.kubernetes.io/node-name'

type Wanted = Required<Pick<UserInfo, 'name' | 'groups'>> & {
  readonly uid: string
  readonly extra: Readonly<Record<string, readonly string[]>>
}

/** The one who asks, or the one that is wanted; `asked` is what the request is about. Throws what refuses it. */
export function impersonate(authorizer: Authorizer, request: ApiRequest, asked: Attributes): UserInfo | Promise<UserInfo> {
  const wanted = wantedUser(request)
  return wanted ? act(authorizer, wanted, asked) : asked.user
}

function wantedUser(request: ApiRequest): Wanted | undefined {
  const { headers } = request
  let extra: Record<string, readonly string[]> | undefined
  for (const header in headers) {
    if (!header.startsWith(EXTRA)) continue
    extra ??= {}
    extra[unescapeHeaderKey(header.slice(EXTRA.length))] = allValues(request, header)
  }
  const wanted: Wanted = {
    name: headers['impersonate-user'] ?? '',
    uid: headers['impersonate-uid'] ?? '',
    groups: allValues(request, 'impersonate-group'),
    extra: extra ?? {},
  }
  if (wanted.name !== '') return wanted
  if (wanted.uid === '' && wanted.groups.length === 0 && extra === undefined) return undefined
  throw badRequest(`requested ${shown(wanted)} without impersonating a user name`)
}

/** As Go prints the structure. */
function shown({ uid, groups, extra }: Wanted): string {
  const list = (values: readonly string[]): string => `{${values.map((value) => JSON.stringify(value)).join(', ')}}`
  const keys = Object.keys(extra)
  const extras = keys.length === 0 ? '(nil)' : `{${keys.map((key) => `${JSON.stringify(key)}:[]string${list(extra[key]!)}`).join(', ')}}`
  return `&user.DefaultInfo{Name:"", UID:${JSON.stringify(uid)}, Groups:[]string${groups.length === 0 ? '(nil)' : list(groups)}, Extra:map[string][]string${extras}}`
}

interface Mode {
  readonly name: string
  isFor(wanted: Wanted, requestor: UserInfo): boolean
}

const isBare = ({ uid, groups, extra }: Wanted): boolean => uid === '' && groups.length === 0 && Object.keys(extra).length === 0

const nodeOf = (name: string): string | undefined => {
  const node = name.startsWith(NODE_PREFIX) ? name.slice(NODE_PREFIX.length) : ''
  return node !== '' && dns1123SubdomainFaults(node).length === 0 ? node : undefined
}

const accountOf = (name: string): { readonly namespace: string; readonly name: string } | undefined => {
  const found = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name)
  return found ? { namespace: found[1]!, name: found[2]! } : undefined
}

function isOnNode(requestor: UserInfo, node: string | undefined): boolean {
  const own = requestor.extra?.[NODE_OF_ACCOUNT]
  return node !== undefined && accountOf(requestor.name) !== undefined && own?.length === 1 && own[0] === node
}

const ASSOCIATED = 'associated-node'

const MODES: readonly Mode[] = [
  { name: ASSOCIATED, isFor: (wanted, requestor) => isBare(wanted) && isOnNode(requestor, nodeOf(wanted.name)) },
  { name: 'arbitrary-node', isFor: (wanted) => isBare(wanted) && nodeOf(wanted.name) !== undefined },
  { name: 'serviceaccount', isFor: (wanted) => isBare(wanted) && accountOf(wanted.name) !== undefined },
  { name: 'user-info', isFor: ({ name }) => nodeOf(name) === undefined && accountOf(name) === undefined },
]

async function act(authorizer: Authorizer, wanted: Wanted, asked: Attributes): Promise<UserInfo> {
  let first: ApiError | undefined
  for (const mode of [...MODES.filter(({ isFor }) => isFor(wanted, asked.user)), undefined]) {
    try {
      return await actIn(authorizer, mode, wanted, asked)
    } catch (error) {
      if (!isApiError(error)) throw error
      first ??= error
    }
  }
  throw first!
}

/** Without a mode: the older way. */
async function actIn(authorizer: Authorizer, mode: Mode | undefined, wanted: Wanted, asked: Attributes): Promise<UserInfo> {
  if (mode) {
    const verb = `impersonate-on:${mode.name}:${asked.verb}`
    await authorizeOrThrow(authorizer, { ...asked, user: askerIn(mode, asked.user), verb })
  }
  return new Check(authorizer, askerIn(mode, asked.user), mode).userOf(wanted)
}

/** An account that acts as the node it runs on is the same one on every node: authorizers see no node in its extra values. */
const askerIn = (mode: Mode | undefined, asker: UserInfo): UserInfo =>
  mode?.name === ASSOCIATED
    ? { ...asker, extra: { 'authentication.kubernetes.io/associated-node-keys': Object.keys(asker.extra ?? {}).toSorted() } }
    : asker

/** From so many values on, leave to use all of them is asked for first. */
const MANY = 4

class Check {
  readonly #authorizer: Authorizer
  readonly #asker: UserInfo
  readonly #mode: Mode | undefined

  constructor(authorizer: Authorizer, asker: UserInfo, mode: Mode | undefined) {
    this.#authorizer = authorizer
    this.#asker = asker
    this.#mode = mode
  }

  async userOf(wanted: Wanted): Promise<UserInfo> {
    const { name, uid, groups, extra } = wanted
    const ofName = await this.#name(wanted)
    if (uid !== '') await this.#allow({ group: 'authentication.k8s.io', resource: 'uids', name: uid })
    await this.#groups(groups)
    await this.#extra(extra)
    const all = groups.length === 0 ? ofName : groups
    const hasExtra = Object.keys(extra).length > 0
    return { name, groups: withEverybody(name, all), ...(uid === '' ? {} : { uid }), ...(hasExtra ? { extra } : {}) }
  }

  /** The groups that come with the name. */
  async #name({ name, groups }: Wanted): Promise<readonly string[]> {
    const node = this.#mode ? nodeOf(name) : undefined
    const account = accountOf(name)
    if (node !== undefined) await this.#allow({ group: this.#group, resource: 'nodes', name: this.#mode!.name === ASSOCIATED ? '*' : node })
    else if (account) await this.#allow({ group: this.#group, resource: 'serviceaccounts', ...account })
    else await this.#allow({ group: this.#group, resource: 'users', name })
    if (node !== undefined) return ['system:nodes']
    return account && groups.length === 0 ? ['system:serviceaccounts', `system:serviceaccounts:${account.namespace}`] : []
  }

  async #groups(groups: readonly string[]): Promise<void> {
    const asked = { group: this.#group, resource: 'groups' }
    if (this.#mode) {
      if (groups.includes('')) throw this.#refusal(asked, 'impersonating the empty string group is not allowed')
      if (groups.includes(MASTERS)) throw this.#refusal({ ...asked, name: MASTERS }, `impersonating the ${MASTERS} group is not allowed`)
      if (groups.length >= MANY && (await this.#may({ ...asked, name: '*' }))) return
    }
    for (const name of groups) await this.#allow({ ...asked, name })
  }

  async #extra(extra: Wanted['extra']): Promise<void> {
    const asked = { group: 'authentication.k8s.io', resource: 'userextras' }
    const entries = Object.entries(extra)
    if (this.#mode) {
      const fault = extraFault(entries)
      if (fault !== undefined) throw this.#refusal(asked, fault)
      const isLarge = entries.length >= MANY || entries.flatMap(([, values]) => values).length >= MANY
      if (isLarge && (await this.#may({ ...asked, subresource: '*', name: '*' }))) return
    }
    for (const [key, values] of entries) {
      for (const value of values) await this.#allow({ ...asked, subresource: key, name: value })
    }
  }

  get #group(): string {
    return this.#mode ? 'authentication.k8s.io' : ''
  }

  #attributes(asked: Partial<Attributes>): Attributes {
    const verb = this.#mode ? `impersonate:${this.#mode.name}` : 'impersonate'
    return { ...BLANK, user: this.#asker, verb, ...asked }
  }

  async #allow(asked: Partial<Attributes>): Promise<void> {
    await authorizeOrThrow(this.#authorizer, this.#attributes(asked))
  }

  async #may(asked: Partial<Attributes>): Promise<boolean> {
    if (this.#asker.groups.includes(MASTERS)) return true
    return (await this.#authorizer.authorize(this.#attributes(asked))).isAllowed
  }

  #refusal(asked: Partial<Attributes>, why: string): ApiError {
    return forbidden(this.#attributes(asked), why)
  }
}

const BLANK = { isResource: true, path: '', group: '', version: 'v1', resource: '', subresource: '', namespace: '', name: '' }

/** Everybody but the anonymous is authenticated, unless it was said otherwise. */
function withEverybody(name: string, groups: readonly string[]): readonly string[] {
  if (groups.includes(UNAUTHENTICATED)) return groups
  const everybody = name === 'system:anonymous' ? UNAUTHENTICATED : AUTHENTICATED
  return groups.includes(everybody) ? groups : [...groups, everybody]
}

function extraFault(entries: readonly (readonly [string, readonly string[]])[]): string | undefined {
  for (const [key, values] of entries) {
    if (key === '') return 'impersonating the empty string key in extra is not allowed'
    const errors: FieldErrors = []
    checkDomainPrefixedPath(errors, 'extra.key', key)
    const faults = errors.map(({ field, detail }) => `${field}: ${detail}`)
    if (faults.length > 0)
      return `impersonating an invalid key in extra is not allowed: ${faults.length === 1 ? faults[0] : `[${faults.join(', ')}]`}`
    if (key !== key.toLowerCase()) return `impersonating a non-lowercase key in extra is not allowed: ${JSON.stringify(key)}`
    if (values.length === 0) return 'impersonating empty values in extra is not allowed'
    if (values.includes('')) return 'impersonating the empty string value in extra is not allowed'
  }
  return undefined
}
