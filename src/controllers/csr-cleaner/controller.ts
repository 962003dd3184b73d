/** Deletes CertificateSigningRequests that have served their time: those who make them do not. */
import { keyOf, parseKey } from '../../api/object.ts'
import { isApiError } from '../../api/status.ts'
import { watch } from '../controller.ts'
import type { Controller } from '../controller.ts'
import { staysForMs } from './plan.ts'

const KIND = 'certificates.k8s.io/v1/CertificateSigningRequest'

export const csrCleanerController: Controller = {
  name: 'csr-cleaner',
  component: 'certificate-controller',
  reads: [KIND],
  writes: [KIND],
  watches: [watch(KIND, ({ type, object }) => (type === 'deleted' ? undefined : keyOf(object)))],
  async reconcile(key, { client, caches, runtime }) {
    const request = caches.of(KIND).get(key)
    const afterMs = request && staysForMs(request, runtime.clock.now())
    if (afterMs === undefined) return
    if (afterMs > 0) return { afterMs }
    try {
      await client.delete(KIND, parseKey(key), { preconditions: { uid: request!.metadata!.uid! } })
    } catch (error) {
      if (!isApiError(error, 'NotFound', 'Conflict')) throw error
    }
  },
}
