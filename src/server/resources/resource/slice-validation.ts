/** What a driver may offer in a ResourceSlice (upstream: pkg/apis/resource/validation). */
import type {
  CapacityRequestPolicy,
  CapacityRequestPolicyRange,
  CounterSet,
  Device,
  DeviceAttribute,
  DeviceCapacity,
  DeviceCounterConsumption,
  ResourcePool,
  ResourceSliceSpec,
} from '../../../api/generated/resource/v1.ts'
import { asGiven } from '../../../api/given-empty.ts'
import { dns1123LabelFaults, dns1123SubdomainFaults } from '../../../api/names.ts'
import { addQuantities, canonicalQuantity, compareQuantities, toNumber } from '../../../api/quantity.ts'
import { validateNodeSelector } from '../core/node-selector-validation.ts'
import { validateDriverName } from '../core/volume-sources.ts'
import { isSemanticallyEqual } from '../immutable.ts'
import { checkFormat, checkImmutable, forbidden, invalid, invalidAsWhole, required, tooLong, tooMany, type FieldErrors } from '../rules.ts'
import { checkItems, validateBindingConditions, validatePoolName, validateQualifiedName, validateTaint } from './device-validation.ts'

const MAX_DEVICES = 128
const MAX_ADVANCED_DEVICES = 64
const MAX_COUNTER_SETS = 8
const MAX_COUNTERS = 32
const MAX_CONSUMPTIONS = 2
const MAX_TAINTS = 16
const MAX_ENTRIES = 32
const MAX_VALUE = 64
const MAX_OPTIONS = 10
/** Keys longer than this are shortened where a path tells them. */
const MAX_SHOWN_KEY = 96

const NUMBER = '(0|[1-9]\\d*)'
const PRERELEASE = '(0|[1-9]\\d*|\\d*[a-zA-Z-][0-9a-zA-Z-]*)'
const BUILD = '[0-9a-zA-Z-]+'
const SEMVER = new RegExp(`^${NUMBER}\\.${NUMBER}\\.${NUMBER}(-${PRERELEASE}(\\.${PRERELEASE})*)?(\\+${BUILD}(\\.${BUILD})*)?$`)

function shown(key: string): string {
  if (key.length <= MAX_SHOWN_KEY) return key
  const rest = MAX_SHOWN_KEY - 3
  return `${key.slice(0, Math.floor((rest + 1) / 2))}...${key.slice(key.length - Math.floor(rest / 2))}`
}

function validatePool(
  errors: FieldErrors,
  path: string,
  { name, generation = 0, resourceSliceCount: count = 0 }: Partial<ResourcePool>,
): void {
  validatePoolName(errors, `${path}.name`, name)
  if (count <= 0) errors.push(invalid(`${path}.resourceSliceCount`, count, 'must be greater than zero'))
  if (generation < 0) errors.push(invalid(`${path}.generation`, generation, 'must be greater than or equal to zero'))
}

function validateAttribute(errors: FieldErrors, path: string, attribute: DeviceAttribute): void {
  const { string, version } = attribute
  if (string !== undefined && string.length > MAX_VALUE) errors.push(tooLong(`${path}.string`, MAX_VALUE))
  if (version !== undefined) {
    if (!SEMVER.test(version)) errors.push(invalid(`${path}.version`, version, 'must be a string compatible with semver.org spec 2.0.0'))
    if (version.length > MAX_VALUE) errors.push(tooLong(`${path}.version`, MAX_VALUE))
  }
  const given = Object.keys(attribute).length
  if (given === 1) return
  const why = 'exactly one value must be specified'
  errors.push(given === 0 ? invalid(path, '', why) : invalid(path, attribute, why, 'resource/v1.DeviceAttribute'))
}

function validateRange(
  errors: FieldErrors,
  path: string,
  amount: string,
  capacity: string,
  range: Partial<CapacityRequestPolicyRange>,
): void {
  const { min, max, step } = range
  if (min === undefined) return void errors.push(required(`${path}.min`, 'required when validRange is defined'))
  const wrong = (field: string, value: string, why: string) => void errors.push(invalid(`${path}.${field}`, canonicalQuantity(value), why))
  const isMore = (a: string, b: string) => compareQuantities(a, b) > 0
  const text = canonicalQuantity
  if (isMore(min, capacity)) wrong('min', min, `min is larger than capacity value: ${text(capacity)}`)
  if (isMore(min, amount)) wrong('min', amount, `default is less than min: ${text(min)}`)
  if (max !== undefined) {
    if (isMore(min, max)) wrong('max', min, `min is larger than max: ${text(max)}`)
    if (isMore(max, capacity)) wrong('max', max, `max is larger than capacity value: ${text(capacity)}`)
    if (isMore(amount, max)) wrong('max', amount, `default is more than max: ${text(max)}`)
  }
  if (step === undefined) return
  const next = addQuantities(min, step)
  if (isMore(next, capacity)) wrong('step', step, `one step ${next} is larger than capacity value: ${text(capacity)}`)
  for (const value of max === undefined ? [amount] : [amount, max]) {
    if ((toNumber(value) - toNumber(min)) % toNumber(step) !== 0)
      wrong('step', value, `value is not a multiple of a given step (${text(step)}) from (${text(min)})`)
  }
}

