/** Kubernetes' quantity, semantic version and format libraries. */
import { dns1035LabelFaults, dns1123LabelFaults, dns1123SubdomainFaults, labelValueFaults, qualifiedNameFaults } from '../../api/names.ts'
import { addAmounts, parseQuantity, subtractAmounts, type Amount } from '../../api/quantity.ts'
import { one, parsing, validating } from '../cost.ts'
import { overload, type Overload } from '../function.ts'
import { EvaluationError, Opaque, Optional } from '../values.ts'
import { parses, urls } from './network.ts'
import { parseTimestamp } from './time-text.ts'

const NANO = 1_000_000_000n

class Quantity extends Opaque {
  readonly typeName = 'kubernetes.Quantity'
  readonly amount: Amount
  constructor(amount: Amount) {
    super()
    this.amount = amount
  }
  override equals(other: Opaque): boolean {
    return other instanceof Quantity && other.amount.nano === this.amount.nano
  }
}

function quantityOf(text: string): Quantity {
  try {
    return new Quantity(parseQuantity(text))
  } catch (error) {
    throw new EvaluationError(error instanceof Error ? error.message : String(error))
  }
}

const whole = (value: bigint): Quantity => new Quantity({ nano: value * NANO, format: 'DecimalSI' })
const signOf = (value: bigint): bigint => (value > 0n ? 1n : value < 0n ? -1n : 0n)
const compareAmounts = (a: Quantity, b: Quantity): bigint => signOf(a.amount.nano - b.amount.nano)
const isInteger = ({ amount: { nano } }: Quantity): boolean => nano % NANO === 0n && BigInt.asIntN(64, nano / NANO) === nano / NANO
const plus = (a: Quantity, b: Quantity): Quantity => new Quantity(addAmounts(a.amount, b.amount))
const minus = (a: Quantity, b: Quantity): Quantity => new Quantity(subtractAmounts(a.amount, b.amount))

function integerOf(quantity: Quantity): bigint {
  if (!isInteger(quantity)) throw new EvaluationError('cannot convert value to integer')
  return quantity.amount.nano / NANO
}

const Q = 'kubernetes.Quantity'
export const quantities: Readonly<Record<string, readonly Overload[]>> = {
  quantity: [overload('string_to_quantity', `(string) ${Q}`, quantityOf, parsing)],
  isQuantity: [overload('is_quantity_string', '(string) bool', parses(quantityOf), parsing)],
  sign: [overload('quantity_sign', `(${Q}) int`, ({ amount }: Quantity) => signOf(amount.nano), one)],
  asApproximateFloat: [overload('quantity_get_float', `${Q}.() double`, ({ amount }: Quantity) => Number(amount.nano) / 1e9, one)],
  asInteger: [overload('quantity_get_int', `${Q}.() int`, integerOf, one)],
  isInteger: [overload('quantity_is_integer', `${Q}.() bool`, isInteger, one)],
  add: [
    overload('quantity_add', `${Q}.(${Q}) ${Q}`, plus, one),
    overload('quantity_add_int', `${Q}.(int) ${Q}`, (a: Quantity, b: bigint) => plus(a, whole(b)), one),
  ],
  sub: [
    overload('quantity_sub', `${Q}.(${Q}) ${Q}`, minus, one),
    overload('quantity_sub_int', `${Q}.(int) ${Q}`, (a: Quantity, b: bigint) => minus(a, whole(b)), one),
  ],
  isGreaterThan: [overload('quantity_is_greater_than', `${Q}.(${Q}) bool`, (a: Quantity, b: Quantity) => compareAmounts(a, b) > 0n, one)],
  isLessThan: [overload('quantity_is_less_than', `${Q}.(${Q}) bool`, (a: Quantity, b: Quantity) => compareAmounts(a, b) < 0n, one)],
  compareTo: [overload('quantity_compare_to', `${Q}.(${Q}) int`, compareAmounts, one)],
}

const NUMBER = '(?:0|[1-9]\\d*)'
const PRERELEASE = `(?:${NUMBER}|\\d*[a-zA-Z-][0-9a-zA-Z-]*)`
/** semver.org, version 2. */
const SEMVER = new RegExp(
  `^(${NUMBER})\\.(${NUMBER})\\.(${NUMBER})(?:-(${PRERELEASE}(?:\\.${PRERELEASE})*))?(?:\\+[0-9a-zA-Z-]+(?:\\.[0-9a-zA-Z-]+)*)?$`,
)

