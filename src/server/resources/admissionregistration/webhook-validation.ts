/** Defaults and rules that both webhook configurations share. */
import type {
  MutatingWebhook,
  NamedRuleWithOperations,
  RuleWithOperations,
  ValidatingWebhook,
  WebhookClientConfig,
} from '../../../api/generated/admissionregistration/v1.ts'
import {
  dns1035LabelFaults,
  dns1123SubdomainFaults,
  fullyQualifiedNameFaults,
  pathSegmentFaults,
  portNumberFaults,
} from '../../../api/names.ts'
import { changeField, mapItems, withPointerDefaults } from '../immutable.ts'
import { validateMatchConditions } from './expression-validation.ts'
import { validateLabelSelector } from '../object-meta.ts'
import { checkFormat, checkOneOf, duplicate, invalid, required, type FieldErrors } from '../rules.ts'

type Webhook = ValidatingWebhook | MutatingWebhook

const OPERATIONS = ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE']
const REVIEW_VERSIONS: readonly string[] = ['v1', 'v1beta1']
export const FAILURE_POLICIES = ['Fail', 'Ignore']
export const MATCH_POLICIES = ['Equivalent', 'Exact']
export const REINVOCATION_POLICIES = ['IfNeeded', 'Never']
const MAX_TIMEOUT_SECONDS = 30

export const ruleDefaults = (rule: RuleWithOperations): RuleWithOperations => withPointerDefaults(rule, { scope: '*' })

export function webhookDefaults<T extends Webhook>(webhook: T): T {
  let next: Webhook = withPointerDefaults<Webhook>(webhook, {
    failurePolicy: 'Fail',
    matchPolicy: 'Equivalent',
    namespaceSelector: {},
    objectSelector: {},
    timeoutSeconds: 10,
  })
  next = changeField(next, 'rules', (rules) => mapItems(rules, ruleDefaults))
  next = changeField(next, 'clientConfig', (config) =>
    changeField(config, 'service', (service) => withPointerDefaults(service, { port: 443 })),
  )
  return next as T
}

function validateRule(errors: FieldErrors, at: string, rule: RuleWithOperations): void {
  const { operations = [], apiGroups = [], apiVersions = [], resources = [], scope } = rule
  if (operations.length === 0) errors.push(required(`${at}.operations`))
  checkWildcard(errors, `${at}.operations`, operations, 'operations')
  operations.forEach((operation, j) => checkOneOf(errors, `${at}.operations[${j}]`, operation, OPERATIONS))
  if (apiGroups.length === 0) errors.push(required(`${at}.apiGroups`))
  checkWildcard(errors, `${at}.apiGroups`, apiGroups, 'API groups')
  if (apiVersions.length === 0) errors.push(required(`${at}.apiVersions`))
  checkWildcard(errors, `${at}.apiVersions`, apiVersions, 'API versions')
  apiVersions.forEach((version, j) => {
    if (!version) errors.push(required(`${at}.apiVersions[${j}]`))
  })
  validateResources(errors, `${at}.resources`, resources)
  if (scope !== undefined) checkOneOf(errors, `${at}.scope`, scope, ['*', 'Cluster', 'Namespaced'])
}

function checkWildcard(errors: FieldErrors, path: string, values: readonly string[], name: string): void {
  if (values.length > 1 && values.includes('*')) errors.push(invalid(path, values, `if '*' is present, must not specify other ${name}`))
}

/** "pods", "pods/status", and with wildcards in both places, which must leave nothing to say for the others. */
function validateResources(errors: FieldErrors, path: string, resources: readonly string[]): void {
  if (resources.length === 0) errors.push(required(path))
  const wholes = new Set<string>()
  const everywhere = new Set<string>()
  let hasPlain = false
  resources.forEach((text, j) => {
    if (text === '') return void errors.push(required(`${path}[${j}]`))
    const slash = text.indexOf('/')
    if (slash < 0) return void (hasPlain = text !== '*')
    const [resource, sub] = [text.slice(0, slash), text.slice(slash + 1)]
    if (wholes.has(resource)) errors.push(invalid(`${path}[${j}]`, text, `if '${resource}/*' is present, must not specify ${text}`))
    if (everywhere.has(sub)) errors.push(invalid(`${path}[${j}]`, text, `if '*/${sub}' is present, must not specify ${text}`))
    if (sub === '*') wholes.add(resource)
    if (resource === '*') everywhere.add(sub)
  })
  if (resources.length > 1 && resources.includes('*/*')) {
    errors.push(invalid(path, resources, "if '*/*' is present, must not specify other resources"))
  }
  if (resources.includes('*') && hasPlain) {
    errors.push(invalid(path, resources, "if '*' is present, must not specify other resources without subresources"))
  }
}

/** Rules of policies, which may name objects, too. */
export function validateNamedRules(errors: FieldErrors, path: string, rules: readonly NamedRuleWithOperations[] = []): void {
  rules.forEach((rule, i) => {
    const at = `${path}[${i}]`
    const names = new Set<string>()
    rule.resourceNames?.forEach((name, j) => {
      checkFormat(errors, `${at}.resourceNames[${j}]`, name, pathSegmentFaults)
      if (names.has(name)) errors.push(duplicate(`${at}.resourceNames[${j}]`, name))
      names.add(name)
    })
    validateRule(errors, at, rule)
  })
}

