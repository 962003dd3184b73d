import type { ServiceCIDR } from '../../../api/generated/networking/v1.ts'
import { defineResource } from '../../resource.ts'
import { cidrProblem } from '../addresses.ts'
import { nameToAge, text } from '../columns.ts'
import { isEqual } from '../immutable.ts'
import { invalid, required, type FieldErrors } from '../rules.ts'

/** ServiceCIDRs: networks from which cluster IPs come. */
export const serviceCIDRs = defineResource({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'ServiceCIDR',
  hasGeneration: false,
  columns: nameToAge(text('CIDRs', ({ spec }: ServiceCIDR) => (spec?.cidrs ?? []).join(','))),
  validate({ spec }) {
    const errors: FieldErrors = []
    const cidrs = spec?.cidrs ?? []
    if (cidrs.length === 0) errors.push(required('spec.cidrs', 'at least one CIDR required'))
    if (cidrs.length > 2) errors.push(invalid('spec', spec, 'may only hold up to 2 values'))
    cidrs.forEach((cidr, i) => {
      const problem = cidrProblem(cidr)
      if (problem !== undefined) errors.push(invalid(`spec.cidrs[${i}]`, cidr, problem))
    })
    return errors
  },
  validateUpdate: (next, old) =>
    isEqual(next.spec?.cidrs, old.spec?.cidrs) ? [] : [invalid('spec.cidrs', next.spec?.cidrs, 'field is immutable')],
})
