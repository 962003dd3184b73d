/** Defaults and rules that both webhook configurations share. */
import type {
  MutatingWebhook,
  RuleWithOperations,
  ValidatingWebhook,
  WebhookClientConfig,
} from '../../../api/generated/admissionregistration/v1.ts'
import { dns1123SubdomainFaults, fullyQualifiedNameFaults } from '../../../api/names.ts'
import { changeField, mapItems, withDefaults } from '../immutable.ts'
import { validateMatchConditions } from './expression-validation.ts'
import { validateLabelSelector } from '../object-meta.ts'
import { checkOneOf, duplicate, invalid, notSupported, required, type FieldErrors } from '../rules.ts'

type Webhook = ValidatingWebhook | MutatingWebhook

const OPERATIONS = ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE']
const VERSIONS = ['v1', 'v1beta1']
const MAX_TIMEOUT_SECONDS = 30

const ruleDefaults = (rule: RuleWithOperations): RuleWithOperations => withDefaults(rule, { scope: '*' })

export function webhookDefaults<T extends Webhook>(webhook: T): T {
  let next: Webhook = withDefaults<Webhook>(webhook, {
    failurePolicy: 'Fail',
    matchPolicy: 'Equivalent',
    namespaceSelector: {},
    objectSelector: {},
    timeoutSeconds: 10,
  })
  next = changeField(next, 'rules', (rules) => mapItems(rules, ruleDefaults))
  next = changeField(next, 'clientConfig', (config) => changeField(config, 'service', (service) => withDefaults(service, { port: 443 })))
  return next as T
}

export function validateRules(errors: FieldErrors, path: string, rules: readonly RuleWithOperations[] | undefined): void {
  rules?.forEach(({ operations = [], apiGroups = [], apiVersions = [], resources = [], scope }, i) => {
    const at = `${path}[${i}]`
    if (apiGroups.length === 0) errors.push(required(`${at}.apiGroups`))
    if (apiGroups.length > 1 && apiGroups.includes('*'))
      errors.push(invalid(`${at}.apiGroups`, apiGroups, "if '*' is present, must not specify other API groups"))
    if (apiVersions.length === 0) errors.push(required(`${at}.apiVersions`))
    if (apiVersions.length > 1 && apiVersions.includes('*')) {
      errors.push(invalid(`${at}.apiVersions`, apiVersions, "if '*' is present, must not specify other API versions"))
    }
    apiVersions.forEach((version, j) => {
      if (!version) errors.push(required(`${at}.apiVersions[${j}]`))
    })
    if (resources.length === 0) errors.push(required(`${at}.resources`))
    resources.forEach((resource, j) => {
      if (!resource) errors.push(required(`${at}.resources[${j}]`))
    })
    if (scope !== undefined) checkOneOf(errors, `${at}.scope`, scope, ['*', 'Cluster', 'Namespaced'])
    if (operations.length === 0) errors.push(required(`${at}.operations`))
    if (operations.length > 1 && operations.includes('*')) {
      errors.push(invalid(`${at}.operations`, operations, "if '*' is present, must not specify other operations"))
    }
    operations.forEach((operation, j) => checkOneOf(errors, `${at}.operations[${j}]`, operation, OPERATIONS))
  })
}

/** How to call: exactly one of a URL and a service of the cluster. */
export function validateClientConfig(errors: FieldErrors, path: string, config: WebhookClientConfig | undefined): void {
  const { url, service } = config ?? {}
  if ((url === undefined) === (service === undefined)) errors.push(required(path, 'exactly one of url or service is required'))
  else if (url !== undefined) validateUrl(errors, `${path}.url`, url)
  if (!service) return
  if (!service.name) errors.push(required(`${path}.service.name`))
  if (!service.namespace) errors.push(required(`${path}.service.namespace`))
  const port = service.port ?? 443
  if (port < 1 || port > 65535)
    errors.push(invalid(`${path}.service.port`, port, 'port is not valid: must be between 1 and 65535, inclusive'))
  for (const fault of pathFaults(service.path ?? '')) errors.push(invalid(`${path}.service.path`, service.path ?? '', fault))
}

