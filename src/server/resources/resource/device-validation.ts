/** What claims, classes and slices of dynamic resource allocation (KEP-4381) have in common: selectors, parameters, names, taints. */
import type { DeviceAllocationConfiguration, DeviceSelector, DeviceTaint, DeviceToleration } from '../../../api/generated/resource/v1.ts'
import type { FieldError } from '../../../api/status.ts'
import { asGiven } from '../../../api/given-empty.ts'
import { dns1123SubdomainFaults, labelValueFaults, qualifiedNameFaults, regexFault, SUBDOMAIN_MAX_LENGTH } from '../../../api/names.ts'
import { compileDeviceExpression } from '../../../cel/device.ts'
import { validateDriverName } from '../core/volume-sources.ts'
import {
  checkFormat,
  checkRequiredOneOf,
  duplicate,
  forbidden,
  invalid,
  notSupported,
  required,
  tooLong,
  tooMany,
  type FieldErrors,
} from '../rules.ts'

const MAX_EXPRESSION_BYTES = 10 * 1024
const MAX_EXPRESSION_COST = 1_000_000
const MAX_SELECTORS = 32
const MAX_PARAMETERS_BYTES = 10 * 1024
const MAX_ID_BYTES = 32
const MAX_CONDITIONS = 4

/**
 * A list with a maximum, beyond which its items are not looked at; where `keyOf` is given no two may have the same. Upstream tells
 * what is wrong with the items first, then which come twice.
 */
export function checkItems<T>(
  errors: FieldErrors,
  path: string,
  items: readonly T[] | undefined,
  maximum: number,
  check: (path: string, item: T) => void,
  keyOf?: (item: T) => string,
  twice: (path: string, key: string) => FieldError = duplicate,
): void {
  const all = items ?? []
  if (all.length > maximum) return void errors.push(tooMany(path, all.length, maximum))
  all.forEach((item, i) => check(`${path}[${i}]`, item))
  if (!keyOf) return
  const seen = new Set<string>()
  all.forEach((item, i) => {
    const key = keyOf(item)
    if (seen.has(key)) errors.push(twice(`${path}[${i}]`, key))
    seen.add(key)
  })
}

function validateExpression(errors: FieldErrors, path: string, expression: string): void {
  if (expression.length > MAX_EXPRESSION_BYTES) return void errors.push(tooLong(path, MAX_EXPRESSION_BYTES))
  const program = compileDeviceExpression(expression)
  if ('errors' in program) {
    errors.push(invalid(path, expression, 'isType' in program ? program.errors : `compilation failed: ${program.errors}`))
  } else if ((program.estimatedCost?.max ?? 0) > MAX_EXPRESSION_COST) errors.push(forbidden(path, 'too complex, exceeds cost limit'))
}

export const validateSelectors = (errors: FieldErrors, path: string, selectors: readonly DeviceSelector[] | undefined): void =>
  checkItems(errors, path, selectors, MAX_SELECTORS, (at, { cel }) => {
    if (!cel) errors.push(required(`${at}.cel`))
    else validateExpression(errors, `${at}.cel.expression`, cel.expression ?? '')
  })

/** JSON that a driver understands: an object. What is stored may be larger than what is new. */
export function validateParameters(errors: FieldErrors, path: string, value: unknown, isStored: boolean): void {
  if (value === undefined || value === null) errors.push(required(path))
  else if (!isStored && JSON.stringify(value).length > MAX_PARAMETERS_BYTES) errors.push(tooLong(path, MAX_PARAMETERS_BYTES))
  else if (typeof value !== 'object' || Array.isArray(value)) errors.push(invalid(path, '<value omitted>', 'must be a valid JSON object'))
}

export function validateConfiguration(
  errors: FieldErrors,
  path: string,
  { opaque }: Pick<DeviceAllocationConfiguration, 'opaque'>,
  isStored = false,
): void {
  if (!opaque) return void errors.push(required(`${path}.opaque`))
  validateDriverName(errors, `${path}.opaque.driver`, opaque.driver)
  validateParameters(errors, `${path}.opaque.parameters`, opaque.parameters, isStored)
}

export function validatePoolName(errors: FieldErrors, path: string, name: string | undefined): void {
  if (!name) return void errors.push(required(path))
  if (name.length > SUBDOMAIN_MAX_LENGTH) errors.push(tooLong(path, SUBDOMAIN_MAX_LENGTH))
  for (const part of name.split('/')) checkFormat(errors, path, part, dns1123SubdomainFaults)
}

