/** Who writes: `fieldManager`, or else what the client calls itself (k8s.io/apiserver/pkg/endpoints/handlers/create.go). */
import type { KubeObject } from '../../api/object.ts'
import type { FieldError } from '../../api/status.ts'
import type { Call } from '../core.ts'

const MAX_LENGTH = 128
const UNPRINTABLE = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u

const encoder = new TextEncoder()
const bytesOf = (text: string): number => encoder.encode(text).length

/** Clients call themselves the same thing again and again: at most this many names are kept. */
const KNOWN_LIMIT = 1000
const known = new Map<string, string>()

export const managerOf = (call: Call, options: KubeObject): string =>
  (options.fieldManager as string | undefined) || fromUserAgent(call.request.headers['user-agent'] ?? '')

function fromUserAgent(userAgent: string): string {
  let name = known.get(userAgent)
  if (name === undefined) {
    if (known.size >= KNOWN_LIMIT) known.clear()
    known.set(userAgent, (name = printable(userAgent.split('/', 1)[0]!)))
  }
  return name
}

function printable(text: string): string {
  let name = ''
  let length = 0
  for (const char of text) {
    if (UNPRINTABLE.test(char)) continue
    length += bytesOf(char)
    if (length > MAX_LENGTH) break
    name += char
  }
  return name
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
}

/** As Go's %q prints it. */
function quoted(text: string): string {
  const escape = (char: string): string => {
    if (char === '"' || char === '\\') return `\\${char}`
    if (!UNPRINTABLE.test(char)) return char
    const code = char.codePointAt(0)!
    const hex = code.toString(16)
    return (
      ESCAPES[char] ??
      (code < 0x80 ? `\\x${hex.padStart(2, '0')}` : code > 0xffff ? `\\U${hex.padStart(8, '0')}` : `\\u${hex.padStart(4, '0')}`)
    )
  }
  return `"${Array.from(text, escape).join('')}"`
}

/** Nearly all names are of this form; each write checks all of its object's. */
const PLAIN = /^[\x20-\x7e]{0,128}$/
const NONE: readonly FieldError[] = []

/** What is wrong with the name of a manager. */
export function managerFaults(manager: string, field: string): readonly FieldError[] {
  if (PLAIN.test(manager)) return NONE
  const faults: FieldError[] = []
  if (bytesOf(manager) > MAX_LENGTH)
    faults.push({ type: 'FieldValueTooLong', field, detail: `Too long: may not be more than ${MAX_LENGTH} bytes` })
  let position = 0
  for (const char of manager) {
    if (UNPRINTABLE.test(char)) {
      const code = char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')
      const detail = `Invalid value: ${quoted(manager)}: invalid character U+${code} (at position ${position})`
      faults.push({ type: 'FieldValueInvalid', field, detail })
    }
    position += bytesOf(char)
  }
  return faults
}
