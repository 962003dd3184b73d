/**
 * Tokens that are known beforehand: those of a token file (`token,user,uid,"group1,group2"` a line, upstream's --token-auth-file), and of
 * tests. They are found by their digest: how long a look-up takes tells nothing about a token.
 */
import type { UserInfo } from '../../api/exchange.ts'
import { ConfigurationError } from '../configuration/decode.ts'
import type { TokenAuthenticator } from './authenticator.ts'

/** A digest that differs altogether when one bit of the token does. */
export type Digest = (text: string) => string

export function createStaticTokens(
  users: ReadonlyMap<string, UserInfo>,
  digest: Digest,
  ownAudiences: readonly string[],
): TokenAuthenticator {
  const byDigest = new Map(Array.from(users, ([token, user]) => [digest(token), user]))
  return {
    authenticate(token, audiences) {
      const user = byDigest.get(digest(token))
      const shared = audiences.filter((audience) => ownAudiences.includes(audience))
      return user && (audiences.length === 0 || shared.length > 0) ? { user, audiences: shared } : undefined
    },
  }
}

const MAX_LINES = 100_000

export function parseTokenFile(text: string): ReadonlyMap<string, UserInfo> {
  const users = new Map<string, UserInfo>()
  const lines = text.split(/\r?\n/)
  if (lines.length > MAX_LINES) throw new ConfigurationError(`more than ${MAX_LINES} tokens`)
  for (const [index, line] of lines.entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const [token = '', name = '', uid = '', groups = ''] = fieldsOf(line)
    if (name === '' || line.split(',').length < 3)
      throw new ConfigurationError(`token file: line ${index + 1} must have at least 3 columns (token, user name, user uid)`)
    if (token === '') continue
    users.set(token, { name, ...(uid ? { uid } : {}), groups: groups === '' ? [] : groups.split(',') })
  }
  return users
}

/** Of a line of CSV (RFC 4180) without line breaks in fields. */
const fieldsOf = (line: string): readonly string[] =>
  Array.from(line.matchAll(/(?:^|,)\s*(?:"((?:[^"]|"")*)"|([^,]*))/g), ([, quoted, plain = '']) =>
    quoted === undefined ? plain.trim() : quoted.replaceAll('""', '"'),
  )