const C_IDENTIFIER = '[A-Za-z_][A-Za-z0-9_]*'
const C_IDENTIFIER_PATTERN = new RegExp(`^${C_IDENTIFIER}$`)
const C_IDENTIFIER_FAULT = regexFault(
  "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
  C_IDENTIFIER,
  'my_name',
  'MY_NAME',
  'MyName',
)

function validateIdentifier(errors: FieldErrors, path: string, id: string): void {
  if (id.length > MAX_ID_BYTES) errors.push(tooLong(path, MAX_ID_BYTES))
  if (!C_IDENTIFIER_PATTERN.test(id)) errors.push(invalid(path, id, C_IDENTIFIER_FAULT))
}

/** "memory", "example.com/memory". Of more than one slash upstream says nothing. */
export function validateQualifiedName(errors: FieldErrors, path: string, name: string): void {
  const parts = name.split('/')
  if (parts.length === 1) return validateIdentifier(errors, path, name)
  if (parts.length > 2) return
  const [domain = '', id = ''] = parts
  if (domain === '') errors.push(invalid(path, '', 'the domain must not be empty'))
  else validateDriverName(errors, path, domain)
  if (id === '') errors.push(invalid(path, '', 'the name must not be empty'))
  else validateIdentifier(errors, path, id)
}

export function validateFullyQualifiedName(errors: FieldErrors, path: string, name: string): void {
  validateQualifiedName(errors, path, name)
  if (!name.includes('/')) errors.push(invalid(path, name, 'a fully qualified name must be a domain and a name separated by a slash'))
}

const EFFECTS = ['NoExecute', 'NoSchedule', 'None']

export function validateToleration(errors: FieldErrors, path: string, { key, operator, value = '', effect }: DeviceToleration): void {
  if (key) checkFormat(errors, `${path}.key`, key, qualifiedNameFaults)
  if (operator === 'Exists') {
    if (value !== '') errors.push(invalid(`${path}.value`, value, 'must be empty for operator `Exists`'))
  } else if (operator === 'Equal') checkFormat(errors, `${path}.value`, value, labelValueFaults)
  else checkRequiredOneOf(errors, `${path}.operator`, operator, ['Equal', 'Exists'])
  if (effect && !EFFECTS.includes(effect)) errors.push(notSupported(`${path}.effect`, effect, EFFECTS))
}

export function validateTaint(errors: FieldErrors, path: string, { key = '', value, effect }: Partial<DeviceTaint>): void {
  checkFormat(errors, `${path}.key`, key, qualifiedNameFaults)
  if (value) checkFormat(errors, `${path}.value`, value, labelValueFaults)
  checkRequiredOneOf(errors, `${path}.effect`, effect, EFFECTS)
}

interface BindingConditions {
  readonly bindingConditions?: readonly string[]
  readonly bindingFailureConditions?: readonly string[]
}

/** What must be true of a device before a pod is bound, and what says that it never will be (KEP-5007). */
export function validateBindingConditions(errors: FieldErrors, path: string, device: BindingConditions): void {
  const { bindingConditions: wanted = [], bindingFailureConditions: failures = [] } = device
  const check = (at: string, name: string) => checkFormat(errors, at, name, qualifiedNameFaults)
  const [here, there] = [`${path}.bindingConditions`, `${path}.bindingFailureConditions`]
  checkItems(errors, here, wanted, MAX_CONDITIONS, check)
  checkItems(errors, there, failures, MAX_CONDITIONS, check)
  wanted.forEach((name, i) => {
    if (wanted.indexOf(name) < i) errors.push(duplicate(`${here}[${i}]`, name))
  })
  failures.forEach((name, i) => {
    if (failures.indexOf(name) < i) errors.push(duplicate(`${there}[${i}]`, name))
    if (wanted.includes(name))
      errors.push(invalid(`${there}[${i}]`, name, 'bindingFailureConditions must not overlap with bindingConditions'))
  })
  if (wanted.length === 0 && failures.length > 0) {
    const shown = asGiven(device, 'bindingConditions')
    errors.push(invalid(here, shown, 'bindingConditions are required to use bindingFailureConditions'))
  }
  if (failures.length === 0 && wanted.length > 0) {
    const shown = asGiven(device, 'bindingFailureConditions')
    errors.push(invalid(there, shown, 'bindingFailureConditions are required to use bindingConditions'))
  }
}
