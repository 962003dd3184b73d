/** A claim grows only when it is bound and its storage class allows that. */
import type { PersistentVolumeClaim } from '../../api/generated/core/v1.ts'
import { admissionDenied, type AdmissionPlugin } from '../admission.ts'
import { compareQuantities } from '../../api/quantity.ts'
import { isWriteOf } from './pods.ts'

const sizeOf = (claim: PersistentVolumeClaim): string => claim.spec?.resources?.requests?.['storage'] ?? '0'
const classOf = (claim: PersistentVolumeClaim): string =>
  claim.metadata?.annotations?.['volume.beta.kubernetes.io/storage-class'] ?? claim.spec?.storageClassName ?? ''

export const persistentVolumeClaimResize: AdmissionPlugin = {
  name: 'PersistentVolumeClaimResize',
  handles: (attributes) => attributes.operation === 'UPDATE' && isWriteOf(attributes, '', 'persistentvolumeclaims'),
  validate(attributes) {
    const next = attributes.object as PersistentVolumeClaim
    const old = attributes.oldObject as PersistentVolumeClaim
    if (compareQuantities(sizeOf(next), sizeOf(old)) <= 0) return
    if (old.status?.phase !== 'Bound') throw admissionDenied(attributes, 'Only bound persistent volume claims can be expanded')
    const name = classOf(next)
    const storageClass =
      name && name === classOf(old) ? attributes.context.read.get('storage.k8s.io/v1/StorageClass', undefined, name) : undefined
    if (storageClass?.allowVolumeExpansion) return
    throw admissionDenied(
      attributes,
      'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
    )
  },
}
