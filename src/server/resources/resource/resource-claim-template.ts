import { defineResource } from '../../resource.ts'
import { nameToAge } from '../columns.ts'
import { changeField } from '../immutable.ts'
import { checkImmutable, type FieldErrors } from '../rules.ts'
import { templateFromBeta, templateToBeta } from './device-request-conversion.ts'
import { claimSpecDefaults, validateClaimSpec } from './resource-claim.ts'

/** ResourceClaimTemplates: a claim of its own for every pod. */
export const resourceClaimTemplates = defineResource({
  group: 'resource.k8s.io',
  version: 'v1',
  kind: 'ResourceClaimTemplate',
  hasGeneration: false,
  columns: nameToAge(),
  setDefaults: (template) => changeField(template, 'spec', (spec) => changeField(spec, 'spec', claimSpecDefaults)),
  validate({ spec }) {
    const errors: FieldErrors = []
    validateClaimSpec(errors, 'spec.spec', spec?.spec)
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'spec', next.spec, old.spec)
    return errors
  },
  versions: { v1beta1: { fromStored: templateToBeta, toStored: templateFromBeta } },
})
