/**
 * Which names a definition gets within its group: those that no other definition was given before it (apiextensions-apiserver
 * pkg/controller/status and establish). Pure: every case is a row of the test.
 */
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionNames,
  CustomResourceDefinitionStatus,
} from '../../api/generated/apiextensions/v1.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { approvalOf, isProtectedGroup } from './api-approval.ts'
import { findCondition, isConditionTrue, withCondition, type WantedCondition } from './conditions.ts'
import { isCertificateBundle } from './conversion-validation.ts'

interface Planned {
  readonly names: CustomResourceDefinitionNames
  readonly accepted: WantedCondition
}

const inUse = (name: string): string => `${JSON.stringify(name)} is already in use`

function planNames(definition: CustomResourceDefinition, others: readonly CustomResourceDefinition[]): Planned {
  const resources = new Set<string>()
  const kinds = new Set<string>()
  for (const other of others) {
    const { plural, singular, shortNames, kind, listKind } = other.status?.acceptedNames ?? {}
    for (const name of [plural, singular, ...(shortNames ?? [])]) if (name) resources.add(name)
    for (const name of [kind, listKind]) if (name) kinds.add(name)
  }
  const wanted = definition.spec.names
  const had: Partial<CustomResourceDefinitionNames> = definition.status?.acceptedNames ?? {}
  const names: { -readonly [K in keyof CustomResourceDefinitionNames]?: CustomResourceDefinitionNames[K] } = { ...had }
  let conflict: Pick<WantedCondition, 'reason' | 'message'> | undefined
  const take = (field: 'plural' | 'singular' | 'kind' | 'listKind', used: ReadonlySet<string>, reason: string): void => {
    const name = wanted[field] ?? ''
    if (name !== had[field] && used.has(name)) conflict = { reason, message: inUse(name) }
    else names[field] = name
  }
  take('plural', resources, 'PluralConflict')
  take('singular', resources, 'SingularConflict')
  const taken = (wanted.shortNames ?? []).filter((name) => !had.shortNames?.includes(name) && resources.has(name))
  if (taken.length > 0) {
    const texts = taken.map(inUse)
    conflict = { reason: 'ShortNamesConflict', message: texts.length === 1 ? texts[0]! : `[${texts.join(', ')}]` }
  } else {
    if (wanted.shortNames) names.shortNames = wanted.shortNames
    else delete names.shortNames
  }
  take('kind', kinds, 'KindConflict')
  take('listKind', kinds, 'ListKindConflict')
  if (wanted.categories) names.categories = wanted.categories
  else delete names.categories
  return {
    names: names as CustomResourceDefinitionNames,
    accepted: conflict
      ? { type: 'NamesAccepted', status: 'False', ...conflict }
      : { type: 'NamesAccepted', status: 'True', reason: 'NoConflicts', message: 'no conflicts found' },
  }
}

const NOT_ESTABLISHED: WantedCondition = {
  type: 'Established',
  status: 'False',
  reason: 'NotAccepted',
  message: 'not all names are accepted',
}

function planEstablished(definition: CustomResourceDefinition, accepted: WantedCondition): WantedCondition | undefined {
  // Once established, always established: objects may be stored.
  if (isConditionTrue(definition, 'Established')) return undefined
  if (accepted.status !== 'True') return findCondition(definition, 'Established') ? undefined : NOT_ESTABLISHED
  const caBundle = definition.spec.conversion?.webhook?.clientConfig?.caBundle
  if (caBundle && !isCertificateBundle(caBundle))
    return { type: 'Established', status: 'False', reason: 'InvalidCABundle', message: 'The conversion webhook CABundle is invalid' }
  return { type: 'Established', status: 'True', reason: 'InitialNamesAccepted', message: 'the initial names have been accepted' }
}

const APPROVAL_REASONS = {
  approved: 'ApprovedAnnotation',
  bypassed: 'UnapprovedAnnotation',
  missing: 'MissingAnnotation',
  invalid: 'InvalidAnnotation',
} as const

function planApproval(definition: CustomResourceDefinition): WantedCondition | undefined {
  if (!isProtectedGroup(definition.spec.group)) return undefined
  const { state, reason } = approvalOf(definition)
  return {
    type: 'KubernetesAPIApprovalPolicyConformant',
    status: state === 'approved' ? 'True' : 'False',
    reason: APPROVAL_REASONS[state],
    message: reason,
  }
}

/** The status that a definition should have, beside the other definitions of its group; the same when nothing differs. */
export function planStatus(
  definition: CustomResourceDefinition,
  others: readonly CustomResourceDefinition[],
  now: string,
): CustomResourceDefinitionStatus | undefined {
  const { status } = definition
  const { names, accepted } = planNames(definition, others)
  let conditions = withCondition(status?.conditions, accepted, now)
  const established = planEstablished(definition, accepted)
  if (established) conditions = withCondition(conditions, established, now)
  const approval = planApproval(definition)
  if (approval) conditions = withCondition(conditions, approval, now)
  if (conditions === status?.conditions && deepEqual(names, status?.acceptedNames)) return status
  return { ...status, acceptedNames: names, conditions }
}
