/**
 * Acting as someone else (Impersonate-User, -Group, -Uid, -Extra-*): each part must be allowed to the one who asks, as the verb
 * `impersonate` (k8s.io/apiserver/pkg/endpoints/filters/impersonation.go).
 */
import type { UserInfo } from '../../api/exchange.ts'
import { badRequest } from '../../api/status.ts'
import { authorizeOrThrow, type Attributes, type Authorizer } from '../authorization/authorizer.ts'
import { AUTHENTICATED } from './authenticator.ts'

type Headers = Readonly<Record<string, string | undefined>>

const EXTRA = 'impersonate-extra-'

/** How several values of one header arrive: the adapter joins them by this. */
const SEPARATOR = ','

export function impersonate(authorizer: Authorizer, asked: UserInfo, headers: Headers): UserInfo {
  const name = headers['impersonate-user']
  const groups = values(headers['impersonate-group'])
  const uid = headers['impersonate-uid']
  const extra = extraOf(headers)
  if (name === undefined) {
    if (groups.length === 0 && uid === undefined && extra === undefined) return asked
    throw badRequest(`requested [${[...groups, uid, ...Object.keys(extra ?? {})].filter(Boolean).join(' ')}] without impersonating a user`)
  }
  const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name)
  const check = (attributes: Partial<Attributes>) => authorizeOrThrow(authorizer, { ...IMPERSONATE, user: asked, ...attributes })
  if (account) check({ resource: 'serviceaccounts', namespace: account[1]!, name: account[2]! })
  else check({ resource: 'users', name })
  for (const group of groups) check({ resource: 'groups', name: group })
  if (uid !== undefined) check({ group: 'authentication.k8s.io', version: 'v1', resource: 'uids', name: uid })
  for (const [key, texts] of Object.entries(extra ?? {})) {
    for (const text of texts) check({ group: 'authentication.k8s.io', version: 'v1', resource: 'userextras', subresource: key, name: text })
  }
  return { name, groups: allGroups(name, groups, account?.[1]), ...(uid === undefined ? {} : { uid }), ...(extra ? { extra } : {}) }
}

const IMPERSONATE = {
  verb: 'impersonate',
  isResource: true,
  path: '',
  group: '',
  version: 'v1',
  resource: '',
  subresource: '',
  namespace: '',
  name: '',
}

const values = (header: string | undefined): readonly string[] =>
  header === undefined
    ? []
    : header
        .split(SEPARATOR)
        .map((text) => text.trim())
        .filter((text) => text !== '')

/** A service account has its groups, everybody but the anonymous is authenticated. */
function allGroups(name: string, groups: readonly string[], namespace: string | undefined): readonly string[] {
  const own = namespace === undefined || groups.length > 0 ? groups : ['system:serviceaccounts', `system:serviceaccounts:${namespace}`]
  if (name === 'system:anonymous') return own.includes('system:unauthenticated') ? own : [...own, 'system:unauthenticated']
  return own.includes(AUTHENTICATED) || own.includes('system:unauthenticated') ? own : [...own, AUTHENTICATED]
}

function extraOf(headers: Headers): Readonly<Record<string, readonly string[]>> | undefined {
  let extra: Record<string, readonly string[]> | undefined
  for (const header in headers) {
    if (!header.startsWith(EXTRA)) continue
    extra ??= {}
    extra[decodeURIComponent(header.slice(EXTRA.length))] = values(headers[header])
  }
  return extra
}
