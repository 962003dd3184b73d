/** Deletes Jobs some time after they have ended, where they ask for it. */
import { keyOf, parseKey } from '../../api/object.ts'
import { isApiError } from '../../api/status.ts'
import { watch } from '../controller.ts'
import type { Controller } from '../controller.ts'
import { expiresAfterMs } from './plan.ts'

const KIND = 'batch/v1/Job'

export const ttlAfterFinishedController: Controller = {
  name: 'ttl-after-finished',
  component: 'ttl-after-finished-controller',
  reads: [KIND],
  writes: [KIND],
  watches: [watch(KIND, ({ type, object }) => (type !== 'deleted' && expiresAfterMs(object, 0) !== undefined ? keyOf(object) : undefined))],

  async reconcile(key, { client, caches, runtime }) {
    const cached = caches.of(KIND).get(key)
    const afterMs = cached && expiresAfterMs(cached, runtime.clock.now())
    if (afterMs === undefined) return
    if (afterMs > 0) return { afterMs }
    try {
      // The time may have been prolonged just now: deleting cannot be undone, so the server is asked.
      const fresh = await client.get(KIND, parseKey(key))
      const remainingMs = expiresAfterMs(fresh, runtime.clock.now())
      if (remainingMs === undefined) return
      if (remainingMs > 0) return { afterMs: remainingMs }
      await client.delete(KIND, parseKey(key), { propagationPolicy: 'Foreground', preconditions: { uid: fresh.metadata!.uid! } })
    } catch (error) {
      if (!isApiError(error, 'NotFound')) throw error
    }
  },
}
