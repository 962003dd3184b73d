import type { Lease } from '../../../api/generated/coordination/v1.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { checkNotNegative, forbidden, invalid, type FieldErrors } from '../rules.ts'

/** Leases: who leads, and that a node is alive. */
export const leases = defineResource({
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  hasGeneration: false,
  columns: nameToAge(text('Holder', ({ spec }: Lease) => spec?.holderIdentity ?? '')),
  validate({ spec }) {
    const errors: FieldErrors = []
    const seconds = spec?.leaseDurationSeconds
    if (seconds !== undefined && seconds <= 0) errors.push(invalid('spec.leaseDurationSeconds', seconds, 'must be greater than 0'))
    checkNotNegative(errors, 'spec.leaseTransitions', spec?.leaseTransitions)
    if (spec?.preferredHolder && !spec.strategy)
      errors.push(forbidden('spec.preferredHolder', 'may only be specified if `strategy` is defined'))
    return errors
  },
})