class Semver extends Opaque {
  readonly typeName = 'kubernetes.Semver'
  readonly numbers: readonly bigint[]
  readonly prerelease: readonly string[]
  constructor(numbers: readonly bigint[], prerelease: readonly string[]) {
    super()
    this.numbers = numbers
    this.prerelease = prerelease
  }
  override equals(other: Opaque): boolean {
    return other instanceof Semver && compareVersions(this, other) === 0n
  }
}

function semverOf(text: string, isNormalized = false): Semver {
  const found = SEMVER.exec(isNormalized ? normalize(text) : text)
  if (!found) throw new EvaluationError(versionFault(text))
  return new Semver(found.slice(1, 4).map(BigInt), found[4]?.split('.') ?? [])
}

/** What upstream's library finds wrong first (github.com/blang/semver). */
function versionFault(text: string): string {
  const shown = JSON.stringify
  if (text === '') return 'Version string empty'
  const [major = '', minor = '', ...more] = text.split('.')
  if (more.length === 0) return 'No Major.Minor.Patch elements found'
  const [beforeBuild = '', build] = more.join('.').split(/\+(.*)/s)
  const [patch = '', prerelease] = beforeBuild.split(/-(.*)/s)
  for (const [name, number] of [
    ['Major', major],
    ['Minor', minor],
    ['Patch', patch],
  ] as const) {
    // prettier-ignore
    if (!/^\d*$/.test(number)) return `Invalid character(s) found in ${name.toLowerCase()} number ${shown(number)}`
    if (/^0\d/.test(number)) return `${name} number must not contain leading zeroes ${shown(number)}`
    if (number === '') return 'strconv.ParseUint: parsing "": invalid syntax'
  }
  for (const part of prerelease?.split('.') ?? []) {
    if (part === '') return 'Prerelease is empty'
    if (/^0\d+$/.test(part)) return `Numeric PreRelease version must not contain leading zeroes ${shown(part)}`
    if (!/^[0-9A-Za-z-]+$/.test(part)) return `Invalid character(s) found in prerelease ${shown(part)}`
  }
  const odd = build?.split('.').find((part) => !/^[0-9A-Za-z-]+$/.test(part))
  return odd === '' ? 'Build meta data is empty' : `Invalid character(s) found in build meta data ${shown(odd)}`
}

/** Without a leading "v" and leading zeros, and with all three numbers. */
function normalize(text: string): string {
  const [major = '', minor, ...rest] = text.replace(/^v/, '').split('.')
  const parts = [major, ...(minor === undefined ? [] : [minor]), ...(rest.length > 0 ? [rest.join('.')] : [])]
  if (parts.length < 3 && /[+-]/.test(parts.at(-1)!)) {
    throw new EvaluationError('short version cannot contain PreRelease/Build meta data')
  }
  while (parts.length < 3) parts.push('0')
  return parts.map((part) => part.replace(/^0+(?=\d)/, '')).join('.')
}

function compareVersions(a: Semver, b: Semver): bigint {
  for (const [i, number] of a.numbers.entries()) if (number !== b.numbers[i]) return signOf(number - b.numbers[i]!)
  // What has no prerelease comes after those that have one.
  if (a.prerelease.length === 0 || b.prerelease.length === 0) return signOf(BigInt(b.prerelease.length - a.prerelease.length))
  for (let i = 0; i < Math.min(a.prerelease.length, b.prerelease.length); i++) {
    const order = compareIdentifiers(a.prerelease[i]!, b.prerelease[i]!)
    if (order !== 0n) return order
  }
  return signOf(BigInt(a.prerelease.length - b.prerelease.length))
}

function compareIdentifiers(a: string, b: string): bigint {
  if (a === b) return 0n
  const [isNumberA, isNumberB] = [/^\d+$/.test(a), /^\d+$/.test(b)]
  if (isNumberA && isNumberB) return signOf(BigInt(a) - BigInt(b))
  if (isNumberA !== isNumberB) return isNumberA ? -1n : 1n
  return a < b ? -1n : 1n
}

