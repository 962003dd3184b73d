/** Shows Endpoints that somebody writes for a Service without a selector as EndpointSlices, which is what proxies read. */
import type { EndpointSlice } from '../../api/generated/discovery/v1.ts'
import { keyOf } from '../../api/object.ts'
import { isApiError } from '../../api/status.ts'
import { referenceTo } from '../../client/object-reference.ts'
import { watch } from '../controller.ts'
import type { Controller } from '../controller.ts'
import { byService, SERVICE_INDEX } from '../endpointslice/controller.ts'
import { MANAGED_BY_LABEL } from '../endpointslice/plan.ts'
import { isNamespaceTerminating } from '../pods/pod-control.ts'
import { isMirrored, MIRRORED_BY, planMirror } from './plan.ts'

const KIND = 'discovery.k8s.io/v1/EndpointSlice'
const ENDPOINTS = 'v1/Endpoints'

const isOurs = (slice: EndpointSlice | undefined): slice is EndpointSlice => slice?.metadata?.labels?.[MANAGED_BY_LABEL] === MIRRORED_BY

export const endpointSliceMirroringController: Controller = {
  name: 'endpointslice-mirroring',
  component: 'endpointslicemirroring-controller',
  eventSource: 'endpoint-slice-mirroring-controller',
  reads: ['v1/Service', ENDPOINTS, KIND],
  writes: [KIND],
  watches: [
    watch(ENDPOINTS, ({ object, old }) => (isMirrored(object) || (old && isMirrored(old)) ? keyOf(object) : undefined)),
    watch('v1/Service', ({ type, object, old }) => {
      const hasChanged = type !== 'updated' || (object.spec?.selector === undefined) !== (old?.spec?.selector === undefined)
      return hasChanged && (type === 'updated' || object.spec?.selector === undefined) ? keyOf(object) : undefined
    }),
    watch(KIND, ({ object, old }) => [object, old].flatMap((slice) => (isOurs(slice) ? (byService(slice) ?? []) : [])), {
      [SERVICE_INDEX]: byService,
    }),
  ],

  async reconcile(key, { client, caches, events }) {
    const endpoints = caches.of(ENDPOINTS).get(key)
    const service = caches.of('v1/Service').get(key)
    const existing = caches
      .of(KIND)
      .byIndex(SERVICE_INDEX, key)
      .filter((slice) => isOurs(slice) && !slice.metadata?.deletionTimestamp)
    const remove = async (slices: readonly EndpointSlice[]): Promise<void> => {
      for (const { metadata } of slices) {
        try {
          await client.delete(KIND, { namespace: metadata!.namespace, name: metadata!.name! })
        } catch (error) {
          if (!isApiError(error, 'NotFound')) throw error
        }
      }
    }
    if (!endpoints || !service || !isMirrored(endpoints) || service.spec?.selector !== undefined) return remove(existing)

    const plan = planMirror(endpoints, existing)
    const reference = referenceTo(ENDPOINTS, endpoints)
    if (plan.invalid > 0) {
      const message = `Skipped ${plan.invalid} invalid IP addresses when mirroring to EndpointSlices`
      events.record(reference, 'Warning', 'InvalidIPAddress', message)
    }
    if (plan.skipped > plan.invalid) {
      const message = `A max of 1000 addresses can be mirrored to EndpointSlices per Endpoints subset. ${plan.skipped} addresses were skipped`
      events.record(reference, 'Warning', 'TooManyAddressesToMirror', message)
    }
    try {
      for (const slice of plan.create) await client.create(KIND, slice)
    } catch (error) {
      if (isNamespaceTerminating(error)) return
      throw error
    }
    for (const slice of plan.update) await client.update(KIND, slice)
    await remove(plan.delete)
  },
}
