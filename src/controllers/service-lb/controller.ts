/**
 * Has load balancers made for Services that ask for one, by whatever provider is given: upstream's service controller, whose
 * provider is a cloud. A finalizer keeps a Service until its load balancer is gone. Without a provider it does not run.
 */
import type { LoadBalancerStatus, Node, Service } from '../../api/generated/core/v1.ts'
import { keyOf, parseKey } from '../../api/object.ts'
import { isApiError } from '../../api/status.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { referenceTo } from '../../client/object-reference.ts'
import { watch } from '../controller.ts'
import type { Caches, Controller, ReconcileContext } from '../controller.ts'
import { messageOf } from '../pods/pod-control.ts'

const KIND = 'v1/Service'
const FINALIZER = 'service.kubernetes.io/load-balancer-cleanup'
const EXCLUDED_LABEL = 'node.kubernetes.io/exclude-from-external-load-balancers'

/** Makes and removes load balancers. Both are called again until they succeed, and with what is done already. */
export interface LoadBalancers {
  /** Resolves with where the load balancer is reached once it sends to these nodes. */
  ensure(service: Service, nodes: readonly Node[], signal: AbortSignal): Promise<LoadBalancerStatus>
  /** Resolves when there is none (any more). */
  remove(service: Service, signal: AbortSignal): Promise<void>
}

const wantsOne = ({ metadata, spec }: Service): boolean =>
  spec?.type === 'LoadBalancer' && spec.loadBalancerClass === undefined && !metadata?.deletionTimestamp

const hasFinalizer = ({ metadata }: Service): boolean => metadata?.finalizers?.includes(FINALIZER) ?? false

const isEligible = ({ metadata }: Node): boolean => metadata?.labels?.[EXCLUDED_LABEL] === undefined && !metadata?.deletionTimestamp

const eligibleNodes = (caches: Caches): readonly Node[] => caches.of('v1/Node').list().filter(isEligible)

export const createServiceLoadBalancerController = (loadBalancers: LoadBalancers): Controller => ({
  name: 'service-lb',
  component: 'service-controller',
  reads: [KIND, 'v1/Node'],
  writes: [`${KIND}/status`],
  watches: [
    watch(KIND, ({ type, object, old }) => {
      const isConcerned = wantsOne(object) || hasFinalizer(object)
      const isNews =
        !old ||
        !deepEqual(object.spec, old.spec) ||
        !deepEqual(object.metadata?.annotations, old.metadata?.annotations) ||
        object.metadata?.deletionTimestamp !== old.metadata?.deletionTimestamp
      return type !== 'deleted' && isConcerned && isNews ? keyOf(object) : undefined
    }),
    watch('v1/Node', ({ type, object, old }, caches) => {
      const isNews = type === 'updated' ? isEligible(object) !== isEligible(old!) : isEligible(object)
      return isNews ? caches.of(KIND).list().filter(wantsOne).map(keyOf) : undefined
    }),
  ],

  async reconcile(key, context) {
    const service = context.caches.of(KIND).get(key)
    if (!service) return
    try {
      if (wantsOne(service)) await ensure(context, loadBalancers, service)
      else if (hasFinalizer(service)) await remove(context, loadBalancers, service)
    } catch (error) {
      if (isApiError(error, 'NotFound')) return
      const message = `Error syncing load balancer: ${messageOf(error)}`
      if (!context.signal.aborted) context.events.record(referenceTo(KIND, service), 'Warning', 'SyncLoadBalancerFailed', message)
      throw error
    }
  },
})

/** What upstream's controller may write: the status, and with it the finalizer. */
const patch = ({ client }: ReconcileContext, service: Service, change: object): Promise<Service> =>
  client.patch(KIND, parseKey(keyOf(service)), 'strategic', change, { subresource: 'status' })

async function ensure(context: ReconcileContext, loadBalancers: LoadBalancers, service: Service): Promise<void> {
  const { caches, events, signal } = context
  const about = referenceTo(KIND, service)
  events.record(about, 'Normal', 'EnsuringLoadBalancer', 'Ensuring load balancer')
  // Before there is anything to clean up.
  if (!hasFinalizer(service)) await patch(context, service, { metadata: { finalizers: [FINALIZER] } })
  const nodes = eligibleNodes(caches)
  if (nodes.length === 0) events.record(about, 'Warning', 'UnAvailableLoadBalancer', 'There are no available nodes for LoadBalancer')
  const status = await naming('ensure', loadBalancers.ensure(service, nodes, signal))
  if (!deepEqual(status, service.status?.loadBalancer ?? {})) await setStatus(context, service, status)
  events.record(about, 'Normal', 'EnsuredLoadBalancer', 'Ensured load balancer')
}

async function naming<T>(what: 'ensure' | 'delete', work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw new Error(`failed to ${what} load balancer: ${messageOf(error)}`, { cause: error })
  }
}

const setStatus = (context: ReconcileContext, service: Service, status: LoadBalancerStatus): Promise<Service> =>
  patch(context, service, { status: { loadBalancer: { ingress: status.ingress ?? null } } })

async function remove(context: ReconcileContext, loadBalancers: LoadBalancers, service: Service): Promise<void> {
  const about = referenceTo(KIND, service)
  context.events.record(about, 'Normal', 'DeletingLoadBalancer', 'Deleting load balancer')
  await naming('delete', loadBalancers.remove(service, context.signal))
  if (service.status?.loadBalancer?.ingress) await setStatus(context, service, {})
  await patch(context, service, { metadata: { '$deleteFromPrimitiveList/finalizers': [FINALIZER] } })
  context.events.record(about, 'Normal', 'DeletedLoadBalancer', 'Deleted load balancer')
}