const V = 'kubernetes.Semver'
export const versions: Readonly<Record<string, readonly Overload[]>> = {
  semver: [
    overload('string_to_semver', `(string) ${V}`, (text: string) => semverOf(text), parsing),
    overload('string_bool_to_semver', `(string, bool) ${V}`, semverOf, parsing),
  ],
  isSemver: [
    overload('is_semver_string', '(string) bool', parses((text) => semverOf(text)), parsing), // prettier-ignore
    overload(
      'is_semver_string_bool',
      '(string, bool) bool',
      (text: string, isNormalized: boolean) => parses((inner) => semverOf(inner, isNormalized))(text),
      parsing,
    ),
  ],
  isGreaterThan: [overload('semver_is_greater_than', `${V}.(${V}) bool`, (a: Semver, b: Semver) => compareVersions(a, b) > 0n, one)],
  isLessThan: [overload('semver_is_less_than', `${V}.(${V}) bool`, (a: Semver, b: Semver) => compareVersions(a, b) < 0n, one)],
  compareTo: [overload('semver_compare_to', `${V}.(${V}) int`, compareVersions, one)],
  major: [overload('semver_major', `${V}.() int`, ({ numbers }: Semver) => numbers[0]!, one)],
  minor: [overload('semver_minor', `${V}.() int`, ({ numbers }: Semver) => numbers[1]!, one)],
  patch: [overload('semver_patch', `${V}.() int`, ({ numbers }: Semver) => numbers[2]!, one)],
}

class Format extends Opaque {
  readonly typeName = 'kubernetes.NamedFormat'
  readonly #patternSize: number
  readonly faultsOf: (text: string) => readonly string[]
  constructor(patternSize: number, faultsOf: (text: string) => readonly string[]) {
    super()
    this.#patternSize = patternSize
    this.faultsOf = faultsOf
  }
  override get patternSize(): number {
    return this.#patternSize
  }
}

const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const isUrl = urls.isURL![0]!.call
const fault = (isFine: (text: string) => boolean, message: string) => (text: string) => (isFine(text) ? [] : [message])
/** A prefix of a generated name may end with a dash. */
const asPrefix = (faultsOf: (text: string) => readonly string[]) => (text: string) =>
  faultsOf(text.endsWith('-') ? `${text.slice(0, -1)}a` : text)
function isDate(text: string): boolean {
  const time = Date.parse(`${text}T00:00:00Z`)
  return /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(time) && new Date(time).toISOString().startsWith(text)
}

const FORMATS: Readonly<Record<string, Format>> = {
  dns1123Label: new Format(30, dns1123LabelFaults),
  dns1123Subdomain: new Format(60, dns1123SubdomainFaults),
  dns1035Label: new Format(30, dns1035LabelFaults),
  qualifiedName: new Format(60, qualifiedNameFaults),
  dns1123LabelPrefix: new Format(30, asPrefix(dns1123LabelFaults)),
  dns1123SubdomainPrefix: new Format(60, asPrefix(dns1123SubdomainFaults)),
  dns1035LabelPrefix: new Format(30, asPrefix(dns1035LabelFaults)),
  labelValue: new Format(40, labelValueFaults),
  uri: new Format(1104, (text) => (isUrl(text) === true ? [] : [`parse ${JSON.stringify(text)}: invalid URI for request`])),
  uuid: new Format(69, fault((text) => UUID.test(text), 'does not match the UUID format')), // prettier-ignore
  byte: new Format(84, fault((text) => BASE64.test(text), 'invalid base64')), // prettier-ignore
  date: new Format(72, fault(parses((text) => { if (!isDate(text)) throw new EvaluationError('invalid date') }), 'invalid date')), // prettier-ignore
  datetime: new Format(72, fault(parses(parseTimestamp), 'invalid datetime')),
}

function validate(format: Format, text: string): Optional {
  const faults = format.faultsOf(text)
  return faults.length === 0 ? Optional.none : new Optional(faults)
}

function namedFormat(name: string): Optional {
  return Object.hasOwn(FORMATS, name) ? new Optional(FORMATS[name]) : Optional.none
}

export const formats: Readonly<Record<string, readonly Overload[]>> = {
  ...Object.fromEntries(
    Object.entries(FORMATS).map(([name, format]) => [
      `format.${name}`,
      [overload(`format.${name}`, '() kubernetes.NamedFormat', () => format)],
    ]),
  ),
  'format.named': [overload('format-named', '(string) optional(kubernetes.NamedFormat)', namedFormat, one)],
  validate: [overload('format-validate', 'kubernetes.NamedFormat.(string) optional(list(string))', validate, validating)],
}
