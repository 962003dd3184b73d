/** LimitRanges: bounds and defaults for what is made in a namespace. */
import type { LimitRangeItem } from '../../../api/generated/core/v1.ts'
import { qualifiedNameFaults } from '../../../api/names.ts'
import { canonicalQuantity, compareQuantities, toMilli } from '../../../api/quantity.ts'
import { uuid } from '../../../base/random.ts'
import { defineResource } from '../../resource.ts'
import { changeField, mapItems, withField, withMissingEntries } from '../immutable.ts'
import { duplicate, forbidden, invalid, required, type FieldErrors } from '../rules.ts'
import { isOvercommitAllowed, validateContainerResourceName, validateResourceName } from './resource-requirements-validation.ts'

/** For containers the maximum is the default limit, and the default limit or the minimum the default request. */
function itemDefaults(item: LimitRangeItem): LimitRangeItem {
  if (item.type !== 'Container') return item
  const limits = withMissingEntries(item.default ?? {}, item.max)
  const requests = withMissingEntries(withMissingEntries(item.defaultRequest ?? {}, limits), item.min)
  return withField(withField(item, 'default', limits), 'defaultRequest', requests)
}

const TYPES = ['Pod', 'Container', 'PersistentVolumeClaim']

type Side = 'min' | 'max' | 'default' | 'defaultRequest'
/** Pairs of which the first may not exceed the second, and how upstream says so. */
const ORDER: readonly (readonly [Side, Side, Side, string])[] = [
  ['min', 'max', 'min', 'min value % is greater than max value %'],
  ['min', 'defaultRequest', 'defaultRequest', 'min value % is greater than default request value %'],
  ['defaultRequest', 'max', 'defaultRequest', 'default request value % is greater than max value %'],
  ['defaultRequest', 'default', 'defaultRequest', 'default request value % is greater than default limit value %'],
  ['min', 'default', 'default', 'min value % is greater than default value %'],
  ['default', 'max', 'default', 'default value % is greater than max value %'],
]

/** A number as Go's %f shows it. */
const goFloat = (value: number): string => (Number.isFinite(value) ? value.toFixed(6) : value > 0 ? '+Inf' : value < 0 ? '-Inf' : 'NaN')

function validateItem(errors: FieldErrors, path: string, item: LimitRangeItem): void {
  const names = new Set<string>()
  for (const side of ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio'] as const) {
    for (const name of Object.keys(item[side] ?? {})) {
      names.add(name)
      if (item.type === 'Pod' && (side === 'default' || side === 'defaultRequest')) continue
      if (item.type === 'Pod' || item.type === 'Container') validateContainerResourceName(errors, `${path}.${side}[${name}]`, name)
      else validateResourceName(errors, `${path}.${side}[${name}]`, name)
    }
  }
  if (item.type === 'Pod') {
    if (Object.keys(item.default ?? {}).length > 0) errors.push(forbidden(`${path}.default`, "may not be specified when `type` is 'Pod'"))
    if (Object.keys(item.defaultRequest ?? {}).length > 0)
      errors.push(forbidden(`${path}.defaultRequest`, "may not be specified when `type` is 'Pod'"))
  }
  if (item.type === 'PersistentVolumeClaim' && item.min?.['storage'] === undefined && item.max?.['storage'] === undefined) {
    errors.push(required(`${path}.limits`, 'either minimum or maximum storage value is required, but neither was provided'))
  }
  for (const name of [...names].sort()) {
    for (const [low, high, blamed, words] of ORDER) {
      const least = item[low]?.[name]
      const most = item[high]?.[name]
      if (least === undefined || most === undefined || compareQuantities(least, most) <= 0) continue
      const why = words.replace('%', canonicalQuantity(least)).replace('%', canonicalQuantity(most))
      // Of the last two pairs upstream shows the other value.
      const shown = blamed === 'default' ? (low === 'min' ? least : most) : item[blamed]?.[name]
      errors.push(invalid(`${path}.${blamed}[${name}]`, shown, why))
    }
    const ratio = item.maxLimitRequestRatio?.[name]
    if (ratio !== undefined && compareQuantities(ratio, '1') < 0) {
      errors.push(invalid(`${path}.maxLimitRequestRatio[${name}]`, ratio, `ratio ${canonicalQuantity(ratio)} is less than 1`))
    }
    const [min, max] = [item.min?.[name], item.max?.[name]]
    if (ratio !== undefined && min !== undefined && max !== undefined) {
      const most = toMilli(max) / toMilli(min)
      if (toMilli(ratio) / 1000 > most) {
        const why = `ratio ${canonicalQuantity(ratio)} is greater than max/min = ${goFloat(most)}`
        errors.push(invalid(`${path}.maxLimitRequestRatio[${name}]`, ratio, why))
      }
    }
    const [limit, request] = [item.default?.[name], item.defaultRequest?.[name]]
    if (!isOvercommitAllowed(name) && limit !== undefined && request !== undefined && compareQuantities(limit, request) !== 0) {
      const why = `default value ${canonicalQuantity(limit)} must equal to defaultRequest value ${canonicalQuantity(request)} in ${name}`
      errors.push(invalid(`${path}.defaultRequest[${name}]`, request, why))
    }
  }
}

export const limitRanges = defineResource({
  group: '',
  version: 'v1',
  kind: 'LimitRange',
  hasGeneration: false,
  setDefaults: (range) => changeField(range, 'spec', (spec) => changeField(spec, 'limits', (limits) => mapItems(limits, itemDefaults))),
  prepareForCreate: (range, { runtime }) =>
    range.metadata?.name ? range : { ...range, metadata: { ...range.metadata, name: uuid(runtime.random) } },
  validate({ spec }) {
    const errors: FieldErrors = []
    const types = new Set<string>()
    spec?.limits?.forEach((item, i) => {
      const path = `spec.limits[${i}]`
      const type = item.type ?? ''
      const faults = qualifiedNameFaults(type)
      for (const fault of faults) errors.push(invalid(`${path}.type`, type, fault))
      if (faults.length === 0 && !type.includes('/') && !TYPES.includes(type))
        errors.push(invalid(`${path}.type`, type, 'must be a standard limit type or fully qualified'))
      if (types.has(item.type)) errors.push(duplicate(`${path}.type`, item.type))
      types.add(item.type)
      validateItem(errors, path, item)
    })
    return errors
  },
})
