/**
 * Bearer tokens that another program judges: it gets a TokenReview and answers who that is (plugin/pkg/authenticator/token/webhook).
 * Tokens are remembered by their digest alone.
 */
import type { UserInfo } from '../../api/exchange.ts'
import type { Clock } from '../../base/clock.ts'
import { ExpiringCache } from '../../base/expiring-cache.ts'
import type { AskReview } from '../review-client.ts'
import type { TokenAnswer, TokenAuthenticator } from './authenticator.ts'
import type { Digest } from './static-tokens.ts'

const MAX_REMEMBERED = 4096

export interface WebhookTokenOptions {
  readonly ask: AskReview
  readonly digest: Digest
  /** How long an answer counts (upstream: 2 minutes). */
  readonly ttlMs: number
  /** Those of this server, which answers that name none are for. */
  readonly ownAudiences: readonly string[]
}

interface Status {
  readonly authenticated?: unknown
  readonly user?: {
    readonly username?: unknown
    readonly uid?: unknown
    readonly groups?: unknown
    readonly extra?: Readonly<Record<string, unknown>>
  }
  readonly audiences?: unknown
  readonly error?: unknown
}

export function createWebhookTokens(clock: Clock, { ask, digest, ttlMs, ownAudiences }: WebhookTokenOptions): TokenAuthenticator {
  const cache = new ExpiringCache<NonNullable<TokenAnswer> | 'unknown'>(clock, MAX_REMEMBERED, (answer) =>
    answer === 'unknown' || 'user' in answer ? ttlMs : 0,
  )
  return {
    async authenticate(token, audiences) {
      const spec = { token, ...(audiences.length > 0 ? { audiences } : {}) }
      const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec }
      try {
        const answer = await cache.ask(`${digest(token)} ${audiences.join(' ')}`, async () => {
          const status = (await ask(review)) as Status
          return answerOf(status, audiences, ownAudiences) ?? 'unknown'
        })
        return answer === 'unknown' ? undefined : answer
      } catch (error) {
        return { error: error instanceof Error ? error.message : String(error) }
      }
    },
  }
}

const strings = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : []

function answerOf(status: Status, asked: readonly string[], ownAudiences: readonly string[]): TokenAnswer {
  if (status.authenticated !== true) return typeof status.error === 'string' && status.error !== '' ? { error: status.error } : undefined
  // A program that knows no audiences has judged the token for this server.
  const told = status.audiences === undefined ? ownAudiences : strings(status.audiences)
  const audiences = asked.filter((audience) => told.includes(audience))
  if (asked.length > 0 && audiences.length === 0) return undefined
  const user = userOf(status.user ?? {})
  return user && { user, audiences }
}

function userOf({ username, uid, groups, extra }: NonNullable<Status['user']>): UserInfo | undefined {
  if (typeof username !== 'string' || username === '') return undefined
  const values = Object.entries(extra ?? {}).map(([key, value]) => [key, strings(value)] as const)
  return {
    name: username,
    groups: strings(groups),
    ...(typeof uid === 'string' && uid !== '' ? { uid } : {}),
    ...(values.length > 0 ? { extra: Object.fromEntries(values) } : {}),
  }
}
