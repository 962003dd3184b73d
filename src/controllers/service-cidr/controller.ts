/** Says of the networks of cluster IPs that they are ready, and keeps those from going that addresses still come from (KEP-1880). */
import type { ServiceCIDR } from '../../api/generated/networking/v1.ts'
import { timestamp } from '../../base/clock.ts'
import { referenceTo } from '../../client/object-reference.ts'
import { findCondition } from '../conditions.ts'
import { watch } from '../controller.ts'
import type { Caches, Controller, ReconcileContext } from '../controller.ts'
import { timeOf } from '../pods/pod-state.ts'
import { canGo, containing, overlapping } from './plan.ts'

const KIND = 'networking.k8s.io/v1/ServiceCIDR'
const ADDRESS = 'networking.k8s.io/v1/IPAddress'
const FINALIZER = 'networking.k8s.io/service-cidr-finalizer'
/** So long a network that goes is kept, so that every API server has stopped giving out its addresses. */
const GRACE_MS = 10_000

const namesOf = (cidrs: readonly ServiceCIDR[]): readonly string[] => cidrs.map(({ metadata }) => metadata!.name!)
/** Only networks that go wait for others. */
const going = (caches: Caches): readonly ServiceCIDR[] =>
  caches
    .of(KIND)
    .list()
    .filter(({ metadata }) => metadata?.deletionTimestamp)

export const serviceCidrController: Controller = {
  name: 'service-cidr',
  component: 'service-cidrs-controller',
  eventSource: 'service-cidr-controller',
  reads: [KIND, ADDRESS],
  writes: [KIND, `${KIND}/status`],
  watches: [
    watch(KIND, ({ type, object }, caches) => [
      ...(type === 'deleted' ? [] : [object.metadata!.name!]),
      ...namesOf(type === 'updated' ? [] : overlapping(object, going(caches))),
    ]),
    watch(ADDRESS, ({ type, object }, caches) => (type === 'updated' ? [] : namesOf(containing(object.metadata!.name!, going(caches))))),
  ],

  async reconcile(key, context) {
    const { client, caches, runtime } = context
    const cidr = caches.of(KIND).get(key)
    if (!cidr) return
    const finalizers = cidr.metadata?.finalizers ?? []
    const going = timeOf(cidr.metadata?.deletionTimestamp)
    if (going === undefined) {
      if (!finalizers.includes(FINALIZER)) await client.patch(KIND, { name: key }, 'strategic', { metadata: { finalizers: [FINALIZER] } })
      return setReady(context, cidr, 'True', '', 'Kubernetes Service CIDR is ready')
    }
    if (!canGo(cidr, caches.of(KIND).list(), caches.of(ADDRESS).values())) {
      const message = 'There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR'
      return setReady(context, cidr, 'False', 'Terminating', message)
    }
    const afterMs = going + GRACE_MS - runtime.clock.now()
    if (afterMs > 0) return { afterMs }
    if (!finalizers.includes(FINALIZER)) return
    const patch = { metadata: { '$deleteFromPrimitiveList/finalizers': [FINALIZER] } }
    await client.patch(KIND, { name: key }, 'strategic', patch)
  },
}

async function setReady(
  { client, runtime, events }: ReconcileContext,
  cidr: ServiceCIDR,
  status: 'True' | 'False',
  reason: string,
  message: string,
): Promise<void> {
  const current = findCondition(cidr.status?.conditions, 'Ready')
  // Whoever made the network may have said that it is ready in words of its own.
  if (current?.status === status && (current.reason ?? '') === reason) return
  const ready = { type: 'Ready', status, reason, message, lastTransitionTime: timestamp(runtime.clock) }
  const conditions = [...(cidr.status?.conditions?.filter(({ type }) => type !== 'Ready') ?? []), ready]
  try {
    await client.update(KIND, { ...cidr, status: { ...cidr.status, conditions } }, { subresource: 'status' })
  } catch (error) {
    const text = 'The ServiceCIDR Status can not be set to Ready=True'
    if (status === 'True') events.record(referenceTo(KIND, cidr), 'Warning', 'KubernetesServiceCIDRError', text)
    throw error
  }
}
