/**
 * What names, labels and keys may look like, with upstream's words for what is wrong (apimachinery util/validation). Each check
 * returns the faults, none when the value is fine.
 */
type Faults = readonly string[]

const NONE: Faults = []

export const maxLengthFault = (length: number): string => `must be no more than ${length} characters`
/** Of labels, in which upstream speaks of bytes. */
const maxBytesFault = (length: number): string => `must be no more than ${length} bytes`
export const EMPTY_FAULT = 'must be non-empty'
export const inclusiveRangeFault = (low: number, high: number): string => `must be between ${low} and ${high}, inclusive`

/** The fault that shows examples and the expression. */
export function regexFault(message: string, format: string, ...examples: readonly string[]): string {
  const regex = `regex used for validation is '${format}')`
  if (examples.length === 0) return `${message} (${regex}`
  return `${message} (e.g. ${examples.map((example) => `'${example}'`).join(',  or ')}, ${regex}`
}

interface Form {
  readonly format: string
  readonly message: string
  readonly examples: readonly string[]
  readonly maxLength?: number
  /** How a length beyond the maximum is told. */
  readonly lengthFault?: (length: number) => string
}

/** A check of one form: its length, then its expression. */
function checkOf({ format, message, examples, maxLength, lengthFault = maxLengthFault }: Form): (value: string) => Faults {
  const regex = new RegExp(`^(?:${format})$`)
  const mismatch = regexFault(message, format, ...examples)
  return (value) => {
    const isTooLong = maxLength !== undefined && byteLength(value) > maxLength
    const matches = regex.test(value)
    if (!isTooLong && matches) return NONE
    return [...(isTooLong ? [lengthFault(maxLength)] : []), ...(matches ? [] : [mismatch])]
  }
}

/** Go counts bytes of UTF-8. */
function byteLength(value: string): number {
  let length = value.length
  for (let index = 0; index < value.length; index++) {
    const code = value.charCodeAt(index)
    if (code > 0x7f) length += code > 0x7ff && (code < 0xd800 || code > 0xdfff) ? 2 : 1
  }
  return length
}

const LABEL_1123 = '[a-z0-9]([-a-z0-9]*[a-z0-9])?'
const SUBDOMAIN_1123 = `${LABEL_1123}(\\.${LABEL_1123})*`
const LABEL_KEY = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'
const LABEL_KEY_MESSAGE = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
const LABEL_KEY_EXAMPLES = ['MyName', 'my.name', '123-abc']

/** The longest DNS-1123 subdomain, and so the longest name of most objects. */
export const SUBDOMAIN_MAX_LENGTH = 253
/** The longest DNS label, label value and name part of a label key. */
export const LABEL_MAX_LENGTH = 63

const label1123 = checkOf({
  format: LABEL_1123,
  message:
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
  examples: ['my-name', '123-abc'],
  maxLength: LABEL_MAX_LENGTH,
})

const SUBDOMAIN_FORM = {
  format: SUBDOMAIN_1123,
  message:
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
  examples: ['example.com'],
  maxLength: SUBDOMAIN_MAX_LENGTH,
}

/** Names of most objects, and host names: "example.com". */
export const dns1123SubdomainFaults = checkOf(SUBDOMAIN_FORM)
/** The same, of which upstream's declared rules speak in bytes. */
export const longNameFaults = checkOf({ ...SUBDOMAIN_FORM, lengthFault: maxBytesFault })

const SUBDOMAIN = new RegExp(`^${SUBDOMAIN_1123}$`)

/** Namespaces, container names: "my-name". */
const LABEL_UNDERSCORED = '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?'

/** A subdomain whose labels may hold underscores, as those of SRV records do (KEP-4427). */
export const underscoredSubdomainFaults = checkOf({
  format: `${LABEL_UNDERSCORED}(\\.${LABEL_UNDERSCORED})*`,
  message:
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
  examples: ['example.com'],
  maxLength: SUBDOMAIN_MAX_LENGTH,
})

export function dns1123LabelFaults(value: string): Faults {
  const faults = label1123(value)
  // The only fault of "a.b" is its dots, and upstream says just that.
  if (faults.length === 0 || !SUBDOMAIN.test(value) || !value.includes('.')) return faults
  return [...faults.filter((fault) => fault === maxLengthFault(LABEL_MAX_LENGTH)), 'must not contain dots']
}

/** Services: "my-name", starting with a letter. */
export const dns1035LabelFaults = checkOf({
  format: '[a-z]([-a-z0-9]*[a-z0-9])?',
  message:
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
  examples: ['my-name', 'abc-123'],
  maxLength: LABEL_MAX_LENGTH,
})

export const wildcardDns1123SubdomainFaults = checkOf({
  format: `\\*\\.${SUBDOMAIN_1123}`,
  message:
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
  examples: ['*.example.com'],
  maxLength: SUBDOMAIN_MAX_LENGTH,
})

