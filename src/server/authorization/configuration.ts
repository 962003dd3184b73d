/** AuthorizationConfiguration (apiserver.config.k8s.io, KEP-3221): who is asked for leave, in which order. Refused whole when it cannot be used. */
import { dns1123SubdomainFaults } from '../../api/names.ts'
import { goDuration } from '../../base/go-duration.ts'
import { ConfigurationError, decodeConfiguration, durationMs, type ConfigurationKind } from '../configuration/decode.ts'
import { duplicate, invalid, notSupported, required, tooMany, type FieldErrors } from '../resources/rules.ts'
import { compileReviewCondition, type ReviewCondition } from './review-conditions.ts'

export type AuthorizerType = 'ABAC' | 'AlwaysAllow' | 'AlwaysDeny' | 'Node' | 'RBAC' | 'Webhook'

export interface WebhookSettings {
  readonly authorizedTtlMs: number
  readonly unauthorizedTtlMs: number
  readonly timeoutMs: number
  readonly version: 'v1' | 'v1beta1'
  readonly deniesOnFailure: boolean
  readonly kubeconfigFile: string
  readonly conditions: readonly ReviewCondition[]
}

export interface ConfiguredAuthorizer {
  readonly type: AuthorizerType
  readonly name: string
  readonly webhook?: WebhookSettings
}

interface Written {
  readonly authorizers?: readonly {
    readonly type?: string
    readonly name?: string
    readonly webhook?: WrittenWebhook
  }[]
}

interface WrittenWebhook {
  readonly authorizedTTL?: string
  readonly cacheAuthorizedRequests?: boolean
  readonly unauthorizedTTL?: string
  readonly cacheUnauthorizedRequests?: boolean
  readonly timeout?: string
  readonly subjectAccessReviewVersion?: string
  readonly matchConditionSubjectAccessReviewVersion?: string
  readonly failurePolicy?: string
  readonly connectionInfo?: { readonly type?: string; readonly kubeConfigFile?: string }
  readonly matchConditions?: readonly { readonly expression?: string }[]
}

const KIND: ConfigurationKind = {
  kind: 'AuthorizationConfiguration',
  apiVersions: ['v1', 'v1beta1', 'v1alpha1'].map((version) => `apiserver.config.k8s.io/${version}`),
  shape: {
    fields: {
      authorizers: {
        list: {
          fields: {
            type: 'string',
            name: 'string',
            webhook: {
              fields: {
                authorizedTTL: 'duration',
                cacheAuthorizedRequests: 'boolean',
                unauthorizedTTL: 'duration',
                cacheUnauthorizedRequests: 'boolean',
                timeout: 'duration',
                subjectAccessReviewVersion: 'string',
                matchConditionSubjectAccessReviewVersion: 'string',
                failurePolicy: 'string',
                connectionInfo: { fields: { type: 'string', kubeConfigFile: 'string' } },
                matchConditions: { list: { fields: { expression: 'string' } } },
              },
            },
          },
        },
      },
    },
  },
}

export const AUTHORIZER_TYPES: readonly string[] = [
  'ABAC',
  'AlwaysAllow',
  'AlwaysDeny',
  'Node',
  'RBAC',
  'Webhook',
] satisfies readonly AuthorizerType[]
const MAX_CONDITIONS = 64
const MAX_TIMEOUT_MS = 30_000
/** What a duration is when the file names none (config v1 defaults). */
const AUTHORIZED_TTL_MS = 5 * 60_000
const UNAUTHORIZED_TTL_MS = 30_000

/**
 * Throws a ConfigurationError with every fault. `begunWith`: the types that a running server began with, of which only
 * webhooks may come and go.
 */
export function readAuthorizationConfiguration(text: string, begunWith?: readonly AuthorizerType[]): readonly ConfiguredAuthorizer[] {
  const { authorizers = [] } = decodeConfiguration<Written>(text, KIND)
  const errors: FieldErrors = []
  if (authorizers.length === 0) errors.push(required('authorizers', 'at least one authorization mode must be defined'))
  const types = new Set<string>()
  const names = new Set<string>()
  const read = authorizers.map(({ type = '', name = '', webhook }, index): ConfiguredAuthorizer | undefined => {
    const path = `authorizers[${index}]`
    if (type === '') return void errors.push(required(`${path}.type`))
    if (!AUTHORIZER_TYPES.includes(type)) return void errors.push(notSupported(`${path}.type`, type, AUTHORIZER_TYPES))
    if (types.has(type) && type !== 'Webhook') return void errors.push(duplicate(`${path}.type`, type))
    types.add(type)
    checkName(errors, `${path}.name`, name, names)
    names.add(name)
    if (type !== 'Webhook') {
      if (webhook) errors.push(invalid(`${path}.webhook`, 'non-null', 'may only be specified when type=Webhook'))
      return { type: type as AuthorizerType, name }
    }
    if (!webhook) return void errors.push(required(`${path}.webhook`, 'required when type=Webhook'))
    return { type, name, webhook: readWebhook(errors, path, webhook) }
  })
  if (errors.length > 0) {
    throw new ConfigurationError(listed(errors.map(({ field, detail }) => `${field}: ${detail}`)))
  }
  const found = read.filter((authorizer) => authorizer !== undefined)
  checkTypes(found, begunWith)
  return found
}

export const nonWebhookTypes = (authorizers: readonly ConfiguredAuthorizer[]): readonly AuthorizerType[] =>
  authorizers.map(({ type }) => type).filter((type) => type !== 'Webhook')

