/**
 * Makes ResourceClaims from the templates that pods name, keeps the list of who uses a claim true, and lets go of what is
 * allocated once nobody does. Which devices a claim gets is the scheduler's to choose.
 */
import type { Pod, PodResourceClaim } from '../../api/generated/core/v1.ts'
import type { ResourceClaim, ResourceClaimConsumerReference } from '../../api/generated/resource/v1.ts'
import { keyOf, parseKey } from '../../api/object.ts'
import { isApiError } from '../../api/status.ts'
import { byControllerUid } from '../../client/object-cache.ts'
import { referenceTo } from '../../client/object-reference.ts'
import { watch } from '../controller.ts'
import type { Caches, Controller, ReconcileContext } from '../controller.ts'
import { controllerOf } from '../owner-references.ts'
import { messageOf } from '../pods/pod-control.ts'
import {
  claimFrom,
  claimNameOf,
  claimNamesOf,
  consumerOf,
  FINALIZER,
  isClaimOf,
  isMadeFor,
  isPod,
  isPodDone,
  needsReservation,
  NONE,
} from './plan.ts'

const CLAIM = 'resource.k8s.io/v1/ResourceClaim'
const TEMPLATE = 'resource.k8s.io/v1/ResourceClaimTemplate'
const POD_PREFIX = 'pod:'
const CLAIM_PREFIX = 'claim:'
const FIELD_MANAGER = 'ResourceClaimController'
const POD_OF_CLAIM_INDEX = 'resource-claims'
const POD_OF_TEMPLATE_INDEX = 'resource-claim-templates'
const OWNER_INDEX = 'controller-uid'

const inNamespaceOf =
  (pod: Pod) =>
  (name: string): string =>
    `${pod.metadata!.namespace}/${name}`

const byClaims = (pod: Pod) => (hasClaims(pod) ? claimNamesOf(pod).map(inNamespaceOf(pod)) : undefined)
const byTemplates = (pod: Pod) =>
  pod.spec?.resourceClaims?.map(({ resourceClaimTemplateName }) => inNamespaceOf(pod)(resourceClaimTemplateName ?? ''))

const hasClaims = (pod: Pod): boolean => Boolean(pod.spec?.resourceClaims?.length) || pod.status?.extendedResourceClaimStatus !== undefined

/** Whether something is left to do for the pod itself: most changes of pods are none of it. */
function needsWork(pod: Pod, caches: Caches): boolean {
  if (pod.metadata?.deletionTimestamp || isPodDone(pod)) return false
  return (pod.spec?.resourceClaims ?? []).some((entry) => {
    const name = claimNameOf(pod, entry)
    if (name === NONE) return false
    const claim = name === undefined ? undefined : caches.of(CLAIM).get(inNamespaceOf(pod)(name))
    if (!claim) return entry.resourceClaimTemplateName !== undefined
    return Boolean(pod.spec?.nodeName) && needsReservation(claim, pod)
  })
}

export const resourceClaimController: Controller = {
  name: 'resource-claim',
  component: 'resource-claim-controller',
  eventSource: 'resource_claim',
  workers: 10,
  reads: [CLAIM, TEMPLATE, 'v1/Pod'],
  writes: [CLAIM, `${CLAIM}/status`, 'v1/Pod/status'],
  watches: [
    watch(
      'v1/Pod',
      ({ type, object: pod }, caches) => {
        if (!hasClaims(pod)) return []
        const isOver = type === 'deleted' || isPodDone(pod)
        const claims = isOver ? claimNamesOf(pod).map((name) => `${CLAIM_PREFIX}${inNamespaceOf(pod)(name)}`) : []
        return type !== 'deleted' && needsWork(pod, caches) ? [...claims, `${POD_PREFIX}${keyOf(pod)}`] : claims
      },
      { [POD_OF_CLAIM_INDEX]: byClaims, [POD_OF_TEMPLATE_INDEX]: byTemplates },
    ),
    watch(
      CLAIM,
      ({ type, object }, caches) => {
        const pods = caches.of('v1/Pod').byIndex(POD_OF_CLAIM_INDEX, keyOf(object))
        const keys = pods.filter((pod) => needsWork(pod, caches)).map((pod) => `${POD_PREFIX}${keyOf(pod)}`)
        return type === 'deleted' ? keys : [...keys, `${CLAIM_PREFIX}${keyOf(object)}`]
      },
      { [OWNER_INDEX]: byControllerUid },
    ),
    watch(TEMPLATE, ({ type, object }, caches) =>
      type === 'added'
        ? caches
            .of('v1/Pod')
            .byIndex(POD_OF_TEMPLATE_INDEX, keyOf(object))
            .filter((pod) => needsWork(pod, caches))
            .map((pod) => `${POD_PREFIX}${keyOf(pod)}`)
        : undefined,
    ),
  ],

  async reconcile(key, context) {
    if (key.startsWith(POD_PREFIX)) await syncPod(context, key.slice(POD_PREFIX.length))
    else await syncClaim(context, key.slice(CLAIM_PREFIX.length))
  },
}

