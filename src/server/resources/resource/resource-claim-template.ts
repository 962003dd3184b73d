import { defineResource } from '../../resource.ts'
import { nameToAge } from '../columns.ts'
import { changeField } from '../immutable.ts'
import { validateTemplateMeta } from '../object-meta.ts'
import { checkImmutable, type FieldErrors } from '../rules.ts'
import { checkRequestedAdminAccess, validateClaimSpec } from './claim-validation.ts'
import { templateFromBeta, templateToBeta } from './device-request-conversion.ts'
import { claimSpecDefaults } from './resource-claim.ts'

/** ResourceClaimTemplates: a claim of its own for every pod. */
export const resourceClaimTemplates = defineResource({
  group: 'resource.k8s.io',
  version: 'v1',
  kind: 'ResourceClaimTemplate',
  hasGeneration: false,
  columns: nameToAge(),
  setDefaults: (template) => changeField(template, 'spec', (spec) => changeField(spec, 'spec', claimSpecDefaults)),
  validateCreate({ metadata, spec }, _, read) {
    const errors: FieldErrors = []
    checkRequestedAdminAccess(errors, spec?.spec, metadata?.namespace, read)
    return errors
  },
  validate({ spec }) {
    const errors: FieldErrors = []
    validateTemplateMeta(errors, 'spec.metadata', spec?.metadata)
    validateClaimSpec(errors, 'spec.spec', spec?.spec)
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'spec', next.spec, old.spec, 'resource/v1.ResourceClaimTemplateSpec')
    return errors
  },
  versions: { v1beta1: { fromStored: templateToBeta, toStored: templateFromBeta } },
})
