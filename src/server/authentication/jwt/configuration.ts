/**
 * AuthenticationConfiguration (apiserver.config.k8s.io/v1, KEP-3331): the identity providers that are believed, what their claims mean, and
 * where the anonymous are let in. A file that cannot be used is refused whole, with every fault in it.
 */
import { decodeConfiguration, ConfigurationError, type ConfigurationKind, type Shape } from '../../configuration/decode.ts'
import { checkDomainPrefixedPath, duplicate, invalid, required, tooMany, type FieldErrors } from '../../resources/rules.ts'
import { pemBlocks } from '../../../base/der.ts'
import type { AnonymousAccess } from '../authenticator.ts'
import { compileClaimRule, compileMapping, compileUserRule, readsClaim, type ClaimExpression } from './claims.ts'

/** A value of a user: a claim as it is with something before it, or an expression. */
export type ClaimSource =
  | { readonly type: 'claim'; readonly claim: string; readonly prefix: string }
  | { readonly type: 'expression'; readonly expression: ClaimExpression }

export interface JwtIssuer {
  readonly url: string
  readonly discoveryUrl?: string
  /** PEM; absent: the authorities that the machine trusts. */
  readonly ca?: string
  readonly audiences: readonly string[]
  readonly requiredClaims: readonly (readonly [claim: string, value: string])[]
  readonly claimRules: readonly ClaimExpression[]
  readonly userRules: readonly ClaimExpression[]
  readonly username: ClaimSource
  readonly groups?: ClaimSource
  readonly uid?: ClaimSource
  readonly extra: readonly (readonly [key: string, expression: ClaimExpression])[]
}

export interface AuthenticationConfiguration {
  readonly issuers: readonly JwtIssuer[]
  /** Absent: as the server's other options say. */
  readonly anonymous?: AnonymousAccess
}

interface Mapping {
  readonly claim?: string
  readonly prefix?: string
  readonly expression?: string
}

interface Written {
  readonly jwt?: readonly WrittenIssuer[]
  readonly anonymous?: { readonly enabled?: boolean; readonly conditions?: readonly { readonly path?: string }[] }
}

interface WrittenIssuer {
  readonly issuer?: {
    readonly url?: string
    readonly discoveryURL?: string
    readonly certificateAuthority?: string
    readonly audiences?: readonly string[]
    readonly audienceMatchPolicy?: string
    readonly egressSelectorType?: string
  }
  readonly claimValidationRules?: readonly {
    readonly claim?: string
    readonly requiredValue?: string
    readonly expression?: string
    readonly message?: string
  }[]
  readonly claimMappings?: {
    readonly username?: Mapping
    readonly groups?: Mapping
    readonly uid?: Mapping
    readonly extra?: readonly { readonly key?: string; readonly valueExpression?: string }[]
  }
  readonly userValidationRules?: readonly { readonly expression?: string; readonly message?: string }[]
}

const mapping: Shape = { fields: { claim: 'string', prefix: 'string', expression: 'string' } }

const KIND: ConfigurationKind = {
  kind: 'AuthenticationConfiguration',
  apiVersions: ['v1', 'v1beta1', 'v1alpha1'].map((version) => `apiserver.config.k8s.io/${version}`),
  shape: {
    fields: {
      jwt: {
        list: {
          fields: {
            issuer: {
              fields: {
                url: 'string',
                discoveryURL: 'string',
                certificateAuthority: 'string',
                audiences: { list: 'string' },
                audienceMatchPolicy: 'string',
                egressSelectorType: 'string',
              },
            },
            claimValidationRules: {
              list: { fields: { claim: 'string', requiredValue: 'string', expression: 'string', message: 'string' } },
            },
            claimMappings: {
              fields: {
                username: mapping,
                groups: mapping,
                uid: { fields: { claim: 'string', expression: 'string' } },
                extra: { list: { fields: { key: 'string', valueExpression: 'string' } } },
              },
            },
            userValidationRules: { list: { fields: { expression: 'string', message: 'string' } } },
          },
        },
      },
      anonymous: { fields: { enabled: 'boolean', conditions: { list: { fields: { path: 'string' } } } } },
    },
  },
}

