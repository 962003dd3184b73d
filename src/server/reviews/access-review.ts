/** SubjectAccessReview and its kin: may somebody do something? The authorizer's answer, with what it could not understand named. */
import type { UserInfo } from '../../api/exchange.ts'
import type {
  FieldSelectorAttributes,
  LabelSelectorAttributes,
  NonResourceAttributes,
  ResourceAttributes,
} from '../../api/generated/authorization/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { formatFieldSelector, formatRequirements, parseFieldSelector, parseLabelRequirements, requirementsOf } from '../../api/selectors.ts'
import { invalid as invalidObject, isApiError } from '../../api/status.ts'
import { MASTERS, type Attributes } from '../authorization/authorizer.ts'
import type { Core, ResourceCall } from '../core.ts'
import { validateLabelSelector } from '../resources/object-meta.ts'
import { forbidden, invalid, required, type FieldErrors } from '../resources/rules.ts'

interface AccessSpec {
  readonly resourceAttributes?: ResourceAttributes
  readonly nonResourceAttributes?: NonResourceAttributes
  readonly user?: string
  readonly groups?: readonly string[]
  readonly uid?: string
  readonly extra?: UserInfo['extra']
}

export async function selfAccessReview(core: Core, { user }: ResourceCall, review: KubeObject): Promise<KubeObject> {
  const errors = specErrors(specOf(review))
  errors.push(...metadataErrors(review, 'must be empty'))
  refuse(errors)
  return answer(core, review, user)
}

export async function subjectAccessReview(core: Core, _call: ResourceCall, review: KubeObject): Promise<KubeObject> {
  const spec = specOf(review)
  refuse([...subjectErrors(spec), ...metadataErrors(review, 'must be empty')])
  return answer(core, review, subjectOf(spec))
}

export async function localAccessReview(core: Core, { info }: ResourceCall, review: KubeObject): Promise<KubeObject> {
  const spec = specOf(review)
  const errors = subjectErrors(spec)
  errors.push(...metadataErrors(review, 'must be empty except for namespace', 'namespace'))
  const { resourceAttributes, nonResourceAttributes } = spec
  if (resourceAttributes && (resourceAttributes.namespace ?? '') !== info.namespace)
    errors.push(invalid('spec.resourceAttributes.namespace', resourceAttributes.namespace ?? '', 'must match metadata.namespace'))
  if (nonResourceAttributes)
    errors.push(invalid('spec.nonResourceAttributes', inGo(nonResourceAttributes), 'disallowed on this kind of request'))
  refuse(errors)
  return answer(core, review, subjectOf(spec))
}

/** As upstream prints its internal type. */
const inGo = ({ path = '', verb = '' }: NonResourceAttributes) => ({ Path: path, Verb: verb })

const specOf = ({ spec = {} }: KubeObject): AccessSpec => spec as AccessSpec

/** Upstream does not say which review it was. */
function refuse(errors: FieldErrors): void {
  if (errors.length > 0) throw invalidObject('authorization.k8s.io', '', '', errors)
}

function metadataErrors({ metadata = {} }: KubeObject, why: string, ...allowed: readonly string[]): FieldErrors {
  const given = Object.keys(metadata).filter((key) => key !== 'managedFields' && !allowed.includes(key))
  return given.length > 0 ? [invalid('metadata', metadata, why)] : []
}

function specErrors({ resourceAttributes, nonResourceAttributes }: AccessSpec): FieldErrors {
  const errors: FieldErrors = []
  if (resourceAttributes && nonResourceAttributes) {
    // Upstream shows its internal type.
    errors.push(
      invalid('spec.nonResourceAttributes', inGo(nonResourceAttributes), 'cannot be specified in combination with resourceAttributes'),
    )
  }
  if (!resourceAttributes && !nonResourceAttributes) {
    errors.push(
      invalid('spec.resourceAttributes', undefined, 'exactly one of nonResourceAttributes or resourceAttributes must be specified'),
    )
  }
  return errors
}

function subjectErrors(spec: AccessSpec): FieldErrors {
  const errors = specErrors(spec)
  if (!spec.user && !spec.groups?.length) errors.push(invalid('spec.user', '', 'at least one of user or group must be specified'))
  return errors
}

const subjectOf = ({ user = '', groups = [], uid, extra }: AccessSpec): UserInfo => ({
  name: user,
  groups,
  ...(uid ? { uid } : {}),
  ...(extra ? { extra } : {}),
})

async function answer({ authorizer }: Core, review: KubeObject, user: UserInfo): Promise<KubeObject> {
  const { resourceAttributes, nonResourceAttributes } = specOf(review)
  const narrowed = resourceAttributes ? selectorsOf(resourceAttributes) : { ignored: [] }
  const attributes = { ...attributesOf(user, resourceAttributes, nonResourceAttributes), ...narrowed.selectors }
  const verdict = user.groups.includes(MASTERS) ? { isAllowed: true, reason: '' } : await authorizer.authorize(attributes)
  const errors = [...(verdict.error === undefined ? [] : [verdict.error]), ...narrowed.ignored]
  const status = {
    allowed: verdict.isAllowed,
    ...(verdict.isDenied ? { denied: true } : {}),
    ...(verdict.reason ? { reason: verdict.reason } : {}),
    ...(errors.length > 0 ? { evaluationError: errors.join('; ') } : {}),
  }
  return { ...review, status }
}

