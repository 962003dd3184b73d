/**
 * Empties namespaces that are being deleted: pods first (KEP-5080, so that nothing that guards them goes before they are gone),
 * then every other resource that discovery knows, and last takes the namespace's own finalizer off.
 */
import type { Namespace } from '../../api/generated/core/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { kindNameOf, type ResourceInfo } from '../../api/schema.ts'
import { isApiError } from '../../api/status.ts'
import { timestamp } from '../../base/clock.ts'
import type { Client, Discovery } from '../../client/client.ts'
import { isUnknownKind } from '../../client/unknown-kind.ts'
import { watch } from '../controller.ts'
import type { Controller, ReconcileContext } from '../controller.ts'
import { messageOf } from '../pods/pod-control.ts'
import { timeOf } from '../pods/pod-state.ts'
import { planConditions, waitMs } from './plan.ts'
import type { DeletionReport } from './plan.ts'

const KIND = 'v1/Namespace'
const FINALIZER = 'kubernetes'

export function createNamespaceController(): Controller {
  let discovery: Promise<Discovery> | undefined
  const forgetDiscovery = (): undefined => (discovery = undefined)

  /** Asked for anew after any change of what is served, and after a failure. */
  async function discover(client: Client): Promise<Discovery> {
    discovery ??= client.discover()
    try {
      const found = await discovery
      if (found.failures.size > 0) forgetDiscovery()
      return found
    } catch (error) {
      forgetDiscovery()
      throw error
    }
  }

  return {
    name: 'namespace',
    workers: 10,
    reads: [KIND, 'v1/Pod', 'apiextensions.k8s.io/v1/CustomResourceDefinition', 'apiregistration.k8s.io/v1/APIService'],
    writes: ['*/*', `${KIND}/status`, `${KIND}/finalize`],
    watches: [
      watch(KIND, ({ type, object }) => (type !== 'deleted' && object.metadata?.deletionTimestamp ? object.metadata.name! : undefined)),
      // The last pod of a namespace that is going makes way for the rest.
      watch('v1/Pod', ({ type, object }, caches) => {
        const namespace = type === 'deleted' ? object.metadata!.namespace! : undefined
        const isGoing = namespace !== undefined && caches.of(KIND).get(namespace)?.metadata?.deletionTimestamp !== undefined
        return isGoing && caches.of('v1/Pod').byNamespace(namespace).length === 0 ? namespace : undefined
      }),
      watch('apiextensions.k8s.io/v1/CustomResourceDefinition', forgetDiscovery),
      watch('apiregistration.k8s.io/v1/APIService', forgetDiscovery),
    ],

    async reconcile(key, context) {
      const { client, runtime, caches } = context
      const cached = caches.of(KIND).get(key)
      if (!cached?.metadata?.deletionTimestamp) return
      let namespace: Namespace
      try {
        namespace = await markTerminating(client, await client.get(KIND, { name: key }))
      } catch (error) {
        if (isApiError(error, 'NotFound')) return
        throw error
      }
      if (!namespace.metadata?.deletionTimestamp || !namespace.spec?.finalizers?.includes(FINALIZER)) return

      const report = await deleteContent(context, key, await discover(client))
      const conditions = planConditions(namespace.status?.conditions, report, timestamp(runtime.clock))
      if (conditions !== namespace.status?.conditions) {
        namespace = await client.update(
          KIND,
          { ...namespace, status: { ...namespace.status, conditions: conditions! } },
          { subresource: 'status' },
        )
      }
      if (report.errors.length > 0 || report.discoveryFailures.size > 0) {
        forgetDiscovery()
        throw new Error([...report.errors, ...report.discoveryFailures.values()].join('; '))
      }
      if (report.remaining.size > 0) return { afterMs: waitMs(runtime.clock.now() - timeOf(namespace.metadata!.deletionTimestamp)!) }
      await finalize(client, namespace)
    },
  }
}

async function markTerminating(client: Client, namespace: Namespace): Promise<Namespace> {
  if (!namespace.metadata?.deletionTimestamp || namespace.status?.phase === 'Terminating') return namespace
  return client.update(KIND, { ...namespace, status: { ...namespace.status, phase: 'Terminating' } }, { subresource: 'status' })
}

async function finalize(client: Client, namespace: Namespace): Promise<void> {
  const finalizers = namespace.spec!.finalizers!.filter((finalizer) => finalizer !== FINALIZER)
  try {
    await client.update(KIND, { ...namespace, spec: { ...namespace.spec, finalizers } }, { subresource: 'finalize' })
  } catch (error) {
    if (!isApiError(error, 'NotFound')) throw error
  }
}

const isPods = (resource: ResourceInfo): boolean => resource.group === '' && resource.resource === 'pods'

async function deleteContent(context: ReconcileContext, namespace: string, discovery: Discovery): Promise<DeletionReport> {
  const report = {
    discoveryFailures: discovery.failures,
    errors: [] as string[],
    remaining: new Map<string, number>(),
    finalizers: new Map<string, number>(),
  }
  const deletable = discovery.preferred.filter(
    (resource) => resource.namespaced && resource.verbs.includes('delete') && resource.verbs.includes('list'),
  )
  const visit = async (resource: ResourceInfo): Promise<void> => {
    try {
      const left = await deleteResource(context.client, resource, namespace)
      if (left.length > 0) report.remaining.set(`${resource.resource}.${resource.group}`, left.length)
      for (const finalizer of left.flatMap((object) => object.metadata?.finalizers ?? []))
        report.finalizers.set(finalizer, (report.finalizers.get(finalizer) ?? 0) + 1)
    } catch (error) {
      report.errors.push(messageOf(error))
    }
  }
  await Promise.all(deletable.filter(isPods).map(visit))
  if (report.remaining.size === 0) await Promise.all(deletable.filter((resource) => !isPods(resource)).map(visit))
  return report
}

/** Deletes all objects of a resource and returns those that are still there. */
async function deleteResource(client: Client, resource: ResourceInfo, namespace: string): Promise<readonly KubeObject[]> {
  const kind = kindNameOf(resource)
  try {
    const before = await client.list(kind, { namespace })
    if (before.items.length === 0) return []
    // Background: the garbage collector must not be asked to orphan what goes with the namespace anyway.
    if (resource.verbs.includes('deletecollection')) await client.deleteCollection(kind, { namespace, propagationPolicy: 'Background' })
    else await Promise.all(before.items.map((object) => deleteOne(client, kind, object)))
    return (await client.list(kind, { namespace })).items
  } catch (error) {
    // No longer served, or served without these verbs: there is nothing to delete.
    if (isUnknownKind(error) || isApiError(error, 'NotFound', 'MethodNotAllowed')) return []
    throw error
  }
}

async function deleteOne(client: Client, kind: string, { metadata }: KubeObject): Promise<void> {
  try {
    await client.delete(kind, { namespace: metadata!.namespace, name: metadata!.name! }, { propagationPolicy: 'Background' })
  } catch (error) {
    if (!isApiError(error, 'NotFound')) throw error
  }
}
