/**
 * Leave that another program gives: it gets a SubjectAccessReview of what is asked (plugin/pkg/authorizer/webhook). What it has answered
 * counts for a while; when it cannot be asked, its failure policy says whether that is a no or no opinion.
 */
import { parseFieldSelector, parseLabelRequirements, type LabelOperator } from '../../api/selectors.ts'
import { isApiError } from '../../api/status.ts'
import type { Clock } from '../../base/clock.ts'
import { ExpiringCache } from '../../base/expiring-cache.ts'
import type { AskReview } from '../review-client.ts'
import { ALLOWED, NO_OPINION, type Attributes, type Authorizer, type Verdict } from './authorizer.ts'
import type { WebhookSettings } from './configuration.ts'
import { conditionsHold } from './review-conditions.ts'

/** Upstream's cache of responses. */
const MAX_REMEMBERED = 8192
/** What a caller controls may not fill the memory: longer questions are asked each time. */
const MAX_KEY_LENGTH = 10_000

export function createWebhookAuthorizer(
  clock: Clock,
  ask: AskReview,
  settings: Pick<WebhookSettings, 'authorizedTtlMs' | 'unauthorizedTtlMs' | 'version' | 'deniesOnFailure' | 'conditions'>,
): Authorizer {
  const { authorizedTtlMs, unauthorizedTtlMs, version, deniesOnFailure, conditions } = settings
  const cache = new ExpiringCache<Verdict>(clock, MAX_REMEMBERED, ({ isAllowed }) => (isAllowed ? authorizedTtlMs : unauthorizedTtlMs))
  const failed = (error: string): Verdict => ({ isAllowed: false, reason: '', error, ...(deniesOnFailure ? { isDenied: true } : {}) })

  const review = async (spec: object): Promise<Verdict> =>
    verdictOf(
      await ask({
        apiVersion: `authorization.k8s.io/${version}`,
        kind: 'SubjectAccessReview',
        spec: asVersion(spec, version),
      }),
    )

  return {
    authorize(attributes) {
      const spec = specOf(attributes)
      if (conditions.length > 0) {
        const holds = conditionsHold(conditions, spec)
        if (holds === false) return NO_OPINION
        if (holds !== true) return failed(holds.error)
      }
      const key = JSON.stringify(spec)
      const known = cache.get(key)
      if (known) return known
      const asked = key.length > MAX_KEY_LENGTH ? review(spec) : cache.ask(key, () => review(spec))
      return asked.catch((error: unknown) => failed(error instanceof Error ? error.message : String(error)))
    },
    rulesFor: () => ({ resourceRules: [], nonResourceRules: [], incomplete: 'webhook authorizer does not support user rule resolution' }),
  }
}

function verdictOf({ allowed, denied, reason }: Readonly<Record<string, unknown>>): Verdict {
  const why = typeof reason === 'string' ? reason : ''
  if (allowed === true && denied === true) throw new Error('webhook subject access review returned both allow and deny response')
  if (denied === true) return { isAllowed: false, isDenied: true, reason: why }
  return allowed === true ? { ...ALLOWED, reason: why } : { ...NO_OPINION, reason: why }
}

/** The spec of the review; empty texts are left out, as Go leaves them out. */
function specOf(attributes: Attributes): object {
  const { user, verb, isResource, path, group, version, resource, subresource, namespace, name } = attributes
  const who = {
    user: user.name,
    groups: user.groups,
    ...(user.uid ? { uid: user.uid } : {}),
    ...(user.extra ? { extra: user.extra } : {}),
  }
  if (!isResource) return { nonResourceAttributes: filled({ path, verb }), ...who }
  const named = filled({ namespace, verb, group, version, resource, subresource, name })
  return { resourceAttributes: { ...named, ...selectorsOf(attributes) }, ...who }
}

const filled = (texts: Readonly<Record<string, string>>) => Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== ''))

const OPERATORS: Readonly<Partial<Record<LabelOperator, string>>> = {
  in: 'In',
  '=': 'In',
  '==': 'In',
  notin: 'NotIn',
  '!=': 'NotIn',
  exists: 'Exists',
  '!': 'DoesNotExist',
}

/** Selectors as requirements; what cannot be told so is left out, which asks for more. */
function selectorsOf({ fieldSelector, labelSelector }: Attributes): object {
  const fields = parsed(fieldSelector, parseFieldSelector).map(({ field, operator, value }) => ({
    key: field,
    operator: operator === '=' ? 'In' : 'NotIn',
    values: [value],
  }))
  const labels = parsed(labelSelector, parseLabelRequirements)
    .filter(({ operator }) => OPERATORS[operator] !== undefined)
    .map(({ key, operator, values }) => ({ key, operator: OPERATORS[operator]!, ...(values.length > 0 ? { values } : {}) }))
  return {
    ...(fields.length > 0 ? { fieldSelector: { requirements: fields } } : {}),
    ...(labels.length > 0 ? { labelSelector: { requirements: labels } } : {}),
  }
}

function parsed<T>(text: string | undefined, parse: (text: string) => readonly T[]): readonly T[] {
  if (text === undefined) return []
  try {
    return parse(text)
  } catch (error) {
    if (isApiError(error)) return []
    throw error
  }
}

/** The older version calls groups `group`. */
function asVersion(spec: object, version: WebhookSettings['version']): object {
  if (version === 'v1') return spec
  const { groups, ...rest } = spec as { readonly groups?: readonly string[] }
  return { ...rest, group: groups }
}
