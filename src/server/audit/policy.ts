/**
 * The audit policy: which requests are told of, and how much of each (audit.k8s.io/v1 Policy). The first rule that matches decides;
 * what none matches is not told of.
 */
import type { UserInfo } from '../../api/exchange.ts'
import { dns1123SubdomainFaults } from '../../api/names.ts'
import type { FieldError } from '../../api/status.ts'
import { ConfigurationError, decodeConfiguration, type ConfigurationKind } from '../configuration/decode.ts'
import type { RequestInfo } from '../request-info.ts'
import { invalid, notSupported, required } from '../resources/rules.ts'

const LEVELS = ['None', 'Metadata', 'Request', 'RequestResponse'] as const
const STAGES = ['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic'] as const
export type AuditLevel = (typeof LEVELS)[number]
export type AuditStage = (typeof STAGES)[number]

interface GroupResources {
  readonly group?: string
  readonly resources?: readonly string[]
  readonly resourceNames?: readonly string[]
}

interface PolicyRule {
  readonly level?: AuditLevel
  readonly users?: readonly string[]
  readonly userGroups?: readonly string[]
  readonly verbs?: readonly string[]
  readonly resources?: readonly GroupResources[]
  readonly namespaces?: readonly string[]
  readonly nonResourceURLs?: readonly string[]
  readonly omitStages?: readonly AuditStage[]
  readonly omitManagedFields?: boolean
}

interface Policy {
  readonly rules?: readonly PolicyRule[]
  readonly omitStages?: readonly AuditStage[]
  readonly omitManagedFields?: boolean
}

const texts = { list: 'string' } as const
const POLICY: ConfigurationKind = {
  kind: 'Policy',
  apiVersions: ['audit.k8s.io/v1'],
  shape: {
    fields: {
      metadata: 'any',
      omitStages: texts,
      omitManagedFields: 'boolean',
      rules: {
        list: {
          fields: {
            level: 'string',
            users: texts,
            userGroups: texts,
            verbs: texts,
            resources: { list: { fields: { group: 'string', resources: texts, resourceNames: texts } } },
            namespaces: texts,
            nonResourceURLs: texts,
            omitStages: texts,
            omitManagedFields: 'boolean',
          },
        },
      },
    },
  },
}

/** What is told of one request. */
export interface AuditDecision {
  readonly level: AuditLevel
  readonly omitStages: ReadonlySet<AuditStage>
  readonly omitManagedFields: boolean
}

export type AuditPolicy = (info: RequestInfo, user: UserInfo | undefined) => AuditDecision

/** Throws a ConfigurationError that says what is wrong with the text. */
export function readAuditPolicy(text: string): AuditPolicy {
  const policy = decodeConfiguration<Policy>(text, POLICY)
  const errors = faultsOf(policy).map(({ field, detail }) => `${field}: ${detail}`)
  if (errors.length > 0) throw new ConfigurationError(errors.length === 1 ? errors[0]! : `[${errors.join(', ')}]`)
  if (!policy.rules?.length) throw new ConfigurationError('loaded illegal policy with 0 rules')
  const common = policy.omitStages ?? []
  const rules = policy.rules.map((rule) => ({
    rule,
    decision: {
      level: rule.level!,
      omitStages: new Set([...common, ...(rule.omitStages ?? [])]),
      omitManagedFields: rule.omitManagedFields ?? policy.omitManagedFields ?? false,
    },
  }))
  const otherwise: AuditDecision = { level: 'None', omitStages: new Set(common), omitManagedFields: false }
  return (info, user) => rules.find(({ rule }) => matches(rule, info, user))?.decision ?? otherwise
}

export const isAtLeast = (level: AuditLevel, wanted: AuditLevel): boolean => LEVELS.indexOf(level) >= LEVELS.indexOf(wanted)

function faultsOf({ rules = [], omitStages = [] }: Policy): readonly FieldError[] {
  const errors: FieldError[] = [...stageFaults(omitStages, 'omitStages')]
  for (const [i, rule] of rules.entries()) {
    const at = `rules[${i}]`
    if (!rule.level) errors.push(required(`${at}.level`))
    else if (!LEVELS.includes(rule.level)) errors.push(notSupported(`${at}.level`, rule.level, LEVELS))
    for (const [j, url] of (rule.nonResourceURLs ?? []).entries()) {
      if (url === '*') continue
      const path = `${at}.nonResourceURLs[${j}]`
      if (!url.startsWith('/')) errors.push(invalid(path, url, "non-resource URL rules must begin with a '/' character"))
      if (url.slice(0, -1).includes('*'))
        errors.push(invalid(path, url, "non-resource URL wildcards '*' must be the final character of the rule"))
    }
    for (const { group = '', resources = [], resourceNames = [] } of rule.resources ?? []) {
      const faults = group === '' || group === '*' ? [] : dns1123SubdomainFaults(group)
      if (faults.length > 0) errors.push(invalid(`${at}.resources.group`, group, faults.join(',')))
      if (resourceNames.length > 0 && resources.length === 0)
        errors.push(invalid(`${at}.resources.resourceNames`, resourceNames, 'using resourceNames requires at least one resource'))
    }
    errors.push(...stageFaults(rule.omitStages ?? [], `${at}.omitStages`))
    if (rule.nonResourceURLs?.length && (rule.resources?.length || rule.namespaces?.length))
      errors.push(
        invalid(`${at}.nonResourceURLs`, rule.nonResourceURLs, 'rules cannot apply to both regular resources and non-resource URLs'),
      )
  }
  return errors
}

const stageFaults = (stages: readonly AuditStage[], path: string): readonly FieldError[] =>
  stages.flatMap((stage, i) => (STAGES.includes(stage) ? [] : [invalid(`${path}[${i}]`, stage, `allowed stages are ${STAGES.join(',')}`)]))

const isIn = (list: readonly string[] | undefined, value: string): boolean => !list?.length || list.includes(value)

function matches(rule: PolicyRule, info: RequestInfo, user: UserInfo | undefined): boolean {
  if (rule.users?.length && !(user && rule.users.includes(user.name))) return false
  if (rule.userGroups?.length && !user?.groups.some((group) => rule.userGroups!.includes(group))) return false
  if (!isIn(rule.verbs, info.verb)) return false
  if (rule.namespaces?.length || rule.resources?.length) return info.isResource && matchesResource(rule, info)
  if (rule.nonResourceURLs?.length) return !info.isResource && rule.nonResourceURLs.some((url) => matchesPath(url, info.path))
  return true
}

const matchesPath = (url: string, path: string): boolean =>
  url === '*' || url === path || (url.endsWith('*') && path.startsWith(url.replace(/\*+$/, '')))

function matchesResource({ namespaces, resources }: PolicyRule, info: RequestInfo): boolean {
  if (!isIn(namespaces, info.namespace)) return false
  if (!resources?.length) return true
  const { resource, subresource, name } = info
  const whole = subresource === '' ? resource : `${resource}/${subresource}`
  return resources.some(({ group = '', resources: named = [], resourceNames }) => {
    if (group !== info.group && group !== '*') return false
    if (named.length === 0) return true
    if (!isIn(resourceNames, name)) return false
    return named.some(
      (one) => one === whole || one === '*' || (subresource !== '' && one === `*/${subresource}`) || one === `${resource}/*`,
    )
  })
}