async function syncPod(context: ReconcileContext, key: string): Promise<void> {
  const { client, caches, events } = context
  const pod = caches.of('v1/Pod').get(key)
  if (!pod || pod.metadata?.deletionTimestamp) return
  const entries = pod.spec?.resourceClaims ?? []
  const made: { readonly name: string; readonly resourceClaimName: string }[] = []
  for (const entry of entries) {
    try {
      const claimName = await ensureClaim(context, pod, entry)
      if (claimName !== undefined) made.push({ name: entry.name, resourceClaimName: claimName })
    } catch (error) {
      const message = `PodResourceClaim ${entry.name}: ${messageOf(error)}`
      events.record(referenceTo('v1/Pod', pod), 'Warning', 'FailedResourceClaimCreation', message)
      throw error
    }
  }
  if (made.length > 0) {
    const apply = { apiVersion: 'v1', kind: 'Pod', status: { resourceClaimStatuses: made } }
    await client.patch('v1/Pod', parseKey(key), 'apply', apply, { subresource: 'status', fieldManager: FIELD_MANAGER, force: true })
  }
  // Before it is on a node the scheduler reserves.
  if (!pod.spec?.nodeName) return
  for (const entry of entries) {
    const name = claimNameOf(pod, entry)
    const claim = name === undefined || name === NONE ? undefined : caches.of(CLAIM).get(inNamespaceOf(pod)(name))
    if (!claim || !needsReservation(claim, pod) || (entry.resourceClaimTemplateName !== undefined && !isClaimOf(claim, pod))) continue
    const reservedFor = [...(claim.status?.reservedFor ?? []), consumerOf(pod)]
    await client.update(CLAIM, { ...claim, status: { ...claim.status, reservedFor } }, { subresource: 'status' })
  }
}

/** The name of the claim that was made for an entry and that the pod does not tell yet. */
async function ensureClaim({ client, caches }: ReconcileContext, pod: Pod, entry: PodResourceClaim): Promise<string | undefined> {
  const known = claimNameOf(pod, entry)
  if (known === NONE || entry.resourceClaimTemplateName === undefined) return undefined
  const told = known === undefined ? undefined : caches.of(CLAIM).get(inNamespaceOf(pod)(known))
  if (told && isClaimOf(told, pod)) return undefined
  const existing = caches
    .of(CLAIM)
    .byIndex(OWNER_INDEX, pod.metadata!.uid!)
    .find((claim) => isMadeFor(claim, entry))
  if (existing) return existing.metadata!.name!
  const templateName = entry.resourceClaimTemplateName
  const template = caches.of(TEMPLATE).get(inNamespaceOf(pod)(templateName))
  if (!template) {
    const missing = `resourceclaimtemplate.resource.k8s.io ${JSON.stringify(templateName)} not found`
    throw new Error(`resource claim template ${JSON.stringify(templateName)}: ${missing}`)
  }
  try {
    return (await client.create(CLAIM, claimFrom(template, pod, entry))).metadata!.name!
  } catch (error) {
    throw new Error(`create ResourceClaim : ${messageOf(error)}`, { cause: error })
  }
}

async function syncClaim(context: ReconcileContext, key: string): Promise<void> {
  const { client, caches } = context
  const claim = caches.of(CLAIM).get(key)
  if (!claim) return
  const reservedFor = claim.status?.reservedFor ?? []
  const remaining: ResourceClaimConsumerReference[] = []
  for (const consumer of reservedFor) if (!isPod(consumer) || (await isUsing(context, claim, consumer))) remaining.push(consumer)

  const isKept = claim.metadata?.finalizers?.includes(FINALIZER) ?? false
  const isFree = remaining.length === 0
  const isUnwanted = isKept && isFree && (reservedFor.length > 0 || claim.metadata?.deletionTimestamp !== undefined)
  let current = claim
  if (remaining.length < reservedFor.length || (isUnwanted && claim.status?.allocation)) {
    const { reservedFor: _reserved, allocation, ...rest } = claim.status ?? {}
    const status = {
      ...rest,
      ...(allocation && !isUnwanted ? { allocation } : {}),
      ...(isFree ? {} : { reservedFor: remaining }),
    }
    current = await client.update(CLAIM, { ...claim, status }, { subresource: 'status' })
  }
  if (isUnwanted) {
    const finalizers = current.metadata?.finalizers?.filter((finalizer) => finalizer !== FINALIZER) ?? []
    await client.update(CLAIM, { ...current, metadata: { ...current.metadata, finalizers } })
  }
  if (isFree) await deleteIfUnused(context, claim)
}

/** Whether the pod that a claim is reserved for is there and may still run. */
async function isUsing(
  { client, caches }: ReconcileContext,
  claim: ResourceClaim,
  { name, uid }: ResourceClaimConsumerReference,
): Promise<boolean> {
  const { namespace } = claim.metadata!
  const pod = caches.of('v1/Pod').get(`${namespace}/${name}`)
  if (pod) return pod.metadata?.uid === uid && !isPodDone(pod)
  try {
    // The cache may not know a new pod yet.
    return (await client.get('v1/Pod', { namespace, name })).metadata?.uid === uid
  } catch (error) {
    if (isApiError(error, 'NotFound')) return false
    throw error
  }
}

/** A claim made for a pod that is done goes at once; where the pod is gone the garbage collector sees to it. */
async function deleteIfUnused({ client, caches }: ReconcileContext, claim: ResourceClaim): Promise<void> {
  const owner = controllerOf(claim)
  if (owner?.kind !== 'Pod' || claim.metadata?.deletionTimestamp) return
  const pod = caches.of('v1/Pod').get(`${claim.metadata?.namespace}/${owner.name}`)
  if (!pod || (pod.metadata?.uid === owner.uid && !isPodDone(pod))) return
  try {
    await client.delete(CLAIM, parseKey(keyOf(claim)))
  } catch (error) {
    if (!isApiError(error, 'NotFound')) throw error
  }
}
