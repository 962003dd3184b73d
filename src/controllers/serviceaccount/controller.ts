/** Gives every namespace its `default` ServiceAccount, under which pods run that name none. */
import type { Namespace } from '../../api/generated/core/v1.ts'
import { isApiError } from '../../api/status.ts'
import { watch } from '../controller.ts'
import type { Controller } from '../controller.ts'
import { isNamespaceTerminating } from '../pods/pod-control.ts'

const NAME = 'default'

/** Whether things should still be made in it. */
export const isNamespaceActive = (namespace: Namespace | undefined): boolean =>
  namespace !== undefined && !namespace.metadata?.deletionTimestamp && namespace.status?.phase !== 'Terminating'

export const serviceAccountController: Controller = {
  name: 'serviceaccount',
  component: 'service-account-controller',
  reads: ['v1/Namespace', 'v1/ServiceAccount'],
  writes: ['v1/ServiceAccount'],
  watches: [
    watch('v1/Namespace', ({ type, object }) => (type === 'deleted' ? undefined : object.metadata!.name!)),
    watch('v1/ServiceAccount', ({ type, object }) =>
      type === 'deleted' && object.metadata?.name === NAME ? object.metadata.namespace! : undefined,
    ),
  ],
  async reconcile(key, { client, caches }) {
    if (!isNamespaceActive(caches.of('v1/Namespace').get(key)) || caches.of('v1/ServiceAccount').get(`${key}/${NAME}`)) return
    try {
      await client.create('v1/ServiceAccount', { metadata: { namespace: key, name: NAME } })
    } catch (error) {
      if (!isNamespaceTerminating(error) && !isApiError(error, 'AlreadyExists', 'NotFound')) throw error
    }
  },
}
