/**
 * When a CertificateSigningRequest has served its time: an hour after it was answered or when its certificate has run out, a day without
 * an answer.
 */
import { certificateValidity } from '../../api/certificate-validity.ts'
import type { CertificateSigningRequest } from '../../api/generated/certificates/v1.ts'
import { fromBase64 } from '../../base/der.ts'
import { timeOf } from '../pods/pod-state.ts'

const ANSWERED_MS = 3_600_000
const PENDING_MS = 24 * 3_600_000

/** How long it may still stay, 0 when its time is over; undefined for one whose conditions say no time. */
export function staysForMs({ metadata, status }: CertificateSigningRequest, nowMs: number): number | undefined {
  const conditions = status?.conditions ?? []
  const ends = conditions.map(({ type, lastUpdateTime }) => {
    const since = timeOf(lastUpdateTime)
    if (since === undefined) return undefined
    if (type === 'Denied' || type === 'Failed') return since + ANSWERED_MS
    return type === 'Approved' ? since + (status?.certificate ? ANSWERED_MS : PENDING_MS) : undefined
  })
  const created = timeOf(metadata?.creationTimestamp)
  const runsOut = conditions.some(({ type }) => type === 'Approved') ? endOf(status?.certificate) : undefined
  const known = (conditions.length === 0 && created !== undefined ? [created + PENDING_MS] : [...ends, runsOut]).filter(
    (end) => end !== undefined,
  )
  return known.length === 0 ? undefined : Math.max(0, Math.min(...known) - nowMs)
}

/** A certificate is kept as base64 of its PEM. */
function endOf(certificate: string | undefined): number | undefined {
  const bytes = certificate && fromBase64(certificate)
  return bytes ? certificateValidity(String.fromCharCode(...bytes))?.endMs : undefined
}
