/**
 * Bootstrap tokens: `abcdef.0123456789abcdef`, kept as Secrets in kube-system, by which a machine that is to become a node asks for its
 * certificate (plugin/pkg/auth/authenticator/token/bootstrap).
 */
import type { Secret } from '../../api/generated/core/v1.ts'
import { constantTimeEqual } from '../../base/constant-time.ts'
import type { Clock } from '../../base/clock.ts'
import type { Reader } from '../resource.ts'
import type { TokenAuthenticator } from './authenticator.ts'

const FORM = /^([a-z0-9]{6})\.([a-z0-9]{16})$/
const TYPE = 'bootstrap.kubernetes.io/token'
const GROUP = 'system:bootstrappers'
const EXTRA_GROUP = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/

export function createBootstrapTokens(clock: Clock, read: Reader, ownAudiences: readonly string[]): TokenAuthenticator {
  return {
    authenticate(token, audiences) {
      const [, id, secret] = FORM.exec(token) ?? []
      if (id === undefined || secret === undefined) return undefined
      const found = read.get('v1/Secret', 'kube-system', `bootstrap-token-${id}`)
      const groups = found && groupsOf(found, id, secret, clock.now())
      const shared = audiences.filter((audience) => ownAudiences.includes(audience))
      if (!groups || (audiences.length > 0 && shared.length === 0)) return undefined
      return { user: { name: `system:bootstrap:${id}`, groups }, audiences: shared }
    },
  }
}

/** The groups of the one who knows the secret; undefined when the token does not count. */
function groupsOf({ metadata, type, data = {} }: Secret, id: string, secret: string, nowMs: number): readonly string[] | undefined {
  const text = (key: string): string => (data[key] ? new TextDecoder().decode(Uint8Array.fromBase64(data[key])) : '')
  if (metadata?.deletionTimestamp || type !== TYPE) return undefined
  if (!constantTimeEqual(text('token-secret'), secret) || text('token-id') !== id) return undefined
  if (text('usage-bootstrap-authentication') !== 'true') return undefined
  const ends = text('expiration')
  // An end that cannot be read has passed.
  if (ends !== '' && !(Date.parse(ends) > nowMs)) return undefined
  const extra = text('auth-extra-groups')
  const groups = extra === '' ? [] : extra.split(',')
  return groups.every((group) => EXTRA_GROUP.test(group)) ? [...new Set([GROUP, ...groups])].toSorted() : undefined
}
