/** Who is asked for leave: the flags about it, or the AuthorizationConfiguration in their place, as the authorizer that the server takes. */
import type { Runtime } from '../base/runtime.ts'
import { loadConnection } from '../client/http/index.ts'
import type { ApiServerOptions } from '../server/api-server.ts'
import { createAbacAuthorizer, parseAbacPolicy } from '../server/authorization/abac.ts'
import { ALLOWED, NO_OPINION, union, type Authorizer, type Verdict } from '../server/authorization/authorizer.ts'
import {
  AUTHORIZER_TYPES,
  nonWebhookTypes,
  readAuthorizationConfiguration,
  type AuthorizerType,
  type ConfiguredAuthorizer,
} from '../server/authorization/configuration.ts'
import { createWebhookAuthorizer } from '../server/authorization/webhook.ts'
import type { Outgoing } from '../server/outgoing.ts'
import { createReviewClient } from '../server/review-client.ts'
import { durationOf, type ApiServerSettings } from './api-server-flags.ts'
import { follow, followed, reading, type Followed } from './followed-file.ts'
import type { Lifecycle } from './lifecycle.ts'
import { UserError } from './user-error.ts'

export interface AuthorizationSetup {
  readonly authorizers: readonly ConfiguredAuthorizer[]
  /** Where the authorizers are those of a file. */
  readonly file?: Followed<readonly ConfiguredAuthorizer[]>
  readonly abac?: Authorizer
}

const WEBHOOK_FLAGS = ['config-file', 'version', 'cache-authorized-ttl', 'cache-unauthorized-ttl'].map(
  (name) => `authorization-webhook-${name}`,
)
/** What upstream implies for a webhook of the flags. */
const WEBHOOK_TIMEOUT_MS = 30_000

/** Undefined: none of the flags is given. */
export function readAuthorizationSetup(settings: ApiServerSettings): AuthorizationSetup | undefined {
  const { 'authorization-config': config, 'authorization-mode': mode, 'authorization-policy-file': policy } = settings
  if (config !== undefined && (mode !== undefined || WEBHOOK_FLAGS.some((name) => settings[name] !== undefined)))
    throw new UserError(
      '--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined',
    )
  const file = followed('authorization configuration', config, readFile, (text, first) => readFile(text, nonWebhookTypes(first)))
  if (!file && mode === undefined && policy === undefined && WEBHOOK_FLAGS.every((name) => settings[name] === undefined)) return undefined
  const authorizers = file?.value ?? ofFlags(settings, (mode ?? 'Node,RBAC').split(','))
  const isAbac = authorizers.some(({ type }) => type === 'ABAC')
  return {
    authorizers,
    ...(file ? { file } : {}),
    ...(isAbac
      ? { abac: reading('authorization policy', policy ?? '', (text) => createAbacAuthorizer(parseAbacPolicy(policy!, text))) }
      : {}),
  }
}

/** With what its kubeconfig files say: one that cannot be read is a fault of the configuration. */
function readFile(text: string, begunWith?: readonly AuthorizerType[]): readonly ConfiguredAuthorizer[] {
  const authorizers = readAuthorizationConfiguration(text, begunWith)
  for (const { webhook } of authorizers) if (webhook) loadConnection(webhook.kubeconfigFile)
  return authorizers
}

function ofFlags(settings: ApiServerSettings, modes: readonly string[]): readonly ConfiguredAuthorizer[] {
  const kubeconfigFile = settings['authorization-webhook-config-file']
  const policy = settings['authorization-policy-file']
  const faults: string[] = []
  for (const mode of modes) {
    if (!AUTHORIZER_TYPES.includes(mode)) faults.push(`authorization-mode ${JSON.stringify(mode)} is not a valid mode`)
    if (mode === 'ABAC' && policy === undefined) faults.push("authorization-mode ABAC's authorization policy file not passed")
    if (mode === 'Webhook' && kubeconfigFile === undefined) faults.push("authorization-mode Webhook's authorization config file not passed")
  }
  if (policy !== undefined && !modes.includes('ABAC')) faults.push('cannot specify --authorization-policy-file without mode ABAC')
  if (kubeconfigFile !== undefined && !modes.includes('Webhook'))
    faults.push('cannot specify --authorization-webhook-config-file without mode Webhook')
  if (new Set(modes).size !== modes.length)
    faults.push(`authorization-mode [${modes.map((mode) => JSON.stringify(mode)).join(' ')}] has mode specified more than once`)
  if (faults.length > 0) throw new UserError(faults.length === 1 ? faults[0]! : `[${faults.join(', ')}]`)
  if (kubeconfigFile !== undefined) reading('authorization webhook', kubeconfigFile, () => loadConnection(kubeconfigFile))
  return modes.map((mode): ConfiguredAuthorizer => {
    const type = mode as AuthorizerType
    if (type !== 'Webhook') return { type, name: type.toLowerCase() }
    const webhook = {
      authorizedTtlMs: durationOf(settings, 'authorization-webhook-cache-authorized-ttl', '5m'),
      unauthorizedTtlMs: durationOf(settings, 'authorization-webhook-cache-unauthorized-ttl', '30s'),
      timeoutMs: WEBHOOK_TIMEOUT_MS,
      version: settings['authorization-webhook-version'] === 'v1' ? ('v1' as const) : ('v1beta1' as const),
      deniesOnFailure: false,
      kubeconfigFile: kubeconfigFile!,
      conditions: [],
    }
    return { type, name: 'default', webhook }
  })
}

type Built = Parameters<Extract<NonNullable<ApiServerOptions['authorizer']>, (own: never) => unknown>>[0]

/** Follows the file as long as the server lives. */
export function startAuthorizer(
  runtime: Runtime,
  lifecycle: Lifecycle,
  outgoing: Outgoing,
  { authorizers, file, abac }: AuthorizationSetup,
  built: Built,
): Authorizer {
  const make = (of: readonly ConfiguredAuthorizer[]): Authorizer =>
    union(of.map((one) => authorizerOf(runtime, outgoing, one, { ...built, abac })))
  let current = make(authorizers)
  if (file) {
    follow(runtime, lifecycle, file, (next) => {
      current = make(next)
    })
  }
  return { authorize: (attributes) => current.authorize(attributes), rulesFor: (user, namespace) => current.rulesFor(user, namespace) }
}

function authorizerOf(
  runtime: Runtime,
  outgoing: Outgoing,
  { type, webhook }: ConfiguredAuthorizer,
  { node, rbac, abac }: Built & { readonly abac: Authorizer | undefined },
): Authorizer {
  switch (type) {
    case 'Node':
      return node
    case 'RBAC':
      return rbac
    case 'ABAC':
      return abac!
    case 'AlwaysAllow':
      return always(ALLOWED)
    case 'AlwaysDeny':
      return always({ ...NO_OPINION, reason: 'Everything is forbidden.' })
    case 'Webhook': {
      const ask = createReviewClient(runtime, outgoing, loadConnection(webhook!.kubeconfigFile).options, webhook!.timeoutMs)
      return createWebhookAuthorizer(runtime.clock, ask, webhook!)
    }
  }
}

const ANYTHING = {
  resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
  nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
}

const always = (verdict: Verdict): Authorizer => ({
  authorize: () => verdict,
  rulesFor: () => (verdict.isAllowed ? ANYTHING : { resourceRules: [], nonResourceRules: [] }),
})
