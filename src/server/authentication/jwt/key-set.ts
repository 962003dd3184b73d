/**
 * The keys of an identity provider: found by its discovery document (OpenID Connect Discovery 1.0), kept, and asked for anew when a token
 * names one that is not there, for providers change their keys.
 */
import type { Clock } from '../../../base/clock.ts'

export type Jwk = Readonly<Record<string, unknown>>

/** The text of a document of the provider; rejects with an Error. */
export type FetchText = (url: string) => Promise<string>

export interface KeySet {
  /** Keys that may have signed; those that are known, without asking. */
  known(): readonly Jwk[]
  /** Asks the provider again, though not more often than is decent. Rejects when it cannot be asked. */
  refresh(): Promise<readonly Jwk[]>
  /** Why the provider could not be asked last. */
  readonly fault: string | undefined
}

const WELL_KNOWN = '/.well-known/openid-configuration'
/** Tokens with made-up key names must not make a flood of questions. */
const MIN_INTERVAL_MS = 5000
const MAX_KEYS = 100

export function createKeySet(clock: Clock, issuer: { readonly url: string; readonly discoveryUrl?: string }, fetchText: FetchText): KeySet {
  let keys: readonly Jwk[] = []
  let jwksUrl: string | undefined
  let fault: string | undefined
  let askedMs: number | undefined
  let asking: Promise<readonly Jwk[]> | undefined

  async function ask(): Promise<readonly Jwk[]> {
    askedMs = clock.monotonic()
    try {
      jwksUrl ??= await discover()
      const found = (parsed(await fetchText(jwksUrl), jwksUrl) as { readonly keys?: unknown }).keys
      if (!Array.isArray(found)) throw new Error(`oidc: failed to get keys: no keys at ${jwksUrl}`)
      keys = (found as readonly Jwk[]).slice(0, MAX_KEYS)
      fault = undefined
      return keys
    } catch (error) {
      fault = error instanceof Error ? error.message : String(error)
      throw error
    }
  }

  async function discover(): Promise<string> {
    const url = issuer.discoveryUrl ?? issuer.url.replace(/\/$/, '') + WELL_KNOWN
    const document = parsed(await fetchText(url), url) as { readonly issuer?: unknown; readonly jwks_uri?: unknown }
    if (document.issuer !== issuer.url) {
      throw new Error(
        `oidc: issuer did not match the issuer returned by provider, expected ${JSON.stringify(issuer.url)} got ${JSON.stringify(document.issuer)}`,
      )
    }
    const jwks = document.jwks_uri
    if (typeof jwks !== 'string' || URL.parse(jwks)?.protocol !== 'https:') throw new Error('provider did not return JWKS URL')
    return jwks
  }

  return {
    known: () => keys,
    refresh() {
      if (asking) return asking
      if (askedMs !== undefined && clock.monotonic() - askedMs < MIN_INTERVAL_MS) return Promise.resolve(keys)
      asking = ask().finally(() => {
        asking = undefined
      })
      return asking
    },
    get fault() {
      return fault
    },
  }
}

function parsed(text: string, url: string): object {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  throw new Error(`oidc: ${url} is no JSON object`)
}
