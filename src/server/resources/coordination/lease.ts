import type { Lease } from '../../../api/generated/coordination/v1.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { checkNotNegative, checkPositive, invalid, type FieldErrors } from '../rules.ts'

/** Leases: who leads, and that a node is alive. */
export const leases = defineResource({
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  hasGeneration: false,
  columns: nameToAge(text('Holder', ({ spec }: Lease) => spec?.holderIdentity ?? '')),
  validate({ spec }) {
    const errors: FieldErrors = []
    checkPositive(errors, 'spec.leaseDurationSeconds', spec?.leaseDurationSeconds)
    checkNotNegative(errors, 'spec.leaseTransitions', spec?.leaseTransitions)
    if (spec?.preferredHolder && !spec.strategy)
      errors.push(invalid('spec.preferredHolder', spec.preferredHolder, 'may only be specified if `strategy` is defined'))
    return errors
  },
})
