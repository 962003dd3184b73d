/** Claims that name no storage class get the default one. */
import type { PersistentVolumeClaim } from '../../api/generated/core/v1.ts'
import type { AdmissionPlugin } from '../admission.ts'
import { newestDefault } from './default-class.ts'
import { isWriteOf } from './pods.ts'

const OLD_CLASS = 'volume.beta.kubernetes.io/storage-class'
const DEFAULT_MARKS = ['storageclass.kubernetes.io/is-default-class', 'storageclass.beta.kubernetes.io/is-default-class']

export const defaultStorageClass: AdmissionPlugin = {
  name: 'DefaultStorageClass',
  handles: (attributes) => attributes.operation === 'CREATE' && isWriteOf(attributes, '', 'persistentvolumeclaims'),
  admit({ object, context }) {
    const claim = object as PersistentVolumeClaim
    if (claim.spec?.storageClassName !== undefined || claim.metadata?.annotations?.[OLD_CLASS] !== undefined) return claim
    const found = newestDefault(context.read.list('storage.k8s.io/v1/StorageClass'), ({ metadata }) =>
      DEFAULT_MARKS.some((mark) => metadata?.annotations?.[mark] === 'true'),
    )
    return found ? { ...claim, spec: { ...claim.spec, storageClassName: found.metadata?.name ?? '' } } : claim
  },
}
