/** NamespaceExists and NamespaceAutoProvision: two older answers to writes in a namespace that is not there; off by default. */
import type { KubeObject } from '../../api/object.ts'
import { isApiError, notFound } from '../../api/status.ts'
import { admissionDenied, type AdmissionAttributes, type AdmissionPlugin } from '../admission.ts'

const isMissing = ({ resource, namespace, context }: AdmissionAttributes): boolean =>
  Boolean(namespace) &&
  !(resource.group === '' && resource.kind === 'Namespace') &&
  !context.read.get('v1/Namespace', undefined, namespace!)

export const namespaceExists: AdmissionPlugin = {
  name: 'NamespaceExists',
  handles: ({ operation }) => operation !== 'CONNECT',
  validate(attributes) {
    if (isMissing(attributes)) throw notFound('', 'namespaces', attributes.namespace!)
  },
}

/** Makes an object by way of the API, as the server itself. */
export type CreateObject = (path: string, object: KubeObject) => Promise<void>

export const namespaceAutoProvision = (create: CreateObject): AdmissionPlugin => ({
  name: 'NamespaceAutoProvision',
  handles: ({ operation, dryRun }) => operation === 'CREATE' && !dryRun,
  async admit(attributes) {
    if (!isMissing(attributes)) return attributes.object
    try {
      await create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: attributes.namespace! } })
    } catch (error) {
      if (!isApiError(error)) throw error
      if (error.reason !== 'AlreadyExists') throw admissionDenied(attributes, error.message)
    }
    return attributes.object
  },
})
