import type { Device, ResourceSlice } from '../../../api/generated/resource/v1.ts'
import { timestamp, type Clock } from '../../../base/clock.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { changeField, mapItems } from '../immutable.ts'
import { sliceFromBeta, sliceToBeta } from './device-request-conversion.ts'
import { validateSliceSpec } from './slice-validation.ts'

/** When a taint was added is the time of the write that brought it. */
const withTimes = (slice: ResourceSlice, clock: Clock): ResourceSlice =>
  changeField(slice, 'spec', (spec) =>
    changeField(spec, 'devices', (devices) =>
      mapItems(devices, (device: Device) =>
        changeField(device, 'taints', (taints) =>
          mapItems(taints, (taint) => (taint.timeAdded ? taint : { ...taint, timeAdded: timestamp(clock) })),
        ),
      ),
    ),
  )

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
  prepareForCreate: (slice, { runtime }) => withTimes(slice, runtime.clock),
  prepareForUpdate: (slice, _, { runtime }) => withTimes(slice, runtime.clock),
  validateCreate: ({ spec }) => validateSliceSpec(spec),
  validateUpdate: ({ spec }, old) => validateSliceSpec(spec, old.spec),
  warnings({ spec }) {
    const driver = spec?.driver ?? ''
    if (driver === driver.toLowerCase()) return []
    return [`spec.driver: driver names should be lowercase; ${JSON.stringify(driver)} contains uppercase characters`]
  },
  versions: { v1beta1: { fromStored: sliceToBeta, toStored: sliceFromBeta } },
})
