/**
 * Changes of the usage that a quota tells, gathered: whatever asks for a charge while a write is under way shares the next one,
 * so that a burst of creates costs a few writes and none of them meets a conflict of its own making. Each write is compared on
 * the revision that it was decided from: several API servers keep one quota without overshooting it.
 */
import type { ResourceQuota } from '../../api/generated/core/v1.ts'
import type { InternalWriter } from '../admission.ts'

/** Makes the quota with a charge on it, or throws what refuses it. */
export type Charge = (quota: ResourceQuota) => ResourceQuota

export interface QuotaLedger {
  /** Resolves when the charge is stored, or there is no such quota any more; rejects with what the charge threw. */
  post(writer: InternalWriter, namespace: string, name: string, charge: Charge): Promise<void>
}

/** Charges in one write; the rest waits for the next. The queue itself holds one entry for each request under way. */
const MAX_BATCH = 256

interface Waiting {
  readonly charge: Charge
  readonly settled: PromiseWithResolvers<void>
}

export function createQuotaLedger(): QuotaLedger {
  const queues = new Map<string, Waiting[]>()

  async function work(writer: InternalWriter, namespace: string, name: string, key: string, queue: Waiting[]): Promise<void> {
    while (queue.length > 0) {
      const batch = queue.splice(0, MAX_BATCH)
      const refusals = new Map<Waiting, unknown>()
      try {
        await writer.update('v1/ResourceQuota', namespace, name, (current) => {
          refusals.clear()
          return batch.reduce((quota, waiting) => {
            try {
              return waiting.charge(quota)
            } catch (error) {
              refusals.set(waiting, error)
              return quota
            }
          }, current)
        })
      } catch (error) {
        for (const waiting of batch) refusals.set(waiting, error)
      }
      for (const waiting of batch) {
        if (refusals.has(waiting)) waiting.settled.reject(refusals.get(waiting))
        else waiting.settled.resolve()
      }
    }
    queues.delete(key)
  }

  return {
    post(writer, namespace, name, charge) {
      const key = `${namespace}/${name}`
      const waiting = { charge, settled: Promise.withResolvers<void>() }
      const queue = queues.get(key)
      if (queue) queue.push(waiting)
      else {
        const fresh = [waiting]
        queues.set(key, fresh)
        void work(writer, namespace, name, key, fresh)
      }
      return waiting.settled.promise
    },
  }
}
