/**
 * Answers from outside the cluster, kept as long as their records say and half a minute at most (so long does upstream's CoreDNS keep
 * them as kubeadm sets it up): what exists by its records' times to live, what does not by the zone's SOA (RFC 2308). What was cut off
 * or failed is asked again. Questions that are equal to the bit share an answer, whose times to live are told as what is left.
 */
import type { Clock } from '../../base/clock.ts'
import { ExpiringCache } from '../../base/expiring-cache.ts'
import type { DnsForwarder } from './dns-forwarder.ts'

const MAX_ANSWERS = 10_000
const MAX_TTL_S = 30
const HEADER_SIZE = 12
const TRUNCATED = 0x02
const RCODE_MASK = 0x0f
const NXDOMAIN = 3
const SOA = 6
const OPT = 41

interface Kept {
  readonly bytes: Buffer
  /** Where the times to live stand. */
  readonly ttls: readonly number[]
  /** 0 for what is not kept. */
  readonly seconds: number
  readonly sinceMs: number
}

export function createDnsCache(clock: Clock, forward: DnsForwarder): DnsForwarder {
  const cache = new ExpiringCache<Kept>(clock, MAX_ANSWERS, ({ seconds }) => seconds * 1000)
  return async (query, via) => {
    const key = `${via}${query.toString('latin1', 2)}`
    const kept = await cache.ask(key, async () => {
      const bytes = await forward(query, via)
      return { bytes, ...lifetimeOf(bytes), sinceMs: clock.monotonic() }
    })
    const answer = Buffer.from(kept.bytes)
    answer.writeUInt16BE(query.readUInt16BE(0), 0)
    const age = Math.floor((clock.monotonic() - kept.sinceMs) / 1000)
    if (age > 0) for (const offset of kept.ttls) answer.writeUInt32BE(Math.max(0, answer.readUInt32BE(offset) - age), offset)
    return answer
  }
}

/** What cannot be read is passed on, and not kept. */
function lifetimeOf(bytes: Buffer): Pick<Kept, 'ttls' | 'seconds'> {
  try {
    return readLifetime(bytes)
  } catch (error) {
    if (error instanceof RangeError) return { ttls: [], seconds: 0 }
    throw error
  }
}

function readLifetime(bytes: Buffer): Pick<Kept, 'ttls' | 'seconds'> {
  const rcode = bytes.readUInt8(3) & RCODE_MASK
  const answers = bytes.readUInt16BE(6)
  const authorities = bytes.readUInt16BE(8)
  const all = answers + authorities + bytes.readUInt16BE(10)
  const isThere = rcode === 0 && answers > 0
  const ttls: number[] = []
  let least = Infinity
  let offset = HEADER_SIZE
  for (let i = bytes.readUInt16BE(4); i > 0; i--) offset = endOfName(bytes, offset) + 4
  for (let i = 0; i < all; i++) {
    const record = endOfName(bytes, offset)
    const type = bytes.readUInt16BE(record)
    const end = record + 10 + bytes.readUInt16BE(record + 8)
    offset = end
    if (type === OPT) continue
    const ttl = bytes.readUInt32BE(record + 4)
    ttls.push(record + 4)
    if (isThere && i < answers) least = Math.min(least, ttl)
    else if (!isThere && type === SOA && i < answers + authorities) least = Math.min(least, ttl, bytes.readUInt32BE(end - 4))
  }
  const isKept = (rcode === 0 || rcode === NXDOMAIN) && (bytes.readUInt8(2) & TRUNCATED) === 0 && least !== Infinity
  return { ttls, seconds: isKept ? Math.min(least, MAX_TTL_S) : 0 }
}

/** Labels up to an empty one or to a pointer, which ends a name (RFC 1035, 4.1.4). */
function endOfName(bytes: Buffer, start: number): number {
  for (let offset = start; ;) {
    const length = bytes.readUInt8(offset)
    if (length === 0) return offset + 1
    if (length >= 0xc0) return offset + 2
    offset += length + 1
  }
}