const MAX_ISSUERS = 64

/** `ownIssuers`: of this server's own tokens, which nobody else may issue. Throws a ConfigurationError. */
export function readAuthenticationConfiguration(text: string, ownIssuers: readonly string[]): AuthenticationConfiguration {
  const { jwt = [], anonymous } = decodeConfiguration<Written>(text, KIND)
  const errors: FieldErrors = []
  if (jwt.length > MAX_ISSUERS) errors.push(tooMany('jwt', jwt.length, MAX_ISSUERS))
  const issuers = jwt.slice(0, MAX_ISSUERS).map((written, index) => readIssuer(errors, `jwt[${index}]`, written, ownIssuers))
  checkRepeated(errors, 'url', jwt, ({ issuer }) => issuer?.url)
  checkRepeated(errors, 'discoveryURL', jwt, ({ issuer }) => issuer?.discoveryURL)
  const { enabled = false, conditions = [] } = anonymous ?? {}
  if (!enabled && conditions.length > 0)
    errors.push(invalid('anonymous.conditions', conditions, 'enabled should be set to true when conditions are defined'))
  if (errors.length > 0) throw new ConfigurationError(told(errors))
  const paths = conditions.map(({ path = '' }) => path)
  return {
    issuers: issuers.filter((issuer) => issuer !== undefined),
    ...(anonymous ? { anonymous: { isEnabled: enabled, ...(paths.length > 0 ? { paths } : {}) } } : {}),
  }
}

function told(errors: FieldErrors): string {
  const texts = errors.map(({ field, detail }) => `${field}: ${detail}`)
  return texts.length === 1 ? texts[0]! : `[${texts.join(', ')}]`
}

function checkRepeated(
  errors: FieldErrors,
  field: string,
  issuers: readonly WrittenIssuer[],
  of: (issuer: WrittenIssuer) => string | undefined,
): void {
  const seen = new Set<string>()
  for (const [index, issuer] of issuers.entries()) {
    const value = of(issuer)
    if (!value) continue
    if (seen.has(value)) errors.push(duplicate(`jwt[${index}].issuer.${field}`, value))
    seen.add(value)
  }
}

/** Undefined where something is wrong: `errors` says what. */
function readIssuer(errors: FieldErrors, path: string, written: WrittenIssuer, ownIssuers: readonly string[]): JwtIssuer | undefined {
  const before = errors.length
  const { issuer = {}, claimMappings = {} } = written
  checkIssuer(errors, `${path}.issuer`, issuer, ownIssuers)
  const rules = readClaimRules(errors, `${path}.claimValidationRules`, written.claimValidationRules ?? [])
  const mappings = `${path}.claimMappings`
  const username = readSource(errors, `${mappings}.username`, claimMappings.username ?? {}, true)
  const groups = readSource(errors, `${mappings}.groups`, claimMappings.groups ?? {}, false)
  const uid = readUid(errors, `${mappings}.uid`, claimMappings.uid ?? {})
  const extra = readExtra(errors, `${mappings}.extra`, claimMappings.extra ?? [])
  checkEmail(errors, mappings, username, [...rules.expressions, ...extra.map(([, expression]) => expression)])
  const userRules = readUserRules(errors, `${path}.userValidationRules`, written.userValidationRules ?? [])
  if (errors.length > before || !username) return undefined
  return {
    url: issuer.url!,
    ...(issuer.discoveryURL ? { discoveryUrl: issuer.discoveryURL } : {}),
    ...(issuer.certificateAuthority ? { ca: issuer.certificateAuthority } : {}),
    audiences: issuer.audiences!,
    requiredClaims: rules.required,
    claimRules: rules.expressions,
    userRules,
    username,
    ...(groups ? { groups } : {}),
    ...(uid ? { uid } : {}),
    extra,
  }
}

