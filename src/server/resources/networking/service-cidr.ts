import type { ServiceCIDR } from '../../../api/generated/networking/v1.ts'
import { asGiven } from '../../../api/given-empty.ts'
import { defineResource } from '../../resource.ts'
import { cidrProblem } from '../addresses.ts'
import { nameToAge, text } from '../columns.ts'
import { IMMUTABLE, invalid, required, type FieldErrors } from '../rules.ts'

/** ServiceCIDRs: networks from which cluster IPs come. */
export const serviceCIDRs = defineResource({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'ServiceCIDR',
  hasGeneration: false,
  columns: nameToAge(text('CIDRs', ({ spec }: ServiceCIDR) => (spec?.cidrs ?? []).join(','))),
  validateCreate,
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    const after = next.spec?.cidrs ?? []
    const before = old.spec?.cidrs ?? []
    // A second family may be added.
    const isGrown = before.length === 1 && after.length === 2
    if (after.length !== before.length && !isGrown) return [invalid('spec.cidrs', asGiven(next.spec, 'cidrs'), IMMUTABLE)]
    before.forEach((cidr, i) => {
      if (cidr !== after[i]) errors.push(invalid(`spec.cidrs[${i}]`, after[i], IMMUTABLE))
    })
    return isGrown ? [...errors, ...validateCreate(next)] : errors
  },
})

function validateCreate({ spec }: ServiceCIDR): FieldErrors {
  const errors: FieldErrors = []
  const cidrs = spec?.cidrs ?? []
  if (cidrs.length === 0) errors.push(required('spec.cidrs', 'at least one CIDR required'))
  if (cidrs.length > 2) errors.push(invalid('spec.cidrs', spec, 'may only hold up to 2 values', 'networking/v1.ServiceCIDRSpec'))
  cidrs.forEach((cidr, i) => {
    const problem = cidrProblem(cidr)
    if (problem !== undefined) errors.push(invalid(`spec.cidrs[${i}]`, cidr, problem))
  })
  return errors
}
