/** Puts the certificate authority of the API server into every namespace, so that pods can trust it (kube-root-ca.crt). */
import type { ConfigMap } from '../../api/generated/core/v1.ts'
import { isApiError } from '../../api/status.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { watch } from '../controller.ts'
import type { Controller } from '../controller.ts'
import { isNamespaceTerminating } from '../pods/pod-control.ts'
import { isNamespaceActive } from '../serviceaccount/controller.ts'

const NAME = 'kube-root-ca.crt'
const DESCRIPTION =
  'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. ' +
  'No other usage is guaranteed across distributions of Kubernetes clusters.'

/** `rootCa` is PEM. */
export function createRootCaController(rootCa: string): Controller {
  const data = { 'ca.crt': rootCa }
  const annotations = { 'kubernetes.io/description': DESCRIPTION }
  return {
    name: 'root-ca',
    component: 'root-ca-cert-publisher',
    reads: ['v1/Namespace', 'v1/ConfigMap'],
    writes: ['v1/ConfigMap'],
    watches: [
      watch('v1/Namespace', ({ type, object }) => (type === 'deleted' ? undefined : object.metadata!.name!)),
      watch('v1/ConfigMap', ({ object }) => (object.metadata?.name === NAME ? object.metadata.namespace! : undefined)),
    ],
    async reconcile(key, { client, caches }) {
      if (!isNamespaceActive(caches.of('v1/Namespace').get(key))) return
      const current: ConfigMap | undefined = caches.of('v1/ConfigMap').get(`${key}/${NAME}`)
      if (current && deepEqual(current.data, data) && current.metadata?.annotations?.['kubernetes.io/description']) return
      try {
        if (!current) await client.create('v1/ConfigMap', { metadata: { namespace: key, name: NAME, annotations }, data })
        else
          await client.update('v1/ConfigMap', {
            ...current,
            metadata: { ...current.metadata, annotations: { ...current.metadata?.annotations, ...annotations } },
            data,
          })
      } catch (error) {
        if (!isNamespaceTerminating(error) && !isApiError(error, 'AlreadyExists', 'NotFound')) throw error
      }
    },
  }
}