function checkTypes(authorizers: readonly ConfiguredAuthorizer[], begunWith: readonly AuthorizerType[] | undefined): void {
  const types = nonWebhookTypes(authorizers)
  const faults = authorizers
    .filter(({ type, name }) => type !== 'Webhook' && name !== type.toLowerCase())
    .map(({ type, name }) => `expected name ${type.toLowerCase()} for authorizer ${type} instead of ${name}`)
  const missing = (begunWith ?? []).filter((type) => !types.includes(type)).toSorted()
  if (missing.length > 0) faults.push(`missing required types: [${missing.join(' ')}]`)
  if (faults.length > 0) throw new ConfigurationError(listed(faults))
  const late = begunWith && types.find((type) => !begunWith.includes(type) && !type.startsWith('Always'))
  if (late) throw new ConfigurationError(`authorizer type ${late} is not allowed if it was not enabled at initial server startup`)
}

const listed = (texts: readonly string[]): string => (texts.length === 1 ? texts[0]! : `[${texts.join(', ')}]`)

function checkName(errors: FieldErrors, path: string, name: string, seen: ReadonlySet<string>): void {
  if (name === '') return void errors.push(required(path))
  if (seen.has(name)) return void errors.push(duplicate(path, name))
  const faults = dns1123SubdomainFaults(name)
  if (faults.length > 0) errors.push(invalid(path, name, `authorizer name is invalid: ${faults.join(', ')}`))
}

function readWebhook(errors: FieldErrors, path: string, webhook: WrittenWebhook): WebhookSettings {
  const { timeout = '', failurePolicy = '', subjectAccessReviewVersion: version = '', connectionInfo = {}, matchConditions = [] } = webhook
  const timeoutMs = timeout === '' ? 0 : durationMs(timeout)
  if (timeoutMs === 0) errors.push(required(`${path}.timeout`))
  else if (timeoutMs > MAX_TIMEOUT_MS || timeoutMs < 0)
    errors.push(invalid(`${path}.timeout`, goDuration(timeoutMs), 'must be > 0s and <= 30s'))
  const ttlMs = (field: 'authorizedTTL' | 'unauthorizedTTL', fallbackMs: number): number => {
    const text = webhook[field]
    const ms = text === undefined ? fallbackMs : durationMs(text)
    if (ms === 0) errors.push(required(`${path}.${field}`))
    if (ms < 0) errors.push(invalid(`${path}.${field}`, text, 'must be > 0s'))
    return ms
  }
  const authorizedTtlMs = ttlMs('authorizedTTL', AUTHORIZED_TTL_MS)
  const unauthorizedTtlMs = ttlMs('unauthorizedTTL', UNAUTHORIZED_TTL_MS)
  if (version === '') errors.push(required(`${path}.subjectAccessReviewVersion`))
  else if (version !== 'v1' && version !== 'v1beta1')
    errors.push(notSupported(`${path}.subjectAccessReviewVersion`, version, ['v1', 'v1beta1']))
  checkConditionVersion(errors, path, webhook)
  if (failurePolicy === '') errors.push(required(`${path}.failurePolicy`))
  else if (failurePolicy !== 'NoOpinion' && failurePolicy !== 'Deny')
    errors.push(notSupported(`${path}.failurePolicy`, failurePolicy, ['NoOpinion', 'Deny']))
  checkConnection(errors, `${path}.connectionInfo`, connectionInfo)
  return {
    authorizedTtlMs: webhook.cacheAuthorizedRequests === false ? 0 : authorizedTtlMs,
    unauthorizedTtlMs: webhook.cacheUnauthorizedRequests === false ? 0 : unauthorizedTtlMs,
    timeoutMs,
    version: version === 'v1beta1' ? 'v1beta1' : 'v1',
    deniesOnFailure: failurePolicy === 'Deny',
    kubeconfigFile: connectionInfo.kubeConfigFile ?? '',
    conditions: readConditions(errors, `${path}.matchConditions`, matchConditions),
  }
}

function checkConditionVersion(errors: FieldErrors, path: string, webhook: WrittenWebhook): void {
  const { matchConditionSubjectAccessReviewVersion: version = '', matchConditions = [] } = webhook
  const at = `${path}.matchConditionSubjectAccessReviewVersion`
  if (version === '') {
    if (matchConditions.length > 0) errors.push(required(at, 'required if match conditions are specified'))
  } else if (version !== 'v1') errors.push(notSupported(at, version, ['v1']))
}

/** Whether the file is there is found by who reads it. */
function checkConnection(
  errors: FieldErrors,
  path: string,
  { type = '', kubeConfigFile = '' }: NonNullable<WrittenWebhook['connectionInfo']>,
): void {
  if (type === '') errors.push(required(`${path}.type`))
  // Upstream's own server ends with a nil pointer when it is told InClusterConfig.
  else if (type !== 'KubeConfigFile') errors.push(notSupported(`${path}.type`, type, ['KubeConfigFile']))
  else if (kubeConfigFile === '') errors.push(required(`${path}.kubeConfigFile`))
  else if (!kubeConfigFile.startsWith('/')) errors.push(invalid(`${path}.kubeConfigFile`, kubeConfigFile, 'must be an absolute path'))
}

function readConditions(
  errors: FieldErrors,
  path: string,
  conditions: readonly { readonly expression?: string }[],
): readonly ReviewCondition[] {
  if (conditions.length > MAX_CONDITIONS) {
    errors.push(tooMany(path, conditions.length, MAX_CONDITIONS))
    return []
  }
  const seen = new Set<string>()
  const compiled: ReviewCondition[] = []
  for (const [index, { expression = '' }] of conditions.entries()) {
    const at = `${path}[${index}].expression`
    if (expression.trim() === '') errors.push(required(at))
    else if (seen.has(expression)) errors.push(duplicate(at, expression))
    else {
      const made = compileReviewCondition(expression)
      if (typeof made === 'string') errors.push(invalid(at, expression, made))
      else compiled.push(made)
    }
    seen.add(expression)
  }
  return compiled
}
