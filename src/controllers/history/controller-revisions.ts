/**
 * The past templates of DaemonSets and StatefulSets, kept as ControllerRevisions: `kubectl rollout history` and `undo` read them,
 * and the controllers tell by them which pods are up to date.
 */
import type { ControllerRevision } from '../../api/generated/apps/v1.ts'
import type { PodTemplateSpec } from '../../api/generated/core/v1.ts'
import { sortedKeys } from '../../api/json.ts'
import type { KubeObject } from '../../api/object.ts'
import { isApiError } from '../../api/status.ts'
import type { LabelMatcher } from '../../api/selectors.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { controllerReference } from '../../client/object-reference.ts'
import type { ReconcileContext } from '../controller.ts'
import { hashOf } from '../deployment/template-hash.ts'
import { claim, ownedAndOrphans } from '../owner-references.ts'

export const REVISION_KIND = 'apps/v1/ControllerRevision'
/** The label by which pods and revisions name the template that they belong to. */
export const REVISION_HASH_LABEL = 'controller-revision-hash'

export interface HistoryOwner {
  readonly kind: 'apps/v1/DaemonSet' | 'apps/v1/StatefulSet'
  readonly object: KubeObject
  readonly template: PodTemplateSpec
  readonly matches: LabelMatcher
  readonly collisionCount: number | undefined
  /** Writes a higher collision count into the owner's status. */
  raiseCollisionCount(count: number): Promise<void>
}

export interface History {
  /** The revision of the template as it is now. */
  readonly current: ControllerRevision
  /** All others, oldest first. */
  readonly old: readonly ControllerRevision[]
}

/** What a revision holds: a patch that puts its template back, in the very bytes that upstream's tools compare. */
const dataOf = (template: PodTemplateSpec): unknown => sortedKeys({ spec: { template: { ...template, $patch: 'replace' } } })

export async function syncHistory(context: ReconcileContext, owner: HistoryOwner): Promise<History> {
  const { client, caches } = context
  const objects = ownedAndOrphans(caches.of(REVISION_KIND), owner.object)
  const owned = await claim(client, { kind: REVISION_KIND, objects, ownerKind: owner.kind, owner: owner.object, matches: owner.matches })
  const sorted = owned.toSorted((a, b) => a.revision - b.revision)
  const data = dataOf(owner.template)
  const same = sorted.findLast((revision) => deepEqual(revision.data, data))
  const old = sorted.filter((revision) => revision !== same)
  const next = (old.at(-1)?.revision ?? 0) + 1
  if (!same) return { current: await createRevision(context, owner, data, next), old }
  // Rolled back to: it becomes the newest again.
  const current = same.revision < next && old.length > 0 ? await client.update(REVISION_KIND, { ...same, revision: next }) : same
  return { current, old }
}

async function createRevision(
  { client }: ReconcileContext,
  owner: HistoryOwner,
  data: unknown,
  revision: number,
): Promise<ControllerRevision> {
  const { namespace, name } = owner.object.metadata!
  const hash = hashOf(data, owner.collisionCount)
  const labels = { ...owner.template.metadata?.labels, [REVISION_HASH_LABEL]: hash }
  const wanted: ControllerRevision = {
    apiVersion: 'apps/v1',
    kind: 'ControllerRevision',
    metadata: {
      namespace: namespace!,
      name: `${name}-${hash}`,
      labels,
      ownerReferences: [controllerReference(owner.kind, owner.object)],
      ...(owner.object.metadata?.annotations ? { annotations: withoutApplied(owner.object.metadata.annotations) } : {}),
    },
    data: data as NonNullable<ControllerRevision['data']>,
    revision,
  }
  try {
    return await client.create(REVISION_KIND, wanted)
  } catch (error) {
    if (!isApiError(error, 'AlreadyExists')) throw error
    const taken = await client.get(REVISION_KIND, { namespace: namespace!, name: `${name}-${hash}` })
    if (deepEqual(taken.data, data)) return taken
    await owner.raiseCollisionCount((owner.collisionCount ?? 0) + 1)
    throw error
  }
}

function withoutApplied(annotations: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const { 'kubectl.kubernetes.io/last-applied-configuration': _applied, ...rest } = annotations
  return rest
}

/** The template that a revision holds. */
export function templateOf(revision: ControllerRevision): PodTemplateSpec {
  const { $patch: _patch, ...template } = (
    revision.data as unknown as { readonly spec: { readonly template: PodTemplateSpec & { readonly $patch?: string } } }
  ).spec.template
  return template
}

/** Deletes the oldest revisions beyond the limit that nothing uses any more. */
export async function trimHistory(
  { client }: ReconcileContext,
  old: readonly ControllerRevision[],
  limit: number,
  isLive: (revision: ControllerRevision) => boolean,
): Promise<void> {
  const dead = old.filter((revision) => !isLive(revision))
  for (const { metadata } of dead.slice(0, Math.max(0, dead.length - limit))) {
    try {
      await client.delete(REVISION_KIND, { namespace: metadata!.namespace!, name: metadata!.name! })
    } catch (error) {
      if (!isApiError(error, 'NotFound')) throw error
    }
  }
}
