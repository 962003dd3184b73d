/**
 * The flags of the API server about who may do what, and their files, as what the server takes. All are read before anything is started:
 * a wrong one is told at once. The structured files are looked at again while the server runs; one that has become unusable is logged,
 * and the one before it stays in force.
 */
import { dirname, resolve } from 'node:path'
import type { Runtime } from '../base/runtime.ts'
import { parseYaml } from '../api/yaml.ts'
import { loadConnection } from '../client/http/index.ts'
import type { AdmissionChoice } from '../server/admission/index.ts'
import type { ApiServerOptions } from '../server/api-server.ts'
import type { AnonymousAccess, TokenAnswer, TokenAuthenticator } from '../server/authentication/authenticator.ts'
import { createJwtAuthenticator } from '../server/authentication/jwt/authenticator.ts'
import {
  readAuthenticationConfiguration,
  type AuthenticationConfiguration,
  type JwtIssuer,
} from '../server/authentication/jwt/configuration.ts'
import { createKeySet } from '../server/authentication/jwt/key-set.ts'
import { createStaticTokens, parseTokenFile } from '../server/authentication/static-tokens.ts'
import { createWebhookTokens } from '../server/authentication/webhook-tokens.ts'
import { decodeConfiguration } from '../server/configuration/decode.ts'
import { verifySignature } from '../server/http/jws.ts'
import { tokenDigest } from '../server/http/tokens.ts'
import type { Outgoing } from '../server/outgoing.ts'
import { exchangeText } from '../server/outgoing-text.ts'
import { createReviewClient } from '../server/review-client.ts'
import { durationOf, numberOf, truthOf, type ApiServerSettings } from './api-server-flags.ts'
import { readAuthorizationSetup, startAuthorizer, type AuthorizationSetup } from './authorization.ts'
import { follow, followed, messageOf, reading, type Followed } from './followed-file.ts'
import { FRONT_PROXY_CLIENT } from './identities.ts'
import type { Lifecycle } from './lifecycle.ts'
import { UserError } from './user-error.ts'

export interface AccessSetup {
  readonly admission: AdmissionChoice
  readonly isAnonymousAllowed: boolean
  readonly inFlight: NonNullable<ApiServerOptions['inFlight']>
  readonly tokenFile: string | undefined
  readonly tokenWebhook: { readonly file: string; readonly ttlMs: number } | undefined
  readonly authentication: Followed<AuthenticationConfiguration> | undefined
  readonly authorization: AuthorizationSetup | undefined
}

/** What this server's own tokens say. */
export interface OwnTokens {
  readonly issuer: string
  readonly audiences: readonly string[]
}

const TOKEN_WEBHOOK_TTL = '2m'
const TOKEN_WEBHOOK_TIMEOUT_MS = 30_000
const PROVIDER_TIMEOUT_MS = 30_000

export function readAccessSetup(settings: ApiServerSettings, { issuer }: OwnTokens): AccessSetup {
  const webhook = settings['authentication-token-webhook-config-file']
  const isAnonymousAllowed = truthOf(settings, 'anonymous-auth') ?? true
  const authentication = followed('authentication configuration', settings['authentication-config'], (text) =>
    readAuthenticationConfiguration(text, [issuer]),
  )
  if (authentication?.value.anonymous && settings['anonymous-auth'] !== undefined)
    throw new UserError('--anonymous-auth flag cannot be set when anonymous field is configured in authentication configuration file')
  if (webhook !== undefined) reading('authentication webhook', webhook, () => loadConnection(webhook))
  return {
    admission: readAdmission(settings),
    isAnonymousAllowed,
    inFlight: readInFlight(settings),
    tokenFile: settings['token-auth-file'],
    tokenWebhook:
      webhook === undefined
        ? undefined
        : { file: webhook, ttlMs: durationOf(settings, 'authentication-token-webhook-cache-ttl', TOKEN_WEBHOOK_TTL) },
    authentication,
    authorization: readAuthorizationSetup(settings),
  }
}

const MAX_READING = 400
const MAX_WRITING = 200

function readInFlight(settings: ApiServerSettings): AccessSetup['inFlight'] {
  const reading = numberOf(settings, 'max-requests-inflight') ?? MAX_READING
  const writing = numberOf(settings, 'max-mutating-requests-inflight') ?? MAX_WRITING
  const isFair = truthOf(settings, 'enable-priority-and-fairness') ?? true
  if (isFair && reading + writing <= 0)
    throw new UserError(
      `invalid configuration: MaxRequestsInFlight=${reading} and MaxMutatingRequestsInFlight=${writing}; they must add up to something positive`,
    )
  return { reading, writing, isFair }
}

interface AdmissionFile {
  readonly plugins?: readonly { readonly name?: string; readonly path?: string; readonly configuration?: unknown }[]
}

