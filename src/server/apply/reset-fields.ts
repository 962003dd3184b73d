/**
 * What a write through an endpoint cannot change, and so never owns: the status through the object itself, all else through the
 * status (upstream's strategies say so one by one: GetResetFields in pkg/registry). The same in every version of a kind.
 */
import { isMember, memberWith, NONE, setOf, withoutTrees, type FieldPath, type FieldSet } from '../../api/apply/field-set.ts'
import type { ServedResource, StoredKind } from '../resource-registry.ts'

export type FieldFilter = (fields: FieldSet) => FieldSet

const everything: FieldFilter = (fields) => fields

const except = (...paths: readonly FieldPath[]): FieldFilter => {
  const reset = setOf(...paths)
  return (fields) => withoutTrees(fields, reset)
}

const METADATA: FieldPath = ['f:metadata']
const SPEC: FieldPath = ['f:spec']
const STATUS: FieldPath = ['f:status']

const exceptStatus = except(STATUS)
const exceptSpec = except(SPEC)
const statusAlone = except(METADATA, SPEC)

/** Elements of paths; `*` is any. Only what lies on or under one of them is kept. */
const only =
  (...patterns: readonly FieldPath[]): FieldFilter =>
  (fields) =>
    matching(fields, patterns)

function matching(fields: FieldSet, patterns: readonly FieldPath[]): FieldSet {
  if (patterns.some((pattern) => pattern.length === 0)) return fields
  const made: Record<string, FieldSet> = {}
  for (const element in fields) {
    if (element === '.') continue
    const inner = patterns.filter(([first]) => first === '*' || first === element).map((pattern) => pattern.slice(1))
    if (inner.length === 0) continue
    const under = matching(fields[element]!, inner)
    if (isMember(fields[element])) made[element] = memberWith(under)
    else if (under !== NONE && Object.keys(under).length > 0) made[element] = under
  }
  return made
}

/** Kinds whose status has nothing to say about metadata. */
const STATUS_ALONE: ReadonlySet<string> = new Set([
  'admissionregistration.k8s.io/validatingadmissionpolicies',
  'apiextensions.k8s.io/customresourcedefinitions',
  'apiregistration.k8s.io/apiservices',
  'flowcontrol.apiserver.k8s.io/flowschemas',
  'flowcontrol.apiserver.k8s.io/prioritylevelconfigurations',
  'internal.apiserver.k8s.io/storageversions',
  'networking.k8s.io/servicecidrs',
  'resource.k8s.io/devicetaintrules',
  'resource.k8s.io/resourceclaims',
  'resource.k8s.io/resourcepoolstatusrequests',
  'scheduling.k8s.io/podgroups',
  'storage.k8s.io/volumeattachments',
  'storagemigration.k8s.io/storageversionmigrations',
])

const CSR = 'certificates.k8s.io/certificatesigningrequests'

/** By resource and subresource, where a kind has rules of its own. */
const OWN: Readonly<Record<string, FieldFilter>> = {
  'apps/deployments/status': except(SPEC, ['f:metadata', 'f:labels']),
  '/namespaces/finalize': exceptStatus,
  '/pods/status': except(SPEC, ['f:metadata', 'f:deletionTimestamp'], ['f:metadata', 'f:ownerReferences']),
  '/pods/ephemeralcontainers': only(['f:spec', 'f:ephemeralContainers']),
  '/pods/resize': only(
    ['f:spec', 'f:containers', '*', 'f:resources'],
    ['f:spec', 'f:containers', '*', 'f:resizePolicy'],
    ['f:spec', 'f:initContainers', '*', 'f:resources'],
    ['f:spec', 'f:initContainers', '*', 'f:resizePolicy'],
  ),
  // A request is never changed once it is made: creating it owns nothing of its spec.
  [`${CSR}/`]: except(SPEC, STATUS),
  [`${CSR}/status`]: except(SPEC, ['f:status', 'f:conditions']),
  [`${CSR}/approval`]: except(SPEC, ['f:status', 'f:certificate']),
  'certificates.k8s.io/podcertificaterequests/': everything,
}

/** A write to the status of such a kind leaves all of its metadata as it was. */
export const isStatusAlone = ({ group, resource, isCustom }: StoredKind): boolean => isCustom || STATUS_ALONE.has(`${group}/${resource}`)

/** The filter of an endpoint. */
export function writableFields({ stored, subresources }: ServedResource, subresource: string): FieldFilter {
  const name = `${stored.group}/${stored.resource}`
  const own = OWN[`${name}/${subresource}`]
  if (own) return own
  if (subresource === 'status') return isStatusAlone(stored) ? statusAlone : exceptSpec
  return subresource === '' && subresources.has('status') ? exceptStatus : everything
}
