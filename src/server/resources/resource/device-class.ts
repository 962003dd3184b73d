import type { DeviceClassSpec } from '../../../api/generated/resource/v1.ts'
import { longNameFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge } from '../columns.ts'
import { isExtendedResource } from '../core/resource-requirements-validation.ts'
import { isSemanticallyEqual } from '../immutable.ts'
import { invalid, type FieldErrors } from '../rules.ts'
import { MAX_CONFIGS } from './claim-validation.ts'
import { checkItems, validateConfiguration, validateSelectors } from './device-validation.ts'

function validateSpec({ selectors, config, extendedResourceName: name }: DeviceClassSpec = {}, old?: DeviceClassSpec): FieldErrors {
  const errors: FieldErrors = []
  validateSelectors(errors, 'spec.selectors', selectors)
  const isStored = old !== undefined && isSemanticallyEqual(config, old.config)
  checkItems(errors, 'spec.config', config, MAX_CONFIGS, (at, one) => validateConfiguration(errors, at, one, isStored))
  if (name !== undefined && !isExtendedResource(name))
    errors.push(invalid('spec.extendedResourceName', name, 'must be a valid extended resource name'))
  return errors
}

/** DeviceClasses: kinds of devices. */
export const deviceClasses = defineResource({
  group: 'resource.k8s.io',
  version: 'v1',
  kind: 'DeviceClass',
  hasGeneration: true,
  columns: nameToAge(),
  nameFormat: longNameFaults,
  validateCreate: ({ spec }) => validateSpec(spec),
  validateUpdate: ({ spec }, old) => validateSpec(spec, old.spec),
})
