/**
 * The formats of strings that schemas may name (kube-openapi pkg/validation/strfmt). A format that is not here is not checked, as
 * upstream; a definition that brings one is warned of.
 */
import type { JSONSchemaProps } from '../../api/generated/apiextensions/v1.ts'

type Check = (value: string) => boolean

const matches =
  (regex: RegExp): Check =>
  (value) =>
    regex.test(value)

const HOSTNAME =
  /^(?:[a-zA-Z0-9\p{S}\p{L}](?:-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?|(?:[a-zA-Z0-9\p{S}\p{L}](?:[a-zA-Z0-9\-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?\.)+[a-zA-Z\p{L}]{2,63})$/u

const isHostname: Check = (value) => HOSTNAME.test(value) && value.length <= 255 && value.split('.').every((label) => label.length <= 63)

/** Leading zeros are taken as decimal, as Go did before 1.17. */
const isIPv4: Check = (value) => {
  const parts = value.split('.')
  return parts.length === 4 && parts.every((part) => /^\d{1,}$/.test(part) && Number(part) <= 255)
}

const isIPv6: Check = (value) => {
  if (!value.includes(':')) return false
  const halves = value.split('::')
  if (halves.length > 2) return false
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')))
  const last = groups.at(-1) ?? ''
  const hasIPv4 = last.includes('.')
  if (hasIPv4 && !isIPv4(last)) return false
  const plain = hasIPv4 ? groups.slice(0, -1) : groups
  const length = plain.length + (hasIPv4 ? 2 : 0)
  return plain.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group)) && (halves.length === 2 ? length < 8 : length === 8)
}

const isCidr: Check = (value) => {
  const [address = '', bits = '', ...more] = value.split('/')
  if (more.length > 0 || !/^\d{1,3}$/.test(bits)) return false
  return (isIPv4(address) && Number(bits) <= 32) || (isIPv6(address) && Number(bits) <= 128)
}

/** time.ParseDuration, or numbers with units of Scala's. */
const GO_DURATION = /^[+-]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/
const SCALA_UNITS = /^(?:ns|nano.*|us|µs|micro.*|ms|milli.*|s|sec.*|m|min.*|h|hr|hour.*|d|day.*|w|wk|week.*)$/i
const isDuration: Check = (value) =>
  GO_DURATION.test(value) || Array.from(value.matchAll(/\d+\s*([A-Za-zµ]+)/g)).some(([, unit]) => SCALA_UNITS.test(unit ?? ''))

const isDate: Check = (value) => {
  const [, year, month, day] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(value) ?? []
  if (!year) return false
  const days = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate()
  return Number(month) >= 1 && Number(month) <= 12 && Number(day) >= 1 && Number(day) <= days
}

const TIME = /^([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(?:\.\d+)?(?:[zZ]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/
const isDateTime: Check = (value) => isDate(value.slice(0, 10)) && /^[tT]$/.test(value[10] ?? '') && TIME.test(value.slice(11))

function isRequestUri(value: string): boolean {
  if (value === '' || /[\s\p{Cc}]/u.test(value)) return false
  if (value.startsWith('/')) return !/%(?![0-9a-fA-F]{2})/.test(value)
  return /^[a-zA-Z][a-zA-Z0-9+.-]*:/.test(value) && !/%(?![0-9a-fA-F]{2})/.test(value)
}

/** An address, perhaps with a name before it: "Jo <jo@example.com>". */
const EMAIL = /^(?:[^<>@]*<)?\s*(?:[^\s<>@,;:"()[\]\\]+|"[^"]*")@[^\s<>@,;:"()]+\s*>?$/
const isEmail: Check = (value) => EMAIL.test(value) && value.includes('<') === value.endsWith('>')

function isIsbn10(value: string): boolean {
  const digits = value.replaceAll(/[\s-]/g, '')
  if (!/^\d{9}[\dX]$/.test(digits)) return false
  const sum = Array.from(digits).reduce((total, digit, index) => total + (10 - index) * (digit === 'X' ? 10 : Number(digit)), 0)
  return sum % 11 === 0
}

function isIsbn13(value: string): boolean {
  const digits = value.replaceAll(/[\s-]/g, '')
  if (!/^\d{13}$/.test(digits)) return false
  return Array.from(digits).reduce((total, digit, index) => total + Number(digit) * (index % 2 === 0 ? 1 : 3), 0) % 10 === 0
}

const CARD =
  /^(?:4\d{12}(?:\d{3})?|5[1-5]\d{14}|(?:222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|6(?:011|5\d\d)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|(?:2131|1800|35\d{3})\d{11}|6[27]\d{14})$/

function isCreditCard(value: string): boolean {
  const digits = value.replaceAll(/\D/g, '')
  if (!CARD.test(digits)) return false
  const sum = Array.from(digits)
    .toReversed()
    .reduce((total, digit, index) => {
      const number = Number(digit) * (index % 2 === 1 ? 2 : 1)
      return total + (number > 9 ? number - 9 : number)
    }, 0)
  return sum % 10 === 0
}

const COLOUR_PART = '\\s*(?:25[0-5]|2[0-4]\\d|[01]?\\d\\d?)\\s*'
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$/
const SHORT_NAME = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/
const OBJECT_ID = /^[0-9a-fA-F]{24}$/

const CHECKS: Readonly<Record<string, Check>> = {
  bsonobjectid: matches(OBJECT_ID),
  uri: isRequestUri,
  email: isEmail,
  hostname: isHostname,
  ipv4: isIPv4,
  ipv6: isIPv6,
  cidr: isCidr,
  mac: matches(/^(?:[0-9a-fA-F]{2}([:-])(?:[0-9a-fA-F]{2}\1){4,18}[0-9a-fA-F]{2}|(?:[0-9a-fA-F]{4}\.){2,9}[0-9a-fA-F]{4})$/),
  uuid: matches(/^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i),
  uuid3: matches(/^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i),
  uuid4: matches(/^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i),
  uuid5: matches(/^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i),
  isbn: (value) => isIsbn10(value) || isIsbn13(value),
  isbn10: isIsbn10,
  isbn13: isIsbn13,
  creditcard: isCreditCard,
  ssn: matches(/^\d{3}[- ]?\d{2}[- ]?\d{4}$/),
  hexcolor: matches(/^#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/),
  rgbcolor: matches(new RegExp(`^rgb\\(${COLOUR_PART},${COLOUR_PART},${COLOUR_PART}\\)$`)),
  byte: matches(BASE64),
  password: () => true,
  date: isDate,
  duration: isDuration,
  datetime: isDateTime,
  k8sshortname: (value) => value.length <= 63 && SHORT_NAME.test(value),
  k8slongname: (value) => value.length <= 253 && value.split('.').every((segment) => SHORT_NAME.test(segment)),
}

const INTEGER_FORMATS: ReadonlySet<string> = new Set(['int32', 'int64'])
const NUMBER_FORMATS: ReadonlySet<string> = new Set(['float', 'double'])

/** Whether values of the schema's type are checked against its format. */
export function isKnownFormat({ type = '', format = '' }: Pick<JSONSchemaProps, 'type' | 'format'>): boolean {
  if (type === '' || type === 'string') return CHECKS[format.replaceAll('-', '')] !== undefined
  if (type === 'integer') return INTEGER_FORMATS.has(format)
  return type === 'number' && NUMBER_FORMATS.has(format)
}

/** The check of a string; undefined for a format that is not known. */
export const formatCheck = (format: string): Check | undefined => CHECKS[format.replaceAll('-', '')]
