/**
 * Quantities ("100m", "1.5Gi", "2e3") as apimachinery's resource.Quantity has them: exact, in nano units, rounded away from zero
 * beyond that, and written back in one canonical form: no fraction, the largest suffix that needs none. Objects carry the text;
 * arithmetic is for those who count. The hot readers (toMilli, toNumber) remember what they parsed.
 */
export type QuantityFormat = 'DecimalSI' | 'BinarySI' | 'DecimalExponent'

/** A parsed quantity. Immutable. */
export interface Amount {
  /** In units of 10^-9. */
  readonly nano: bigint
  readonly format: QuantityFormat
}

const NANO = 1_000_000_000n
const MILLI = 1_000_000n
const MAX_INT64 = 2n ** 63n - 1n
/** Exponents beyond this are refused: no resource is that large, and a power of ten costs memory. */
const MAX_EXPONENT = 300

const FORM = /^([+-]?)(\d*)(\.\d*)?([eEinumkKMGTP]*[-+]?\d*)$/
const FORMAT_FAULT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
const SUFFIX_FAULT = "unable to parse quantity's suffix"
const NUMBER_FAULT = 'unable to parse numeric part of quantity'

const DECIMAL: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 }
const BINARY: Readonly<Record<string, bigint>> = { Ki: 10n, Mi: 20n, Gi: 30n, Ti: 40n, Pi: 50n, Ei: 60n }
const DECIMAL_SUFFIXES = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E']
const BINARY_SUFFIXES = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']

interface Scale {
  readonly format: QuantityFormat
  readonly exponent: number
  readonly shift: bigint
}

function scaleOf(suffix: string): Scale | undefined {
  if (Object.hasOwn(DECIMAL, suffix)) return { format: 'DecimalSI', exponent: DECIMAL[suffix] ?? 0, shift: 0n }
  if (Object.hasOwn(BINARY, suffix)) return { format: 'BinarySI', exponent: 0, shift: BINARY[suffix] ?? 0n }
  if (!/^[eE][-+]?\d+$/.test(suffix)) return undefined
  const exponent = Number(suffix.slice(1))
  return Math.abs(exponent) <= MAX_EXPONENT ? { format: 'DecimalExponent', exponent, shift: 0n } : undefined
}

/** Divides away from zero. */
function divideUp(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor
  return quotient * divisor === value ? quotient : value < 0n ? quotient - 1n : quotient + 1n
}

interface Parsed {
  readonly amount: Amount
  /** Upstream hands the text back as it came when it is short enough and looks canonical. */
  readonly isKept: boolean
}

/** What `parse` found, or upstream's text for what is wrong. */
function parse(text: string): Parsed | string {
  const match = FORM.exec(text)
  if (!match || text === '') return FORMAT_FAULT
  const [, sign = '', whole = '', fraction = '', suffix = ''] = match
  const scale = scaleOf(suffix)
  if (!scale) return SUFFIX_FAULT
  const decimals = fraction.slice(1)
  // A suffix alone is zero, but not a large binary one.
  if (whole === '' && decimals === '' && scale.shift >= 50n) return NUMBER_FAULT
  const digits = BigInt(whole + decimals || '0')
  const power = scale.exponent - decimals.length + 9
  const scaled = (digits << scale.shift) * (power > 0 ? 10n ** BigInt(power) : 1n)
  let nano = power < 0 ? divideUp(scaled, 10n ** BigInt(-power)) : scaled
  let { format } = scale
  if (format === 'BinarySI') {
    if (nano > MAX_INT64 * NANO) nano = MAX_INT64 * NANO
    if (nano > 0n && nano < NANO) format = 'DecimalSI'
  }
  return { amount: { nano: sign === '-' ? -nano : nano, format }, isKept: isKeptText(whole, decimals, scale, digits) }
}

function isKeptText(whole: string, decimals: string, { format, exponent, shift }: Scale, digits: bigint): boolean {
  if (digits === 0n) return false
  const shifted = (whole.replace(/^0+/, '') || '0') + decimals
  if (format === 'BinarySI') {
    const isShort = 14 - shifted.length - Math.trunc((Number(shift) * 3) / 10) >= 0
    return decimals === '' && isShort && (digits & 7n) !== 0n && digits << shift <= MAX_INT64
  }
  const places = exponent - decimals.length
  return places % 3 === 0 && places >= -9 && shifted.length <= 18 && !shifted.endsWith('000') && !shifted.startsWith('0')
}