function readAdmission(settings: ApiServerSettings): AdmissionChoice {
  const list = (name: string): readonly string[] => (settings[name] ?? '').split(',').filter((item) => item !== '')
  const file = settings['admission-control-config-file']
  const configurations = new Map<string, unknown>()
  if (file !== undefined) {
    const { plugins = [] } = reading('admission control configuration', file, (text) =>
      decodeConfiguration<AdmissionFile>(text, {
        kind: 'AdmissionConfiguration',
        apiVersions: ['apiserver.config.k8s.io/v1', 'apiserver.k8s.io/v1alpha1'],
        shape: { fields: { plugins: { list: { fields: { name: 'string', path: 'string', configuration: 'any' } } } } },
      }),
    )
    for (const { name = '', path, configuration } of plugins) {
      const given =
        configuration ??
        (path ? reading(`configuration of ${name}`, resolve(dirname(file), path), (text) => parseYaml(text).value) : undefined)
      if (given !== undefined) configurations.set(name, given)
    }
  }
  return { enabled: list('enable-admission-plugins'), disabled: list('disable-admission-plugins'), configurations }
}

export type Access = Pick<
  ApiServerOptions,
  'inFlight' | 'tokenAuthenticators' | 'laterTokenAuthenticators' | 'authentication' | 'authorizer'
>

/** Puts it together, and follows the files as long as the server lives. */
export function startAccess(runtime: Runtime, lifecycle: Lifecycle, outgoing: Outgoing, setup: AccessSetup, own: OwnTokens): Access {
  const { tokenFile, tokenWebhook, authentication, authorization } = setup
  const providers = (configuration: AuthenticationConfiguration | undefined) =>
    (configuration?.issuers ?? []).map((issuer) => jwtAuthenticator(runtime, outgoing, issuer, own.audiences))
  let issuers = providers(authentication?.value)
  let anonymous: AnonymousAccess = authentication?.value.anonymous ?? { isEnabled: setup.isAnonymousAllowed }
  if (authentication) {
    follow(runtime, lifecycle, authentication, (next) => {
      issuers = providers(next)
      anonymous = next.anonymous ?? { isEnabled: setup.isAnonymousAllowed }
    })
  }
  return {
    inFlight: setup.inFlight,
    tokenAuthenticators:
      tokenFile === undefined ? [] : [createStaticTokens(reading('token file', tokenFile, parseTokenFile), tokenDigest, own.audiences)],
    laterTokenAuthenticators: [firstOf(() => issuers), ...(tokenWebhook ? [webhookTokens(runtime, outgoing, tokenWebhook, own)] : [])],
    authentication: { frontProxy: { allowedNames: [FRONT_PROXY_CLIENT] }, anonymous: () => anonymous },
    ...(authorization ? { authorizer: (built) => startAuthorizer(runtime, lifecycle, outgoing, authorization, built) } : {}),
  }
}

function jwtAuthenticator(runtime: Runtime, outgoing: Outgoing, issuer: JwtIssuer, audiences: readonly string[]): TokenAuthenticator {
  const fetchText = async (url: string): Promise<string> => {
    const connection = { server: url, ca: issuer.ca }
    const { status, text } = await exchangeText(runtime.clock, outgoing, connection, { method: 'GET', timeoutMs: PROVIDER_TIMEOUT_MS })
    if (status !== 200) throw new Error(`${status}: ${text.slice(0, 200)}`)
    return text
  }
  const keys = createKeySet(runtime.clock, issuer, fetchText)
  // Ahead of the first token; a provider that is down now is asked again by the next one.
  keys
    .refresh()
    .catch((error: unknown) => runtime.log.warn('an identity provider cannot be asked', { issuer: issuer.url, error: messageOf(error) }))
  return createJwtAuthenticator(runtime.clock, issuer, keys, verifySignature, audiences)
}

/** Each token is of one issuer at most. */
const firstOf = (authenticators: () => readonly TokenAuthenticator[]): TokenAuthenticator => ({
  authenticate(token, audiences) {
    for (const authenticator of authenticators()) {
      const answer: TokenAnswer | Promise<TokenAnswer> = authenticator.authenticate(token, audiences)
      if (answer !== undefined) return answer
    }
    return undefined
  },
})

const webhookTokens = (
  runtime: Runtime,
  outgoing: Outgoing,
  { file, ttlMs }: NonNullable<AccessSetup['tokenWebhook']>,
  { audiences }: OwnTokens,
): TokenAuthenticator =>
  createWebhookTokens(runtime.clock, {
    ask: createReviewClient(runtime, outgoing, loadConnection(file).options, TOKEN_WEBHOOK_TIMEOUT_MS),
    digest: tokenDigest,
    ttlMs,
    ownAudiences: audiences,
  })
