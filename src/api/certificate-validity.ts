/** From when until when a certificate holds (RFC 5280, 4.1.2.5), read from its bytes, so that the core needs no platform for it. */
import { DER, derElements, DerError, derInside, pemBlocks, type DerElement } from '../base/der.ts'

const UTC_TIME = 0x17
const GENERALIZED_TIME = 0x18

export interface Validity {
  readonly startMs: number
  readonly endMs: number
}

/** Of the first certificate of a PEM text, in milliseconds since 1970; undefined for what is no certificate. */
export function certificateValidity(pem: string): Validity | undefined {
  const [block] = pemBlocks(pem)
  if (!block) return undefined
  try {
    const [body] = derInside(derElements(block.bytes)[0], DER.sequence)
    const fields = derInside(body, DER.sequence)
    // The version comes first where it is told; serial number, algorithm and issuer come before the validity.
    const [startMs, endMs] = derInside(fields[fields[0]?.tag === DER.constructed ? 4 : 3], DER.sequence).map(timeMs)
    return startMs === undefined || endMs === undefined ? undefined : { startMs, endMs }
  } catch (error) {
    if (error instanceof DerError) return undefined
    throw error
  }
}

function timeMs(element: DerElement | undefined): number | undefined {
  const text = String.fromCharCode(...(element?.content ?? []))
  const digits = element?.tag === UTC_TIME ? (Number(text.slice(0, 2)) < 50 ? `20${text}` : `19${text}`) : text
  if (element?.tag !== UTC_TIME && element?.tag !== GENERALIZED_TIME) return undefined
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(digits)
  if (!parts) return undefined
  const [, year, month, day, hour, minute, second] = parts
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(ms) ? undefined : ms
}
