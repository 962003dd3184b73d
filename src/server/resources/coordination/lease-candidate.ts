import type { LeaseCandidate } from '../../../api/generated/coordination/v1beta1.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { checkImmutable, required, type FieldErrors } from '../rules.ts'

/** LeaseCandidates: who would lead, for coordinated leader election. */
export const leaseCandidates = defineResource({
  group: 'coordination.k8s.io',
  version: 'v1beta1',
  kind: 'LeaseCandidate',
  hasGeneration: false,
  columns: nameToAge(
    text('LeaseName', ({ spec }: LeaseCandidate) => spec?.leaseName ?? ''),
    text('BinaryVersion', ({ spec }: LeaseCandidate) => spec?.binaryVersion ?? ''),
    text('EmulationVersion', ({ spec }: LeaseCandidate) => spec?.emulationVersion ?? ''),
  ),
  validate({ spec }) {
    const errors: FieldErrors = []
    if (!spec?.leaseName) errors.push(required('spec.leaseName'))
    if (!spec?.binaryVersion) errors.push(required('spec.binaryVersion'))
    if (!spec?.strategy) errors.push(required('spec.strategy'))
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'spec.leaseName', next.spec?.leaseName, old.spec?.leaseName)
    return errors
  },
})
