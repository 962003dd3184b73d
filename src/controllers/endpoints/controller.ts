/** Keeps the Endpoints object of each Service for clients that do not know EndpointSlices. */
import { keyOf, parseKey } from '../../api/object.ts'
import { isApiError } from '../../api/status.ts'
import { referenceTo } from '../../client/object-reference.ts'
import { watch } from '../controller.ts'
import type { Controller } from '../controller.ts'
import { isSelectingService, podsOfService, servicesOfPod } from '../endpointslice/service-pods.ts'
import { createTriggerTimes } from '../endpointslice/trigger-times.ts'
import { isNamespaceTerminating, messageOf } from '../pods/pod-control.ts'
import { planEndpoints } from './plan.ts'

const KIND = 'v1/Endpoints'

export function createEndpointsController(): Controller {
  const triggerTimes = createTriggerTimes()
  return {
    name: 'endpoint',
    reads: ['v1/Service', 'v1/Pod', KIND],
    writes: [KIND],
    watches: [
      watch('v1/Service', ({ object }) => keyOf(object)),
      watch('v1/Pod', servicesOfPod),
      watch(KIND, ({ object }) => keyOf(object)),
    ],

    async reconcile(key, { client, caches, events }) {
      const service = caches.of('v1/Service').get(key)
      const current = caches.of(KIND).get(key)
      const reference = { kind: 'Endpoints', apiVersion: 'v1', namespace: parseKey(key).namespace!, name: parseKey(key).name }
      if (!service) {
        triggerTimes.forget(key)
        // Endpoints without a Service may be someone's lock or list: only those made here go.
        if (current?.metadata?.labels?.['endpoints.kubernetes.io/managed-by'] === 'endpoint-controller') {
          await client.delete(KIND, parseKey(key)).catch((error: unknown) => {
            if (!isApiError(error, 'NotFound')) throw error
          })
        }
        return
      }
      if (!isSelectingService(service)) return
      const pods = podsOfService(service, caches)
      const next = planEndpoints(service, pods, current, triggerTimes.of(service, pods))
      if (!next) return
      try {
        if (current) await client.update(KIND, next)
        else await client.create(KIND, next)
      } catch (error) {
        if (isNamespaceTerminating(error)) return
        if (!isApiError(error, 'Conflict', 'AlreadyExists')) {
          const [reason, message] = current
            ? ['FailedToUpdateEndpoint', `Failed to update endpoint ${key}: ${messageOf(error)}`]
            : ['FailedToCreateEndpoint', `Failed to create endpoint for service ${key}: ${messageOf(error)}`]
          events.record(current ? referenceTo(KIND, current) : reference, 'Warning', reason, message)
        }
        throw error
      }
    },
  }
}