const LABEL_KEY_REGEX = new RegExp(`^${LABEL_KEY}$`)

/** Label keys, annotation keys (in lower case), finalizers, extended resources: "example.com/MyName" or "MyName". */
export function qualifiedNameFaults(value: string): Faults {
  const slash = value.indexOf('/')
  const name = value.slice(slash + 1)
  if (name.includes('/')) {
    return [
      `a valid label key ${regexFault(LABEL_KEY_MESSAGE, LABEL_KEY, ...LABEL_KEY_EXAMPLES)} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ]
  }
  const prefixFaults = slash < 0 ? NONE : slash === 0 ? [EMPTY_FAULT] : longNameFaults(value.slice(0, slash))
  const isFitting = LABEL_KEY_REGEX.test(name)
  if (prefixFaults.length === 0 && isFitting && name.length <= LABEL_MAX_LENGTH) return NONE
  return [
    ...prefixFaults.map((fault) => `prefix part ${fault}`),
    ...(name === ''
      ? [`name part ${EMPTY_FAULT}`]
      : byteLength(name) > LABEL_MAX_LENGTH
        ? [`name part ${maxBytesFault(LABEL_MAX_LENGTH)}`]
        : []),
    ...(isFitting ? [] : [`name part ${regexFault(LABEL_KEY_MESSAGE, LABEL_KEY, ...LABEL_KEY_EXAMPLES)}`]),
  ]
}

export const labelValueFaults = checkOf({
  format: `(${LABEL_KEY})?`,
  message: `a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`,
  examples: ['MyValue', 'my_value', '12345'],
  maxLength: LABEL_MAX_LENGTH,
  lengthFault: maxBytesFault,
})

export const portNumberFaults = (port: number): Faults =>
  Number.isInteger(port) && port >= 1 && port <= 65_535 ? NONE : [inclusiveRangeFault(1, 65_535)]

export const rangeFaults = (value: number, low: number, high: number): Faults =>
  value >= low && value <= high ? NONE : [inclusiveRangeFault(low, high)]

/** The highest user or group id that upstream takes. */
const MAX_ID = 2 ** 31 - 1
export const userIdFaults = (id: number): Faults => rangeFaults(id, 0, MAX_ID)
export const groupIdFaults = userIdFaults

/** IANA service names: "http", at most 15 characters. */
export function portNameFaults(port: string): Faults {
  const faults: string[] = []
  if (byteLength(port) > 15) faults.push(maxLengthFault(15))
  if (!/^[-a-z0-9]+$/.test(port)) faults.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)')
  if (!/[a-z]/.test(port)) faults.push('must contain at least one letter (a-z)')
  if (port.includes('--')) faults.push('must not contain consecutive hyphens')
  if (port.startsWith('-') || port.endsWith('-')) faults.push('must not begin or end with a hyphen')
  return faults
}

export const percentFaults = checkOf({
  format: '[0-9]+%',
  message: "a valid percent string must be a numeric string followed by an ending '%'",
  examples: ['1%', '93%'],
})

export const httpHeaderNameFaults = checkOf({
  format: '[-A-Za-z0-9]+',
  message: "a valid HTTP header must consist of alphanumeric characters or '-'",
  examples: ['X-Header-Name'],
})

/** Keys become file names; these would leave the directory. */
function parentDirectoryFaults(value: string): Faults {
  if (value === '.') return ["must not be '.'"]
  if (value === '..') return ["must not be '..'"]
  return value.startsWith('..') ? ["must not start with '..'"] : NONE
}

/** Printable ASCII but '=' (KEP-4369, the default since 1.34). */
export function environmentNameFaults(value: string): Faults {
  if (value === '') return [`environment variable name ${EMPTY_FAULT}`]
  if (/^[\x20-\x3c\x3e-\x7e]+$/.test(value)) return NONE
  return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
}

const configMapKey = checkOf({
  format: '[-._a-zA-Z0-9]+',
  message: "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
  examples: ['key.name', 'KEY_NAME', 'key-name'],
  maxLength: SUBDOMAIN_MAX_LENGTH,
})

/** Keys of config maps and secrets. */
export const configMapKeyFaults = (value: string): Faults => [...configMapKey(value), ...parentDirectoryFaults(value)]

/** A host name of at least `segments` labels, or what is wrong with it; '' is for the caller to find missing. */
export function fullyQualifiedNameFaults(value: string): Faults {
  const faults = dns1123SubdomainFaults(value)
  if (faults.length > 0) return [faults.join(',')]
  return value.split('.').length < 3 ? ['should be a domain with at least three segments separated by dots'] : NONE
}

/** A name that becomes a path segment of the API: RBAC objects and others whose names upstream leaves free. */
export function pathSegmentFaults(name: string): Faults {
  if (name === '.' || name === '..') return [`may not be '${name}'`]
  return ['/', '%'].filter((character) => name.includes(character)).map((character) => `may not contain '${character}'`)
}
