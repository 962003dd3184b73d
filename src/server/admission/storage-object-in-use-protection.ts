/** Volumes and claims stay while something uses them: a finalizer that the protection controllers take off. */
import type { AdmissionPlugin } from '../admission.ts'
import { isWriteOf } from './pods.ts'

const FINALIZERS: Readonly<Record<string, string>> = {
  persistentvolumes: 'kubernetes.io/pv-protection',
  persistentvolumeclaims: 'kubernetes.io/pvc-protection',
  volumeattributesclasses: 'kubernetes.io/vac-protection',
}

export const storageObjectInUseProtection: AdmissionPlugin = {
  name: 'StorageObjectInUseProtection',
  handles: (attributes) =>
    attributes.operation === 'CREATE' && FINALIZERS[attributes.resource.resource] !== undefined && isOurs(attributes),
  admit({ object, resource }) {
    const finalizer = FINALIZERS[resource.resource]
    const finalizers = object?.metadata?.finalizers ?? []
    if (!object || finalizer === undefined || finalizers.includes(finalizer)) return object
    return { ...object, metadata: { ...object.metadata, finalizers: [...finalizers, finalizer] } }
  },
}

const isOurs = (attributes: Parameters<typeof isWriteOf>[0]): boolean =>
  isWriteOf(attributes, attributes.resource.resource === 'volumeattributesclasses' ? 'storage.k8s.io' : '', attributes.resource.resource)
