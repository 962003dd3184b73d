/** Refuses every write; off by default, and of use to tests alone. */
import { admissionDenied, type AdmissionPlugin } from '../admission.ts'

export const alwaysDeny: AdmissionPlugin = {
  name: 'AlwaysDeny',
  handles: () => true,
  admit(attributes) {
    throw admissionDenied(attributes, 'admission control is denying all modifications')
  },
  validate(attributes) {
    throw admissionDenied(attributes, 'admission control is denying all modifications')
  },
}
