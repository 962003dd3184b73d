/** Keeps the EndpointSlices of each Service in step with the pods that it selects. */
import type { EndpointSlice } from '../../api/generated/discovery/v1.ts'
import { keyOf } from '../../api/object.ts'
import { isApiError } from '../../api/status.ts'
import { referenceTo } from '../../client/object-reference.ts'
import type { IndexFunction } from '../../client/object-cache.ts'
import { read, watch } from '../controller.ts'
import type { Controller } from '../controller.ts'
import { isNamespaceTerminating, messageOf } from '../pods/pod-control.ts'
import { MANAGED_BY, MANAGED_BY_LABEL, planEndpointSlices, SERVICE_NAME_LABEL } from './plan.ts'
import { isSelectingService, podsOfService, servicesOfPod } from './service-pods.ts'
import { createTriggerTimes, withTriggerTime } from './trigger-times.ts'

const KIND = 'discovery.k8s.io/v1/EndpointSlice'
export const SERVICE_INDEX = 'service'

/** "namespace/service" of a slice, whoever manages it. */
export const byService: IndexFunction<EndpointSlice> = ({ metadata }) => {
  const service = metadata?.labels?.[SERVICE_NAME_LABEL]
  return service && `${metadata.namespace}/${service}`
}

const isManaged = (slice: EndpointSlice): boolean => slice.metadata?.labels?.[MANAGED_BY_LABEL] === MANAGED_BY

export function createEndpointSliceController(): Controller {
  const triggerTimes = createTriggerTimes()
  return {
    name: 'endpointslice',
    component: 'endpointslice-controller',
    eventSource: 'endpoint-slice-controller',
    reads: ['v1/Service', 'v1/Pod', 'v1/Node', KIND],
    writes: [KIND],
    watches: [
      watch('v1/Service', ({ object }) => keyOf(object)),
      watch('v1/Pod', servicesOfPod),
      // Slices that others changed or deleted are put right.
      watch(
        KIND,
        ({ object, old }) =>
          [object, old].flatMap((slice) => (slice && isManaged(slice) ? ((byService(slice) as string | undefined) ?? []) : [])),
        { [SERVICE_INDEX]: byService },
      ),
      read('v1/Node'),
    ],

    async reconcile(key, { client, caches, events }) {
      const service = caches.of('v1/Service').get(key)
      // The slices of a Service that is gone are left to the garbage collector.
      if (!service) triggerTimes.forget(key)
      if (!service || !isSelectingService(service) || service.metadata?.deletionTimestamp) return
      const pods = podsOfService(service, caches)
      const changedAt = triggerTimes.of(service, pods)
      const existing = caches
        .of(KIND)
        .byIndex(SERVICE_INDEX, key)
        .filter((slice) => isManaged(slice) && !slice.metadata?.deletionTimestamp)
      const nodes = caches.of('v1/Node')
      const plan = planEndpointSlices({ service, pods, existing, nodeOf: (name) => nodes.get(name) })
      try {
        for (const slice of plan.create) await client.create(KIND, told(slice, changedAt))
        for (const slice of plan.update) await client.update(KIND, told(slice, changedAt))
        for (const { metadata } of plan.delete)
          await client.delete(KIND, { namespace: metadata!.namespace!, name: metadata!.name! }).catch(ignoreGone)
      } catch (error) {
        if (isNamespaceTerminating(error)) return
        if (!isApiError(error, 'Conflict')) {
          events.record(
            referenceTo('v1/Service', service),
            'Warning',
            'FailedToUpdateEndpointSlices',
            `Error updating Endpoint Slices for Service ${key}: ${messageOf(error)}`,
          )
        }
        throw error
      }
    },
  }
}

const told = (slice: EndpointSlice, changedAt: string | undefined): EndpointSlice => ({
  ...slice,
  metadata: { ...slice.metadata, annotations: withTriggerTime(slice.metadata?.annotations, changedAt) },
})

function ignoreGone(error: unknown): void {
  if (!isApiError(error, 'NotFound')) throw error
}
