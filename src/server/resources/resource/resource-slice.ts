import type { Device, DeviceAttribute, ResourceSlice } from '../../../api/generated/resource/v1.ts'
import { timestamp, type Clock } from '../../../base/clock.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { changeField, isSemanticallyEqual, mapItems, withField } from '../immutable.ts'
import { sliceFromBeta, sliceToBeta } from './device-request-conversion.ts'
import { validateSliceSpec } from './slice-validation.ts'

const changeDevices = (slice: ResourceSlice, change: (device: Device) => Device): ResourceSlice =>
  changeField(slice, 'spec', (spec) => changeField(spec, 'devices', (devices) => mapItems(devices, change)))

/** When a taint was added is the time of the write that brought it. */
const withTimes = (slice: ResourceSlice, clock: Clock): ResourceSlice =>
  changeDevices(slice, (device) =>
    changeField(device, 'taints', (taints) =>
      mapItems(taints, (taint) => (taint.timeAdded ? taint : { ...taint, timeAdded: timestamp(clock) })),
    ),
  )

/** Attributes that are lists: of DRAListTypeAttributes, which is off by default. */
const LISTS = ['ints', 'bools', 'strings', 'versions'] as const
const withoutLists = (attribute: DeviceAttribute): DeviceAttribute =>
  LISTS.reduce<DeviceAttribute>((next, field) => withField(next, field, undefined), attribute)

/** What features that are off by default would read is dropped (DRANodeAllocatableResources, too). */
const withoutDisabled = (slice: ResourceSlice): ResourceSlice =>
  changeDevices(slice, (device) =>
    changeField(withField(device, 'nodeAllocatableResourceMappings', undefined), 'attributes', (attributes) =>
      Object.values(attributes).some((attribute) => LISTS.some((field) => attribute[field]))
        ? Object.fromEntries(Object.entries(attributes).map(([name, attribute]) => [name, withoutLists(attribute)]))
        : attributes,
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
  prepareForCreate: (slice, { runtime }) => withoutDisabled(withTimes(slice, runtime.clock)),
  // A field that is dropped counts as a change.
  prepareForUpdate(slice, old, { runtime }) {
    const next = withTimes(slice, runtime.clock)
    const generation = (old.metadata?.generation ?? 0) + 1
    return withoutDisabled(isSemanticallyEqual(next.spec, old.spec) ? next : { ...next, metadata: { ...next.metadata, generation } })
  },
  validateCreate: ({ spec }) => validateSliceSpec(spec),
  validateUpdate: ({ spec }, old) => validateSliceSpec(spec, old.spec),
  warnings({ spec }) {
    const driver = spec?.driver ?? ''
    if (driver === driver.toLowerCase()) return []
    return [`spec.driver: driver names should be lowercase; ${JSON.stringify(driver)} contains uppercase characters`]
  },
  versions: { v1beta1: { fromStored: sliceToBeta, toStored: sliceFromBeta } },
})
