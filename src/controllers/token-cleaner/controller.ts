/** Deletes bootstrap tokens whose time is over. */
import { keyOf, parseKey } from '../../api/object.ts'
import { isApiError } from '../../api/status.ts'
import { watch } from '../controller.ts'
import type { Controller } from '../controller.ts'
import { tokenExpiresAfterMs } from './plan.ts'

const KIND = 'v1/Secret'
/** Where tokens are, and the only place where its account may delete. */
const NAMESPACE = 'kube-system'

export const tokenCleanerController: Controller = {
  name: 'token-cleaner',
  component: 'token-cleaner',
  reads: [KIND],
  writes: [KIND],
  watches: [
    watch(KIND, ({ type, object }) => {
      const isToken = object.metadata?.namespace === NAMESPACE && tokenExpiresAfterMs(object, 0) !== undefined
      return type !== 'deleted' && isToken ? keyOf(object) : undefined
    }),
  ],
  async reconcile(key, { client, caches, runtime }) {
    const secret = caches.of(KIND).get(key)
    const afterMs = secret && tokenExpiresAfterMs(secret, runtime.clock.now())
    if (afterMs === undefined) return
    if (afterMs > 0) return { afterMs }
    try {
      await client.delete(KIND, parseKey(key), { preconditions: { uid: secret!.metadata!.uid! } })
    } catch (error) {
      // Deleted, or made anew, by somebody else: then the watch tells.
      if (!isApiError(error, 'NotFound', 'Conflict')) throw error
    }
  },
}
