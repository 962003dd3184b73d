/**
 * Leave by a file (pkg/auth/authorizer/abac): a line of JSON each says what a user or a group may. The first line that fits lets a request
 * in; none says no. Read once, at the start.
 */
import type { UserInfo } from '../../api/exchange.ts'
import { JsonSyntaxError, parseJson } from '../../api/json.ts'
import { ConfigurationError } from '../configuration/decode.ts'
import { ALLOWED, NO_OPINION, type Attributes, type Authorizer } from './authorizer.ts'

interface Policy {
  readonly user: string
  readonly group: string
  readonly readonly: boolean
  readonly apiGroup: string
  readonly resource: string
  readonly namespace: string
  readonly nonResourcePath: string
}

const NOTHING: Policy = { user: '', group: '', readonly: false, apiGroup: '', resource: '', namespace: '', nonResourcePath: '' }
const EVERYBODY = 'system:authenticated'
const API_VERSION = 'abac.authorization.kubernetes.io/v1beta1'
const READS: readonly string[] = ['get', 'list', 'watch']
/** As Go's errors name the part of a line that says what it is. */
const TYPE_META = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
/** Longer lines are refused, as by Go's scanner. */
const MAX_LINE = 64 * 1024
const MAX_LINES = 100_000

/** Throws a ConfigurationError that names the line which cannot be read. */
export function parseAbacPolicy(path: string, text: string): readonly Policy[] {
  const lines = text.split(/\r?\n/)
  if (lines.length > MAX_LINES) throw new ConfigurationError(`error reading policy file ${path}: more than ${MAX_LINES} lines`)
  return lines.flatMap((line, index) => {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) return []
    if (line.length > MAX_LINE) throw new ConfigurationError(`error reading policy file ${path}: bufio.Scanner: token too long`)
    try {
      return [policyOf(parseJson(line).value)]
    } catch (error) {
      if (!(error instanceof JsonSyntaxError || error instanceof ConfigurationError)) throw error
      const why = error instanceof JsonSyntaxError ? `couldn't get version/kind; json parse error: ${error.message}` : error.message
      throw new ConfigurationError(`error reading policy file ${path}, line ${index + 1}: ${line}: ${why}`)
    }
  })
}

function policyOf(value: unknown): Policy {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ConfigurationError(
      `couldn't get version/kind; json parse error: json: cannot unmarshal ${goType(value)} into Go value of type ${TYPE_META}`,
    )
  const { kind, apiVersion, spec, ...rest } = value as Readonly<Record<string, unknown>>
  if (kind === 'Policy' && apiVersion === API_VERSION) {
    if (typeof spec === 'object' ? Array.isArray(spec) : spec !== undefined)
      throw new ConfigurationError(`json: cannot unmarshal ${goType(spec)} into Go struct field Policy.spec of type v1beta1.PolicySpec`)
    const policy = fieldsOf((spec ?? {}) as Readonly<Record<string, unknown>>, 'PolicySpec.spec.')
    return isAnybody(policy) ? { ...policy, user: '', group: EVERYBODY } : policy
  }
  if (apiVersion || (kind && kind !== 'Policy'))
    throw new ConfigurationError(
      `no kind ${JSON.stringify(kind ?? '')} is registered for version ${JSON.stringify(apiVersion ?? '')} in scheme "pkg/runtime/scheme.go:111"`,
    )
  return older(fieldsOf(rest, 'Policy.'))
}

const isAnybody = ({ user, group }: Policy): boolean => user === '*' || group === '*'

/** Lines without a version: what they leave out is everything. */
function older({ user, group, readonly, resource, namespace }: Policy): Policy {
  const isAll = (user === '' && group === '') || isAnybody({ ...NOTHING, user, group })
  return {
    user: isAll ? '' : user,
    group: isAll ? EVERYBODY : group,
    readonly,
    apiGroup: '*',
    resource: resource || '*',
    namespace: namespace || '*',
    nonResourcePath: namespace === '' && resource === '' ? '*' : '',
  }
}

/** Fields that are not known are passed over, as upstream passes over them. */
function fieldsOf(given: Readonly<Record<string, unknown>>, place: string): Policy {
  const fields: Record<string, unknown> = {}
  for (const [name, byDefault] of Object.entries(NOTHING)) {
    const value = given[name] ?? byDefault
    const type = typeof byDefault === 'boolean' ? 'bool' : 'string'
    if (typeof value !== typeof byDefault)
      throw new ConfigurationError(`json: cannot unmarshal ${goType(value)} into Go struct field ${place}${name} of type ${type}`)
    fields[name] = value
  }
  return fields as unknown as Policy
}

const goType = (value: unknown): string => (Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value)

function isSubject({ user, group }: Policy, { name, groups }: UserInfo): boolean {
  if (user === '' && group === '') return false
  return (user === '' || user === name) && (group === '' || groups.includes(group))
}

function covers(policy: Policy, { verb, isResource, path, namespace, resource, group }: Attributes): boolean {
  if (policy.readonly && !READS.includes(verb)) return false
  const { nonResourcePath } = policy
  if (!isResource)
    return nonResourcePath === path || (nonResourcePath.endsWith('*') && path.startsWith(nonResourcePath.replace(/\*+$/, '')))
  const fits = (pattern: string, value: string): boolean => pattern === '*' || pattern === value
  return fits(policy.namespace, namespace) && fits(policy.resource, resource) && fits(policy.apiGroup, group)
}

export function createAbacAuthorizer(policies: readonly Policy[]): Authorizer {
  return {
    authorize: (attributes) =>
      policies.some((policy) => isSubject(policy, attributes.user) && covers(policy, attributes))
        ? ALLOWED
        : { ...NO_OPINION, reason: 'No policy matched.' },
    rulesFor(user, namespace) {
      const own = policies.filter((policy) => isSubject(policy, user) && (policy.namespace === '*' || policy.namespace === namespace))
      const verbsOf = ({ readonly }: Policy) => (readonly ? READS : ['*'])
      return {
        resourceRules: own
          .filter(({ resource }) => resource !== '')
          .map((policy) => ({ verbs: verbsOf(policy), apiGroups: [policy.apiGroup], resources: [policy.resource] })),
        nonResourceRules: own
          .filter(({ nonResourcePath }) => nonResourcePath !== '')
          .map((policy) => ({ verbs: verbsOf(policy), nonResourceURLs: [policy.nonResourcePath] })),
      }
    },
  }
}
