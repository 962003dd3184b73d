/** Services may not take other addresses than those they have (CVE-2020-8554); off by default. */
import type { Service } from '../../api/generated/core/v1.ts'
import { admissionDenied, type AdmissionPlugin } from '../admission.ts'
import { isWriteOf } from './pods.ts'

export const denyServiceExternalIps: AdmissionPlugin = {
  name: 'DenyServiceExternalIPs',
  handles: (attributes) =>
    (attributes.operation === 'CREATE' || attributes.operation === 'UPDATE') && isWriteOf(attributes, '', 'services'),
  validate(attributes) {
    const before = new Set((attributes.oldObject as Service | undefined)?.spec?.externalIPs)
    const asked = (attributes.object as Service).spec?.externalIPs ?? []
    if (!asked.every((address) => before.has(address)))
      throw admissionDenied(attributes, 'Use of external IPs is denied by admission control')
  },
}