/** How to call: exactly one of a URL and a service of the cluster. */
export function validateClientConfig(errors: FieldErrors, path: string, config: WebhookClientConfig | undefined): void {
  const { url, service } = config ?? {}
  if ((url === undefined) === (service === undefined)) errors.push(required(path, 'exactly one of url or service is required'))
  else if (url !== undefined) validateUrl(errors, `${path}.url`, url)
  if (!service || url !== undefined) return
  // Upstream takes each for the other.
  if (!service.namespace) errors.push(required(`${path}.service.name`))
  if (!service.name) errors.push(required(`${path}.service.namespace`))
  const port = service.port ?? 443
  checkFormat(errors, `${path}.service.port`, port, (value) => portNumberFaults(value).map((fault) => `port is not valid: ${fault}`))
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

/** The parts of a reference as RFC 3986 (appendix B) takes it apart. */
const URL_PARTS = /^(?:([a-z][a-z\d+.-]*):)?(?:\/\/([^/?#]*))?[^?#]*(?:\?([^#]*))?(?:#(.*))?$/i

function validateUrl(errors: FieldErrors, path: string, text: string): void {
  const form = '; desired format: https://host[/path]'
  const [, scheme = '', authority = '', query, fragment] = URL_PARTS.exec(text) ?? []
  if (scheme && authority && !URL.canParse(text)) {
    return void errors.push(required(path, `url must be a valid URL: parse ${JSON.stringify(text)}: invalid URL${form}`))
  }
  const user = authority.slice(0, authority.lastIndexOf('@') + 1)
  const host = authority.slice(user.length)
  if (scheme.toLowerCase() !== 'https') {
    errors.push(invalid(path, scheme.toLowerCase(), `'https' is the only allowed URL scheme${form}`))
  }
  if (!host) errors.push(invalid(path, host, `host must be specified${form}`))
  if (user) errors.push(invalid(path, user.slice(0, -1), 'user information is not permitted in the URL'))
  if (fragment) errors.push(invalid(path, fragment, 'fragments are not permitted in the URL'))
  if (query) errors.push(invalid(path, query, 'query parameters are not permitted in the URL'))
}

/** Versions of reviews that a webhook takes: one of them must be known here, unless it was so before. */
export function validateReviewVersions(
  errors: FieldErrors,
  path: string,
  versions: readonly string[] = [],
  { needsKnown = true, missing = '' } = {},
): void {
  if (versions.length === 0) return void errors.push(required(path, missing))
  versions.forEach((version, index) => {
    if (versions.indexOf(version) < index) errors.push(invalid(`${path}[${index}]`, version, 'duplicate version'))
    else checkFormat(errors, `${path}[${index}]`, version, dns1035LabelFaults)
  })
  if (needsKnown && !versions.some((version) => REVIEW_VERSIONS.includes(version))) {
    errors.push(invalid(path, versions, `must include at least one of ${REVIEW_VERSIONS.join(', ')}`))
  }
}

function validateWebhook(errors: FieldErrors, at: string, webhook: Webhook): void {
  const { name, sideEffects, timeoutSeconds: timeout } = webhook
  if (!name) errors.push(required(`${at}.name`))
  else checkFormat(errors, `${at}.name`, name, fullyQualifiedNameFaults)
  webhook.rules?.forEach((rule, i) => validateRule(errors, `${at}.rules[${i}]`, rule))
  checkOneOf(errors, `${at}.failurePolicy`, webhook.failurePolicy, FAILURE_POLICIES)
  checkOneOf(errors, `${at}.matchPolicy`, webhook.matchPolicy, MATCH_POLICIES)
  if (sideEffects === undefined) errors.push(required(`${at}.sideEffects`, 'must specify one of None, NoneOnDryRun'))
  else checkOneOf(errors, `${at}.sideEffects`, sideEffects, ['None', 'NoneOnDryRun'])
  if (timeout !== undefined && (timeout < 1 || timeout > MAX_TIMEOUT_SECONDS)) {
    errors.push(invalid(`${at}.timeoutSeconds`, timeout, 'the timeout value must be between 1 and 30 seconds'))
  }
  validateLabelSelector(errors, `${at}.namespaceSelector`, webhook.namespaceSelector)
  validateLabelSelector(errors, `${at}.objectSelector`, webhook.objectSelector)
  if ('reinvocationPolicy' in webhook) checkOneOf(errors, `${at}.reinvocationPolicy`, webhook.reinvocationPolicy, REINVOCATION_POLICIES)
  validateClientConfig(errors, `${at}.clientConfig`, webhook.clientConfig)
  validateMatchConditions(errors, `${at}.matchConditions`, webhook.matchConditions)
}

export function validateWebhooks(errors: FieldErrors, webhooks: readonly Webhook[] | undefined): void {
  const names = new Set<string>()
  webhooks?.forEach((webhook, i) => {
    const at = `webhooks[${i}]`
    validateWebhook(errors, at, webhook)
    const missing = `must specify one of ${REVIEW_VERSIONS.join(', ')}`
    validateReviewVersions(errors, `${at}.admissionReviewVersions`, webhook.admissionReviewVersions, { missing })
    if (webhook.name && names.has(webhook.name)) errors.push(duplicate(`${at}.name`, webhook.name))
    names.add(webhook.name)
  })
}