/** Upstream's text for what is wrong with a quantity, or undefined when it is fine. */
export function quantityFault(text: string): string | undefined {
  const parsed = parse(text)
  return typeof parsed === 'string' ? parsed : undefined
}

/** Throws on what quantityFault finds: objects that were decoded hold none. */
export function parseQuantity(text: string): Amount {
  const parsed = parse(text)
  if (typeof parsed === 'string') throw new RangeError(parsed)
  return parsed.amount
}

/** The canonical text. */
export function formatQuantity({ nano, format }: Amount): string {
  if (nano === 0n) return '0'
  const isSmall = nano > -1024n * NANO && nano < 1024n * NANO
  if (format === 'BinarySI' && !isSmall && nano % NANO === 0n) {
    let [value, power] = [nano / NANO, 0]
    for (; power < BINARY_SUFFIXES.length - 1 && value % 1024n === 0n; power++) value /= 1024n
    return `${value}${BINARY_SUFFIXES[power]}`
  }
  let [value, power] = [nano, 0]
  const limit = format === 'DecimalExponent' ? MAX_EXPONENT : DECIMAL_SUFFIXES.length - 1
  for (; power < limit && value % 1000n === 0n; power++) value /= 1000n
  if (format !== 'DecimalExponent') return `${value}${DECIMAL_SUFFIXES[power]}`
  return power === 3 ? `${value}` : `${value}e${power * 3 - 9}`
}

/** What upstream stores for a quantity that a client wrote: "0.5" becomes "500m", "1024Ki" becomes "1Mi", "5" stays. */
export function canonicalQuantity(text: string): string {
  const parsed = parse(text)
  if (typeof parsed === 'string') throw new RangeError(parsed)
  return parsed.isKept ? text : formatQuantity(parsed.amount)
}

/** Texts that are remembered by each reader; the oldest go first. */
const MAX_REMEMBERED = 8192

function remembering<T>(read: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>()
  return (text) => {
    const found = known.get(text)
    if (found !== undefined) return found
    const value = read(text)
    if (known.size >= MAX_REMEMBERED) known.delete(known.keys().next().value ?? '')
    known.set(text, value)
    return value
  }
}

const amountOf = remembering(parseQuantity)

/** Thousandths, rounded away from zero: 100 for "100m". Exact below 2^53. */
export const toMilli = remembering((text) => Number(divideUp(amountOf(text).nano, MILLI)))

/** Whole units, rounded away from zero: bytes of "1Gi". Exact below 2^53. */
export const toNumber = remembering((text) => Number(divideUp(amountOf(text).nano, NANO)))

/** As a floating number, fractions kept; may lose precision. */
export const toFloat = (text: string): number => Number(amountOf(text).nano) / 1e9

/** Negative when a < b. */
export function compareQuantities(a: string, b: string): number {
  const [left, right] = [amountOf(a).nano, amountOf(b).nano]
  return left < right ? -1 : left > right ? 1 : 0
}

/** The format of a sum is that of its first part, unless that is zero. */
const formatOf = (a: Amount, b: Amount): QuantityFormat => (a.nano === 0n ? b.format : a.format)

export function addAmounts(a: Amount, b: Amount): Amount {
  return { nano: a.nano + b.nano, format: formatOf(a, b) }
}

export function subtractAmounts(a: Amount, b: Amount): Amount {
  return { nano: a.nano - b.nano, format: formatOf(a, b) }
}

export const addQuantities = (a: string, b: string): string => formatQuantity(addAmounts(amountOf(a), amountOf(b)))
export const subtractQuantities = (a: string, b: string): string => formatQuantity(subtractAmounts(amountOf(a), amountOf(b)))

/** A quantity of whole units. */
export const quantityOf = (value: number | bigint, format: QuantityFormat = 'DecimalSI'): string =>
  formatQuantity({ nano: BigInt(value) * NANO, format })

/** A quantity of thousandths. */
export const quantityOfMilli = (milli: number | bigint, format: QuantityFormat = 'DecimalSI'): string =>
  formatQuantity({ nano: BigInt(milli) * MILLI, format })
