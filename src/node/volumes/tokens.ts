/**
 * Service account tokens of one pod: requested for each audience that a projected volume names, bound to the pod, and asked for
 * anew when 80% of their life has passed (or a day), while the old one is still good.
 */
import type { Pod, VolumeProjection } from '../../api/generated/core/v1.ts'
import type { TokenRequest } from '../../api/generated/authentication/v1.ts'
import type { Runtime } from '../../base/runtime.ts'
import type { Client } from '../../client/client.ts'

export type TokenSource = NonNullable<VolumeProjection['serviceAccountToken']>

const DEFAULT_SECONDS = 3600
const REFRESH_AFTER = 0.8
const MAX_AGE_MS = 24 * 3_600_000

interface Token {
  readonly text: string
  readonly refreshAtMs: number
  readonly expiresAtMs: number
}

const keyOf = (source: TokenSource) => `${source.audience ?? ''} ${source.expirationSeconds ?? DEFAULT_SECONDS}`

export interface PodTokens {
  /** Requests what is missing or old. Rejects when a token cannot be had and there is no good old one. */
  refresh(sources: readonly TokenSource[]): Promise<void>
  /** Of the last refresh. */
  get(source: TokenSource): string
  /** When the next one grows old. */
  readonly refreshAtMs: number | undefined
}

export function createPodTokens(runtime: Runtime, client: Client, pod: Pod): PodTokens {
  const { clock } = runtime
  const tokens = new Map<string, Token>()

  async function request(source: TokenSource): Promise<Token> {
    const { namespace = '', name = '', uid = '' } = pod.metadata ?? {}
    const body: TokenRequest = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        audiences: source.audience ? [source.audience] : [],
        expirationSeconds: source.expirationSeconds ?? DEFAULT_SECONDS,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
      },
    }
    const account = { namespace, name: pod.spec?.serviceAccountName || 'default' }
    const answer = (await client.createSubresource('v1/ServiceAccount', account, 'token', body)) as TokenRequest
    const nowMs = clock.now()
    const expiresAtMs = Date.parse(answer.status?.expirationTimestamp ?? '') || nowMs + DEFAULT_SECONDS * 1000
    return {
      text: answer.status?.token ?? '',
      expiresAtMs,
      refreshAtMs: nowMs + Math.min((expiresAtMs - nowMs) * REFRESH_AFTER, MAX_AGE_MS),
    }
  }

  return {
    async refresh(sources) {
      await Promise.all(
        sources.map(async (source) => {
          const key = keyOf(source)
          const old = tokens.get(key)
          if (old && old.refreshAtMs > clock.now()) return
          try {
            tokens.set(key, await request(source))
          } catch (error) {
            if (!old || old.expiresAtMs <= clock.now()) throw error
            const nowMs = clock.now()
            tokens.set(key, { ...old, refreshAtMs: nowMs + (old.expiresAtMs - nowMs) / 10 })
            runtime.log.warn('service account token not renewed', { pod: pod.metadata?.name, error: String(error) })
          }
        }),
      )
    },
    get: (source) => tokens.get(keyOf(source))?.text ?? '',
    get refreshAtMs() {
      let earliest: number | undefined
      for (const { refreshAtMs } of tokens.values()) earliest = Math.min(earliest ?? refreshAtMs, refreshAtMs)
      return earliest
    },
  }
}
