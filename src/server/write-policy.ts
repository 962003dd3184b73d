/**
 * How kinds differ in writing where upstream's strategies say so one by one: as data, on one screen.
 */
import type { StoredKind } from './resource-registry.ts'

const named = ({ group, resource }: { readonly group: string; readonly resource: string }): string =>
  group ? `${resource}.${group}` : resource

/** AllowUnconditionalUpdate() is false: an update must carry the resourceVersion. So it is for all custom resources. */
const NEEDS_RESOURCE_VERSION: ReadonlySet<string> = new Set([
  'podcertificaterequests.certificates.k8s.io',
  'clustertrustbundles.certificates.k8s.io',
  'runtimeclasses.node.k8s.io',
  'storageversionmigrations.storagemigration.k8s.io',
  'poddisruptionbudgets.policy',
  'storageversions.internal.apiserver.k8s.io',
  'csidrivers.storage.k8s.io',
  'csistoragecapacities.storage.k8s.io',
  'volumeattachments.storage.k8s.io',
  'csinodes.storage.k8s.io',
  'leases.coordination.k8s.io',
  'leasecandidates.coordination.k8s.io',
  'validatingadmissionpolicies.admissionregistration.k8s.io',
  'validatingadmissionpolicybindings.admissionregistration.k8s.io',
  'mutatingadmissionpolicies.admissionregistration.k8s.io',
  'mutatingadmissionpolicybindings.admissionregistration.k8s.io',
  'mutatingwebhookconfigurations.admissionregistration.k8s.io',
  'validatingwebhookconfigurations.admissionregistration.k8s.io',
  'customresourcedefinitions.apiextensions.k8s.io',
  'apiservices.apiregistration.k8s.io',
])

export const needsResourceVersion = (kind: StoredKind): boolean => kind.isCustom || NEEDS_RESOURCE_VERSION.has(named(kind))

/** AllowCreateOnUpdate() is true: a PUT to a name that does not exist creates it. */
const CREATES_ON_UPDATE: ReadonlySet<string> = new Set([
  'runtimeclasses.node.k8s.io',
  'roles.rbac.authorization.k8s.io',
  'rolebindings.rbac.authorization.k8s.io',
  'clusterroles.rbac.authorization.k8s.io',
  'clusterrolebindings.rbac.authorization.k8s.io',
  'leases.coordination.k8s.io',
  'leasecandidates.coordination.k8s.io',
  'limitranges',
  'events',
  'events.events.k8s.io',
  'services',
  'endpoints',
])

export const createsOnUpdate = (kind: StoredKind): boolean => CREATES_ON_UPDATE.has(named(kind))

/** A node brings its own status when it registers; all others begin with none. */
export const keepsStatusOnCreate = (kind: StoredKind): boolean => named(kind) === 'nodes' || named(kind) === 'componentstatuses'

/** ReturnDeletedObject: a delete answers with the object that was, not with a Status. */
const RETURNS_DELETED: ReadonlySet<string> = new Set([
  'pods',
  'services',
  'serviceaccounts',
  'podtemplates',
  'resourcequotas',
  'persistentvolumes',
  'persistentvolumeclaims',
  'storageclasses.storage.k8s.io',
  'volumeattachments.storage.k8s.io',
  'csinodes.storage.k8s.io',
  'csidrivers.storage.k8s.io',
  'volumeattributesclasses.storage.k8s.io',
  'deviceclasses.resource.k8s.io',
  'devicetaintrules.resource.k8s.io',
  'resourceclaims.resource.k8s.io',
  'resourceclaimtemplates.resource.k8s.io',
  'resourceslices.resource.k8s.io',
])

export const returnsDeleted = (kind: StoredKind): boolean => RETURNS_DELETED.has(named(kind))

/** Kinds that the garbage collector leaves alone (EnableGarbageCollection is false): no finalizers for propagation. */
export const isCollected = (kind: StoredKind): boolean => named(kind) !== 'events' && named(kind) !== 'events.events.k8s.io'
