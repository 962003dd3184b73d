/**
 * Counts what is used of each ResourceQuota. The API server charges writes by itself (its admission plugin ResourceQuota); here
 * is found what deletions free and what a new or changed quota counts. Kinds are watched once a quota counts them.
 */
import type { ResourceQuota } from '../../api/generated/core/v1.ts'
import { keyOf } from '../../api/object.ts'
import type { KubeObject } from '../../api/object.ts'
import { kindNameOf } from '../../api/schema.ts'
import { quotaEvaluatorOf, resourcesCountedBy } from '../../api/quota/evaluators.ts'
import type { QuotaEvaluator } from '../../api/quota/evaluators.ts'
import { chargeEndMs } from '../../api/quota/pod-usage.ts'
import { isSameList } from '../../api/quota/resource-lists.ts'
import { qualifiedResource } from '../../api/status.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import type { Informer } from '../../client/informer.ts'
import { watch } from '../controller.ts'
import type { Controller, StartContext } from '../controller.ts'
import { planQuotaStatus } from './plan.ts'
import type { Counted } from './plan.ts'

const KIND = 'v1/ResourceQuota'
const DEFINITIONS = 'apiextensions.k8s.io/v1/CustomResourceDefinition'
/**
 * A count between the charge for an object and the object itself is too low. So each new object is followed by a count; waiting
 * a little makes one count of a burst.
 */
const AFTER_CREATE_MS = 1000

/** Somebody else wrote the status: charges of the API server change neither the limits nor which names have a usage. */
function isStatusOff({ spec, status }: ResourceQuota): boolean {
  const hard = spec?.hard ?? {}
  return !isSameList(hard, status?.hard) || Object.keys(hard).some((name) => status?.used?.[name] === undefined)
}

interface Followed {
  readonly evaluator: QuotaEvaluator
  readonly informer: Informer<KubeObject>
}

export function createResourceQuotaController(): Controller {
  /** By "pods", "deployments.apps". */
  const followed = new Map<string, Followed>()
  let start: StartContext | undefined

  function follow({ informers, caches, enqueue, runtime }: StartContext, resource: string, kind: string, evaluator: QuotaEvaluator): void {
    const informer = informers.of(kind)
    followed.set(resource, { evaluator, informer })
    const tell = ({ metadata }: KubeObject, afterMs: number): void => {
      for (const quota of caches.of(KIND).byNamespace(metadata?.namespace ?? ''))
        if (Object.keys(quota.spec?.hard ?? {}).some((name) => evaluator.counts(name))) enqueue(keyOf(quota), afterMs)
    }
    informer.addHandlers({
      added: (object) => tell(object, AFTER_CREATE_MS),
      updated(object, old) {
        if (!evaluator.isUsageChanged(object, old, runtime.clock.now())) return
        tell(object, 0)
        // A pod that outlives its grace period is no longer charged from then on.
        const endMs = resource === 'pods' ? chargeEndMs(object.metadata) : undefined
        if (endMs !== undefined) tell(object, endMs + 1 - runtime.clock.now())
      },
      deleted: (object) => tell(object, 0),
    })
  }

  /** What is served of what these names count, with caches that are filled. */
  async function countedBy(context: StartContext, names: readonly string[], namespace: string): Promise<readonly Counted[]> {
    const wanted = resourcesCountedBy(names)
    if (wanted.some((resource) => !followed.has(resource))) {
      const { preferred } = await context.client.discover()
      for (const info of preferred) {
        const resource = qualifiedResource(info.group, info.resource)
        const evaluator = quotaEvaluatorOf(info.group, info.resource)
        if (!wanted.includes(resource) || followed.has(resource) || !evaluator || !info.namespaced) continue
        if (info.verbs.includes('list') && info.verbs.includes('watch')) follow(context, resource, kindNameOf(info), evaluator)
      }
    }
    const found = wanted.map((resource) => followed.get(resource)).filter((one) => one !== undefined)
    await Promise.all(found.map(({ informer }) => informer.synced))
    return found.map(({ evaluator, informer }) => ({ evaluator, objects: informer.cache.byNamespace(namespace) }))
  }

  return {
    name: 'resourcequota',
    reads: [KIND, DEFINITIONS],
    writes: ['v1/ResourceQuota/status'],
    watches: [
      watch(KIND, ({ type, object, old }) => {
        if (type === 'deleted') return undefined
        return type === 'added' || !deepEqual(object.spec, old?.spec) || isStatusOff(object) ? keyOf(object) : undefined
      }),
      // Kinds come and go: what counted nothing may count now, and the other way round.
      watch(DEFINITIONS, ({ type, object, old }, caches) => {
        const resource = qualifiedResource(object.spec.group, object.spec.names.plural)
        if (type === 'deleted') followed.delete(resource)
        if (type === 'updated' && deepEqual(object.status?.conditions, old?.status?.conditions)) return []
        const name = `count/${resource}`
        return [...caches.of(KIND).values()].filter(({ spec }) => spec?.hard?.[name] !== undefined).map(keyOf)
      }),
    ],
    start(context) {
      start = context
    },

    async reconcile(key, { client, caches, runtime }) {
      const before = caches.of(KIND).get(key)
      if (!before) return
      const counted = await countedBy(start!, Object.keys(before.spec?.hard ?? {}), before.metadata!.namespace!)
      const quota = caches.of(KIND).get(key)
      if (!quota) return
      const status = planQuotaStatus(quota, counted, runtime.clock.now())
      if (status !== quota.status) await client.update(KIND, { ...quota, status: status! }, { subresource: 'status' })
    },
  }
}