function validateOptions(errors: FieldErrors, path: string, amount: string, capacity: string, options: readonly string[]): void {
  options.forEach((option, i) => {
    if (i > 0 && compareQuantities(options[i - 1]!, option) > 0)
      errors.push(invalid(`${path}[${i}]`, canonicalQuantity(option), 'values must be sorted in ascending order'))
  })
  checkItems(
    errors,
    path,
    options,
    MAX_OPTIONS,
    (at, option) => {
      if (compareQuantities(option, capacity) > 0)
        errors.push(invalid(at, canonicalQuantity(option), `option is larger than capacity value: ${canonicalQuantity(capacity)}`))
    },
    (option) => String(toNumber(option)),
  )
  if (options.length > MAX_OPTIONS || !options.some((option) => compareQuantities(option, amount) === 0))
    errors.push(invalid(path, canonicalQuantity(amount), 'default value is not valid according to the requestPolicy'))
}

/** What claims may ask of a capacity that they share (KEP-5075). */
function validatePolicy(errors: FieldErrors, path: string, capacity: string, policy: CapacityRequestPolicy): void {
  const { default: amount, validValues = [], validRange } = policy
  const one = 'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time'
  if (validValues.length > 0 && validRange) return void errors.push(forbidden(path, one))
  const field = validValues.length > 0 ? 'validValues' : validRange ? 'validRange' : undefined
  if (!field) return
  if (amount === undefined) errors.push(required(`${path}.default`, `required when ${field} is defined`))
  else if (validRange) validateRange(errors, `${path}.validRange`, amount, capacity, validRange)
  else validateOptions(errors, `${path}.validValues`, amount, capacity, validValues)
}

function validateCapacity(
  errors: FieldErrors,
  path: string,
  { value = '0', requestPolicy }: Partial<DeviceCapacity>,
  isShared: boolean,
): void {
  if (!requestPolicy) return
  if (isShared) validatePolicy(errors, `${path}.requestPolicy`, value, requestPolicy)
  else errors.push(forbidden(`${path}.requestPolicy`, 'allowMultipleAllocations must be true'))
}

function validateCounters(errors: FieldErrors, path: string, counters: CounterSet['counters'] | undefined): void {
  const names = Object.keys(counters ?? {})
  if (names.length === 0) errors.push(required(path))
  else if (names.length > MAX_COUNTERS) errors.push(tooMany(path, names.length, MAX_COUNTERS))
  else for (const name of names) checkFormat(errors, path, name, dns1123LabelFaults)
}

function validateCounterName(errors: FieldErrors, path: string, name: string | undefined): void {
  if (!name) errors.push(required(path))
  else checkFormat(errors, path, name, dns1123LabelFaults)
}

/** The fields that say which nodes reach a device, as upstream's texts name those that are set. */
type NodeChoice = Pick<ResourceSliceSpec, 'nodeName' | 'nodeSelector' | 'allNodes' | 'perDeviceNodeSelection'>

function chosen(errors: FieldErrors, path: string, choice: NodeChoice, emptyName: string, isOneTerm: boolean): readonly string[] {
  const { nodeName, nodeSelector } = choice
  const set: string[] = []
  if (nodeName === '') errors.push(invalid(`${path}.nodeName`, '', emptyName))
  else if (nodeName !== undefined) {
    set.push('`nodeName`')
    checkFormat(errors, `${path}.nodeName`, nodeName, dns1123SubdomainFaults)
  }
  if (nodeSelector) {
    set.push('`nodeSelector`')
    validateNodeSelector(errors, `${path}.nodeSelector`, nodeSelector)
    const terms = asGiven(nodeSelector, 'nodeSelectorTerms')
    if (isOneTerm && terms?.length !== 1)
      errors.push(
        invalid(`${path}.nodeSelector.nodeSelectorTerms`, terms, 'must have exactly one node selector term', '[core/v1.NodeSelectorTerm'),
      )
  }
  for (const field of ['allNodes', 'perDeviceNodeSelection'] as const) {
    if (choice[field]) set.push(`\`${field}\``)
    else if (choice[field] === false) errors.push(invalid(`${path}.${field}`, false, 'must be either unset or set to true'))
  }
  return set
}

