/** Nothing is made in a namespace that is missing or on its way out, and the system's namespaces stay. */
import type { StatusDetails } from '../../api/generated/meta/v1.ts'
import { failure, notFound } from '../../api/status.ts'
import { admissionDenied, type AdmissionPlugin } from '../admission.ts'

const IMMORTAL: readonly string[] = ['default', 'kube-system', 'kube-public']

export const namespaceLifecycle: AdmissionPlugin = {
  name: 'NamespaceLifecycle',
  handles: ({ operation }) => operation !== 'CONNECT',
  admit(attributes) {
    const { operation, resource, namespace, name, object, context } = attributes
    if (resource.group === '' && resource.kind === 'Namespace') {
      if (operation === 'DELETE' && IMMORTAL.includes(name)) throw admissionDenied(attributes, 'this namespace may not be deleted')
      return object
    }
    if (!namespace || operation === 'DELETE') return object
    // An access review must not tell whether a namespace exists.
    if (resource.group === 'authorization.k8s.io' && resource.resource === 'localsubjectaccessreviews') return object
    const current = context.read.get('v1/Namespace', undefined, namespace)
    if (!current) throw notFound('', 'namespaces', namespace)
    if (operation !== 'CREATE' || current.status?.phase !== 'Terminating') return object
    const denied = admissionDenied(attributes, `unable to create new content in namespace ${namespace} because it is being terminated`)
    const details: StatusDetails = {
      ...denied.status.details,
      causes: [{ reason: 'NamespaceTerminating', message: `namespace ${namespace} is being terminated`, field: 'metadata.namespace' }],
    }
    throw failure('Forbidden', denied.message, { details })
  },
}