/** What is wrong with the path of a call to a service; an empty one is none. */
function pathFaults(path: string): readonly string[] {
  if (path === '' || path === '/') return []
  const faults = path.startsWith('/') ? [] : ["must start with a '/'"]
  const segments = path.slice(1).replace(/\/$/, '').split('/')
  for (const [i, segment] of segments.entries()) {
    if (segment === '') faults.push(`segment[${i}] may not be empty`)
    else faults.push(...dns1123SubdomainFaults(segment).map((fault) => `segment[${i}]: ${fault}`))
  }
  return faults
}

function validateUrl(errors: FieldErrors, path: string, text: string): void {
  const form = '; desired format: https://host[/path]'
  if (!URL.canParse(text)) {
    errors.push(required(path, `url must be a valid URL: parse ${JSON.stringify(text)}: invalid URL${form}`))
    return
  }
  const url = new URL(text)
  if (url.protocol !== 'https:') errors.push(invalid(path, url.protocol.slice(0, -1), `'https' is the only allowed URL scheme${form}`))
  if (!url.host) errors.push(invalid(path, url.host, `host must be specified${form}`))
  if (url.username || url.password) errors.push(invalid(path, '<redacted>', 'user information is not permitted in the URL'))
  if (url.hash) errors.push(invalid(path, url.hash.slice(1), 'fragments are not permitted in the URL'))
  if (url.search) errors.push(invalid(path, url.search.slice(1), 'query parameters are not permitted in the URL'))
}

export function validateWebhooks(errors: FieldErrors, webhooks: readonly Webhook[] | undefined): void {
  const names = new Set<string>()
  webhooks?.forEach((webhook, i) => {
    const at = `webhooks[${i}]`
    if (!webhook.name) errors.push(required(`${at}.name`))
    else for (const fault of fullyQualifiedNameFaults(webhook.name)) errors.push(invalid(`${at}.name`, webhook.name, fault))
    if (names.has(webhook.name)) errors.push(duplicate(`${at}.name`, webhook.name))
    names.add(webhook.name)
    validateRules(errors, `${at}.rules`, webhook.rules)
    if (webhook.failurePolicy !== undefined) checkOneOf(errors, `${at}.failurePolicy`, webhook.failurePolicy, ['Fail', 'Ignore'])
    if (webhook.matchPolicy !== undefined) checkOneOf(errors, `${at}.matchPolicy`, webhook.matchPolicy, ['Equivalent', 'Exact'])
    if (!['None', 'NoneOnDryRun'].includes(webhook.sideEffects ?? '')) {
      if (webhook.sideEffects === undefined) errors.push(required(`${at}.sideEffects`, 'must specify one of None, NoneOnDryRun'))
      else errors.push(notSupported(`${at}.sideEffects`, webhook.sideEffects, ['None', 'NoneOnDryRun']))
    }
    const timeout = webhook.timeoutSeconds
    if (timeout !== undefined && (timeout < 1 || timeout > MAX_TIMEOUT_SECONDS)) {
      errors.push(invalid(`${at}.timeoutSeconds`, timeout, 'the timeout value must be between 1 and 30 seconds'))
    }
    validateLabelSelector(errors, `${at}.namespaceSelector`, webhook.namespaceSelector)
    validateLabelSelector(errors, `${at}.objectSelector`, webhook.objectSelector)
    validateClientConfig(errors, `${at}.clientConfig`, webhook.clientConfig)
    if ('reinvocationPolicy' in webhook && webhook.reinvocationPolicy !== undefined) {
      checkOneOf(errors, `${at}.reinvocationPolicy`, webhook.reinvocationPolicy, ['IfNeeded', 'Never'])
    }
    const versions = webhook.admissionReviewVersions ?? []
    if (versions.length === 0) errors.push(required(`${at}.admissionReviewVersions`, `must specify one of ${VERSIONS.join(', ')}`))
    else if (!versions.some((version) => VERSIONS.includes(version))) {
      errors.push(invalid(`${at}.admissionReviewVersions`, versions, `must include at least one of ${VERSIONS.join(', ')}`))
    }
    validateMatchConditions(errors, `${at}.matchConditions`, webhook.matchConditions)
  })
}