function checkOneChosen(errors: FieldErrors, path: string, set: readonly string[], why: string, several: string): void {
  if (set.length === 0) errors.push(required(path, why))
  else if (set.length > 1) errors.push(invalid(path, `{${set.join(', ')}}`, several))
}

function validateDeviceNodes(errors: FieldErrors, path: string, device: Device, isPerDevice: boolean): void {
  const { nodeName, nodeSelector, allNodes } = device
  if (isPerDevice) {
    const set = chosen(errors, path, { nodeName, nodeSelector, allNodes }, 'must not be empty', false)
    const why =
      'exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec'
    checkOneChosen(errors, path, set, why, why)
  } else if (nodeName !== undefined || nodeSelector !== undefined || allNodes !== undefined) {
    const why =
      '`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec'
    errors.push(invalidAsWhole(path, `null: ${why}`))
  }
}

function validateDevice(errors: FieldErrors, path: string, device: Device, old: Device | undefined, isPerDevice: boolean): void {
  const {
    name = '',
    attributes = {},
    capacity = {},
    consumesCounters,
    taints,
    allowMultipleAllocations = false,
  } = device as Partial<Device>
  checkFormat(errors, `${path}.name`, name, dns1123LabelFaults)
  const count = Object.keys(attributes).length + Object.keys(capacity).length
  if (count > MAX_ENTRIES) errors.push(invalid(path, count, `the total number of attributes and capacities must not exceed ${MAX_ENTRIES}`))
  for (const [key, attribute] of Object.entries(attributes)) {
    validateQualifiedName(errors, `${path}.attributes`, key)
    validateAttribute(errors, `${path}.attributes[${shown(key)}]`, attribute)
  }
  for (const [key, one] of Object.entries(capacity)) {
    validateQualifiedName(errors, `${path}.capacity`, key)
    validateCapacity(errors, `${path}.capacity[${shown(key)}]`, one, allowMultipleAllocations)
  }
  if (!old || !isSemanticallyEqual(old.taints, taints))
    checkItems(errors, `${path}.taints`, taints, MAX_TAINTS, (at, taint) => validateTaint(errors, at, taint))
  checkItems(
    errors,
    `${path}.consumesCounters`,
    consumesCounters,
    MAX_CONSUMPTIONS,
    (at, { counterSet, counters }: Partial<DeviceCounterConsumption>) => {
      validateCounterName(errors, `${at}.counterSet`, counterSet)
      validateCounters(errors, `${at}.counters`, counters)
    },
    ({ counterSet = '' }: Partial<DeviceCounterConsumption>) => counterSet,
  )
  validateDeviceNodes(errors, path, device, isPerDevice)
  validateBindingConditions(errors, path, device)
}

const NODES = 'exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required'

/** `old` where a slice is updated. */
export function validateSliceSpec(spec: Partial<ResourceSliceSpec> = {}, old?: Partial<ResourceSliceSpec>): FieldErrors {
  const errors: FieldErrors = []
  const { driver, nodeName, perDeviceNodeSelection = false, devices = [], sharedCounters } = spec
  const pool: Partial<ResourcePool> = spec.pool ?? {}
  validateDriverName(errors, 'spec.driver', driver)
  validatePool(errors, 'spec.pool', pool)
  if (old) {
    checkImmutable(errors, 'spec.pool.name', pool.name ?? '', old.pool?.name ?? '')
    checkImmutable(errors, 'spec.driver', driver ?? '', old.driver ?? '')
    checkImmutable(errors, 'spec.nodeName', nodeName, old.nodeName)
  }
  const set = chosen(errors, 'spec', spec, 'must be either unset or set to a non-empty string', true)
  checkOneChosen(errors, 'spec', set, NODES, `${NODES}, but multiple fields are set`)
  if (asGiven(spec, 'sharedCounters') && asGiven(spec, 'devices'))
    errors.push(invalid('spec', '', 'only one of `sharedCounters` or `devices` is allowed'))
  const isAdvanced = devices.some(({ taints, consumesCounters }) => taints?.length || consumesCounters?.length)
  checkItems(
    errors,
    'spec.devices',
    devices,
    isAdvanced ? MAX_ADVANCED_DEVICES : MAX_DEVICES,
    (at, device) => {
      const before = old?.devices?.find(({ name }) => name === device.name)
      validateDevice(errors, at, device, before, perDeviceNodeSelection)
    },
    (device) => device.name ?? '',
  )
  checkItems(
    errors,
    'spec.sharedCounters',
    sharedCounters,
    MAX_COUNTER_SETS,
    (at, { name, counters }: Partial<CounterSet>) => {
      validateCounterName(errors, `${at}.name`, name)
      validateCounters(errors, `${at}.counters`, counters)
    },
    ({ name = '' }: Partial<CounterSet>) => name,
  )
  return errors
}
