/** The step of the pipeline that tells in every object who wrote which of its fields (metadata.managedFields, KEP-555). */
import { OwnersError, readOwners } from '../../api/apply/managers.ts'
import type { ManagedFieldsEntry } from '../../api/generated/meta/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { timestamp } from '../../base/clock.ts'
import type { Core, ResourceCall } from '../core.ts'
import { without, withMetadata } from '../metadata.ts'
import type { ServedResource } from '../resource-registry.ts'
import type { Revision } from '../revision.ts'
import { managerOf } from './manager-name.ts'
import { isSameButForTimes, managedFieldsAfter, type Shapes } from './track.ts'
import { shown, versionsOf } from './versions.ts'

/** What of a write matters here. */
export interface OwnedWrite {
  readonly call: Pick<ResourceCall, 'request' | 'info' | 'user' | 'warnings'>
  readonly served: ServedResource
  readonly subresource: string
  readonly old: Revision | undefined
  readonly options: KubeObject
}

/** The object (of the stored version) with the owners that it has after this write. */
export function withOwners(core: Core, { call, served, subresource, old, options }: OwnedWrite, object: KubeObject): KubeObject {
  const next = shown(served, object)
  const managedFields = managedFieldsAfter({
    live: old ? liveOf(served, old) : emptyOf(served),
    next,
    isNew: !old,
    manager: managerOf(call, options),
    subresource,
    versions: versionsOf(core.registry, served, subresource),
    isSchemaFluid: served.custom !== undefined,
    now: timestamp(core.runtime.clock),
    shapes: shapesOf(served),
  })
  return withManagedFields(object, managedFields)
}

const known = new WeakMap<ServedResource, Shapes>()

function shapesOf(served: ServedResource): Shapes {
  let shapes = known.get(served)
  if (!shapes) known.set(served, (shapes = new Map()))
  return shapes
}

/** What is stored, with what Go always writes: a status that nobody has written yet is there, empty. */
const liveOf = (served: ServedResource, { object }: Revision): KubeObject =>
  served.custom ? shown(served, object) : served.rules.defaults(shown(served, object))

export const emptyOf = ({ rules, apiVersion, info }: ServedResource): KubeObject => rules.emptyObject?.() ?? { apiVersion, kind: info.kind }

export function withManagedFields(object: KubeObject, managedFields: readonly ManagedFieldsEntry[] | undefined): KubeObject {
  if (managedFields === object.metadata?.managedFields) return object
  const metadata = object.metadata ?? {}
  return withMetadata(object, managedFields ? { ...metadata, managedFields } : without(metadata, 'managedFields'))
}

const INVALID_AFTER_ADMISSION =
  '.metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating admission controller; please fix your requests: '

/** Admission may not break them: then they are as they were before it, and the client is warned. */
export function withReadableOwners(before: KubeObject, admitted: KubeObject, warn: (text: string) => void): KubeObject {
  const [own, entries] = [before.metadata?.managedFields, admitted.metadata?.managedFields]
  if (own === entries) return admitted
  try {
    readOwners(entries, false)
    return admitted
  } catch (error) {
    if (!(error instanceof OwnersError)) throw error
    warn(INVALID_AFTER_ADMISSION + error.message)
    return withManagedFields(admitted, own)
  }
}

/** Whether a write changes nothing but the times at which somebody wrote. */
export function isSameObject(next: KubeObject, old: KubeObject): boolean {
  const { metadata = {}, ...body } = next
  const { metadata: oldMetadata = {}, ...oldBody } = old
  const { resourceVersion: _, managedFields, ...rest } = metadata
  const { resourceVersion: __, managedFields: oldManagedFields, ...oldRest } = oldMetadata
  return deepEqual(rest, oldRest) && isSameButForTimes(managedFields, oldManagedFields) && deepEqual(body, oldBody)
}