function checkIssuer(errors: FieldErrors, path: string, issuer: NonNullable<WrittenIssuer['issuer']>, ownIssuers: readonly string[]): void {
  const {
    url = '',
    discoveryURL = '',
    audiences = [],
    audienceMatchPolicy = '',
    certificateAuthority = '',
    egressSelectorType = '',
  } = issuer
  if (url === '') errors.push(required(`${path}.url`))
  else checkUrl(errors, `${path}.url`, url, ownIssuers)
  if (discoveryURL !== '') {
    if (url !== '' && url.replace(/\/+$/, '') === discoveryURL.replace(/\/+$/, ''))
      errors.push(invalid(`${path}.discoveryURL`, discoveryURL, 'discoveryURL must be different from URL'))
    checkUrl(errors, `${path}.discoveryURL`, discoveryURL, [])
  }
  if (audiences.length === 0) errors.push(required(`${path}.audiences`, `at least one ${path}.audiences is required`))
  const seen = new Set<string>()
  for (const [index, audience] of audiences.entries()) {
    if (audience === '') errors.push(required(`${path}.audiences[${index}]`))
    if (seen.has(audience)) errors.push(duplicate(`${path}.audiences[${index}]`, audience))
    seen.add(audience)
  }
  if (audiences.length > 1 && audienceMatchPolicy !== 'MatchAny') {
    errors.push(invalid(`${path}.audienceMatchPolicy`, audienceMatchPolicy, 'audienceMatchPolicy must be MatchAny for multiple audiences'))
  }
  if (audiences.length === 1 && audienceMatchPolicy !== '' && audienceMatchPolicy !== 'MatchAny') {
    const why = 'audienceMatchPolicy must be empty or MatchAny for single audience'
    errors.push(invalid(`${path}.audienceMatchPolicy`, audienceMatchPolicy, why))
  }
  if (certificateAuthority !== '' && !pemBlocks(certificateAuthority).some(({ type }) => type === 'CERTIFICATE'))
    errors.push(invalid(`${path}.certificateAuthority`, '<omitted>', 'data does not contain any valid RSA or ECDSA certificates'))
  // There is no proxy on the way out: every address is asked directly.
  if (egressSelectorType !== '')
    errors.push(invalid(`${path}.egressSelectorType`, egressSelectorType, 'egress selectors are not supported'))
}

function checkUrl(errors: FieldErrors, path: string, text: string, disallowed: readonly string[]): void {
  if (disallowed.includes(text))
    errors.push(invalid(path, text, `URL must not overlap with disallowed issuers: [${disallowed.toSorted().join(' ')}]`))
  const url = URL.parse(text)
  if (!url) return void errors.push(invalid(path, text, `parse ${JSON.stringify(text)}: invalid URI`))
  if (url.protocol !== 'https:') errors.push(invalid(path, text, 'URL scheme must be https'))
  if (url.username !== '' || url.password !== '') errors.push(invalid(path, text, 'URL must not contain a username or password'))
  if (url.search !== '') errors.push(invalid(path, text, 'URL must not contain a query'))
  if (url.hash !== '') errors.push(invalid(path, text, 'URL must not contain a fragment'))
}

/** Adds what is wrong with an expression; with its message, where it has one. */
function compiled(
  errors: FieldErrors,
  path: string,
  source: string,
  compile: (source: string) => ClaimExpression | string,
  message?: string,
): ClaimExpression | undefined {
  const made = compile(source)
  if (typeof made !== 'string') return message === undefined ? made : { ...made, message }
  errors.push(invalid(path, source, made))
  return undefined
}

function readClaimRules(errors: FieldErrors, path: string, rules: NonNullable<WrittenIssuer['claimValidationRules']>) {
  const requiredClaims = new Map<string, string>()
  const expressions = new Map<string, ClaimExpression>()
  for (const [index, { claim = '', requiredValue = '', expression = '', message }] of rules.entries()) {
    const at = `${path}[${index}]`
    if (claim !== '' && expression !== '') errors.push(invalid(at, claim, "claim and expression can't both be set"))
    else if (claim === '' && expression === '') errors.push(required(at, 'claim or expression is required'))
    else if (claim !== '') {
      if (message) errors.push(invalid(`${at}.message`, message, 'may not be specified when claim is set'))
      if (requiredClaims.has(claim)) errors.push(duplicate(`${at}.claim`, claim))
      requiredClaims.set(claim, requiredValue)
    } else {
      if (requiredValue !== '') errors.push(invalid(`${at}.requiredValue`, requiredValue, 'may not be specified when expression is set'))
      if (expressions.has(expression)) errors.push(duplicate(`${at}.expression`, expression))
      const made = compiled(errors, `${at}.expression`, expression, compileClaimRule, message)
      if (made) expressions.set(expression, made)
    }
  }
  return { required: [...requiredClaims], expressions: [...expressions.values()] }
}