function attributesOf(user: UserInfo, resource: ResourceAttributes | undefined, other: NonResourceAttributes | undefined): Attributes {
  if (!resource) return { ...BLANK, user, isResource: false, verb: other?.verb ?? '', path: other?.path ?? '' }
  const { fieldSelector: _field, labelSelector: _label, version, ...named } = resource
  return { ...BLANK, ...named, version: version || '*', user, isResource: true }
}

const BLANK = { verb: '', path: '', group: '', version: '', resource: '', subresource: '', namespace: '', name: '' }

interface Narrowed {
  readonly selectors?: Pick<Attributes, 'fieldSelector' | 'labelSelector'>
  /** What could not be read: the question is then a wider one, and says so. */
  readonly ignored: readonly string[]
}

function selectorsOf({ fieldSelector, labelSelector }: ResourceAttributes): Narrowed {
  const errors: FieldErrors = []
  checkShape(errors, 'spec.resourceAttributes.fieldSelector', fieldSelector)
  for (const [index, { key, operator, values = [] }] of (fieldSelector?.requirements ?? []).entries()) {
    const path = `spec.resourceAttributes.fieldSelector.requirements[${index}]`
    if (!key) errors.push(required(`${path}.key`, 'must be specified'))
    if ((operator === 'In' || operator === 'NotIn') && values.length === 0)
      errors.push(required(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'"))
    if ((operator === 'Exists' || operator === 'DoesNotExist') && values.length > 0)
      errors.push(forbidden(`${path}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
  }
  checkShape(errors, 'spec.resourceAttributes.labelSelector', labelSelector)
  for (const [index, requirement] of (labelSelector?.requirements ?? []).entries()) {
    const found: FieldErrors = []
    validateLabelSelector(found, 'x', { matchExpressions: [requirement] })
    // Operators of later versions are borne.
    const borne = found.filter(({ field }) => !field.endsWith('.operator'))
    const path = `spec.resourceAttributes.labelSelector.requirements[${index}]`
    errors.push(...borne.map((error) => ({ ...error, field: error.field.replace('x.matchExpressions[0]', path) })))
  }
  refuse(errors)
  const field = readFields(fieldSelector)
  const label = readLabels(labelSelector)
  return {
    selectors: {
      ...(field.selector ? { fieldSelector: field.selector } : {}),
      ...(label.selector ? { labelSelector: label.selector } : {}),
    },
    ignored: [...ignoredText('fieldSelector', field), ...ignoredText('labelSelector', label)],
  }
}

function checkShape(errors: FieldErrors, path: string, selector: FieldSelectorAttributes | LabelSelectorAttributes | undefined): void {
  if (!selector) return
  const { rawSelector = '', requirements = [] } = selector
  if (rawSelector !== '' && requirements.length > 0)
    errors.push(invalid(`${path}.rawSelector`, rawSelector, 'may not specified at the same time as requirements'))
  if (rawSelector === '' && requirements.length === 0)
    errors.push(required(`${path}.requirements`, `when ${path} is specified, requirements or rawSelector is required`))
}

interface Read {
  readonly selector: string
  readonly hasIgnored: boolean
}

const ignoredText = (name: string, { selector, hasIgnored }: Read): readonly string[] =>
  hasIgnored ? [`spec.resourceAttributes.${name} ${selector ? 'partially ' : ''}ignored due to parse error`] : []

const NOTHING: Read = { selector: '', hasIgnored: false }

/** Each requirement that is understood; the others are left out, which asks for more. */
function readFields(selector: FieldSelectorAttributes | undefined): Read {
  if (!selector) return NOTHING
  if (selector.rawSelector) return readRaw(selector.rawSelector, parseFieldSelector)
  const all = selector.requirements ?? []
  const known = all.filter(({ operator, values = [] }) => (operator === 'In' || operator === 'NotIn') && values.length === 1)
  const requirements = known.map(({ key, operator, values }) => ({
    field: key,
    operator: operator === 'In' ? ('=' as const) : ('!=' as const),
    value: values![0]!,
  }))
  return { selector: formatFieldSelector(requirements), hasIgnored: known.length < all.length }
}

function readLabels(selector: LabelSelectorAttributes | undefined): Read {
  if (!selector) return NOTHING
  if (selector.rawSelector) return readRaw(selector.rawSelector, parseLabelRequirements)
  const all = selector.requirements ?? []
  const known = all.filter(({ operator }) => ['In', 'NotIn', 'Exists', 'DoesNotExist'].includes(operator))
  return { selector: formatRequirements(requirementsOf({ matchExpressions: known })), hasIgnored: known.length < all.length }
}

function readRaw(raw: string, parse: (text: string) => unknown): Read {
  try {
    parse(raw)
    return { selector: raw, hasIgnored: false }
  } catch (error) {
    if (isApiError(error)) return { selector: '', hasIgnored: true }
    throw error
  }
}
