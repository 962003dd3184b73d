import type { ResourceSlice } from '../../../api/generated/resource/v1.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { checkImmutable, required, tooMany, type FieldErrors } from '../rules.ts'
import { sliceFromBeta, sliceToBeta } from './device-request-conversion.ts'

const MAX_DEVICES = 128

/** ResourceSlices: the devices that a driver offers. */
export const resourceSlices = defineResource({
  group: 'resource.k8s.io',
  version: 'v1',
  kind: 'ResourceSlice',
  hasGeneration: true,
  columns: nameToAge(
    text('Node', ({ spec }: ResourceSlice) => spec?.nodeName ?? ''),
    text('Driver', ({ spec }: ResourceSlice) => spec?.driver ?? ''),
    text('Pool', ({ spec }: ResourceSlice) => spec?.pool?.name ?? ''),
  ),
  fieldSelectors: { 'spec.nodeName': ({ spec }) => spec?.nodeName ?? '', 'spec.driver': ({ spec }) => spec?.driver ?? '' },
  validate({ spec }) {
    const errors: FieldErrors = []
    if (!spec?.driver) errors.push(required('spec.driver'))
    if (!spec?.pool?.name) errors.push(required('spec.pool.name'))
    const count = spec?.devices?.length ?? 0
    if (count > MAX_DEVICES) errors.push(tooMany('spec.devices', count, MAX_DEVICES))
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'spec.nodeName', next.spec?.nodeName, old.spec?.nodeName)
    checkImmutable(errors, 'spec.driver', next.spec?.driver, old.spec?.driver)
    checkImmutable(errors, 'spec.pool.name', next.spec?.pool?.name, old.spec?.pool?.name)
    return errors
  },
  versions: { v1beta1: { fromStored: sliceToBeta, toStored: sliceFromBeta } },
})