function readSource(
  errors: FieldErrors,
  path: string,
  { claim = '', prefix, expression = '' }: Mapping,
  isRequired: boolean,
): ClaimSource | undefined {
  if (claim !== '' && expression !== '') errors.push(invalid(path, '', "claim and expression can't both be set"))
  else if (expression !== '') {
    if (prefix !== undefined) errors.push(invalid(`${path}.prefix`, prefix, 'may not be specified when expression is set'))
    const made = compiled(errors, `${path}.expression`, expression, compileMapping)
    return made && { type: 'expression', expression: made }
  } else if (claim !== '') {
    if (prefix === undefined) {
      errors.push(required(`${path}.prefix`, 'prefix is required when claim is set. It can be set to an empty string to disable prefixing'))
    }
    return { type: 'claim', claim, prefix: prefix ?? '' }
  } else if (isRequired) errors.push(required(path, 'claim or expression is required'))
  return undefined
}

function readUid(errors: FieldErrors, path: string, { claim = '', expression = '' }: Mapping): ClaimSource | undefined {
  if (claim !== '' && expression !== '') errors.push(invalid(path, '', "claim and expression can't both be set"))
  if (expression === '') return claim === '' ? undefined : { type: 'claim', claim, prefix: '' }
  const made = compiled(errors, `${path}.expression`, expression, compileMapping)
  return made && { type: 'expression', expression: made }
}

const RESERVED = /(^|\.)(kubernetes|k8s)\.io$/

function readExtra(errors: FieldErrors, path: string, mappings: readonly { readonly key?: string; readonly valueExpression?: string }[]) {
  const extra = new Map<string, ClaimExpression>()
  const seen = new Set<string>()
  for (const [index, { key = '', valueExpression = '' }] of mappings.entries()) {
    const at = `${path}[${index}]`
    checkDomainPrefixedPath(errors, `${at}.key`, key)
    if (key !== key.toLowerCase()) errors.push(invalid(`${at}.key`, key, 'must be lowercase'))
    if (RESERVED.test(key.split('/', 1)[0]!))
      errors.push(invalid(`${at}.key`, key, 'k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use'))
    if (seen.has(key)) errors.push(duplicate(`${at}.key`, key))
    else if (valueExpression === '') errors.push(required(`${at}.valueExpression`))
    else {
      const made = compiled(errors, `${at}.valueExpression`, valueExpression, compileMapping)
      if (made) extra.set(key, made)
    }
    seen.add(key)
  }
  return [...extra]
}

/** An address that nobody has verified may be anybody's. */
function checkEmail(errors: FieldErrors, path: string, username: ClaimSource | undefined, others: readonly ClaimExpression[]): void {
  if (username?.type !== 'expression') return
  const { source } = username.expression
  if (!readsClaim(source, 'email')) return
  if ([source, ...others.map((other) => other.source)].some((text) => readsClaim(text, 'email_verified'))) return
  errors.push(
    invalid(
      `${path}.username.expression`,
      source,
      'claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression',
    ),
  )
}

function readUserRules(errors: FieldErrors, path: string, rules: readonly { readonly expression?: string; readonly message?: string }[]) {
  const expressions = new Map<string, ClaimExpression>()
  for (const [index, { expression = '', message }] of rules.entries()) {
    const at = `${path}[${index}].expression`
    if (expression === '') errors.push(required(at))
    else if (expressions.has(expression)) errors.push(duplicate(at, expression))
    else {
      const made = compiled(errors, at, expression, compileUserRule, message)
      if (made) expressions.set(expression, made)
    }
  }
  return [...expressions.values()]
}
