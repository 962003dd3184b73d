/**
 * DNS messages to and from bytes. The packet library does not compress names; here every record whose owner is the name asked for
 * refers to the question instead, which lets three times as many addresses fit into a packet.
 */
import * as dns from 'dns-packet'
import type { Answer, Packet, Question } from 'dns-packet'

export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const
export type Rcode = keyof typeof RCODE

export interface Query {
  readonly id: number
  readonly question: Question
  readonly wantsRecursion: boolean
  /** How large an answer the client takes by UDP. */
  readonly udpSize: number
  readonly hasEdns: boolean
}

export interface Reply {
  readonly rcode: Rcode
  readonly isAuthoritative: boolean
  readonly answers: readonly Answer[]
  readonly authorities: readonly Answer[]
  readonly additionals: readonly Answer[]
}

/** Larger answers than this are not sent by UDP whatever the client says: they would be fragmented (DNS flag day 2020). */
export const MAX_UDP_SIZE = 1232
const MIN_UDP_SIZE = 512
const HEADER_SIZE = 12
const RESPONSE = 0x8000
const TRUNCATED = 0x0200
/** Where the question's name stands in every message. */
const QUESTION_POINTER = Buffer.from([0xc0, HEADER_SIZE])

/** undefined when it is no query; a Rcode when it is one that cannot be answered. */
export function readQuery(bytes: Buffer): Query | { readonly id: number; readonly rcode: Rcode } | undefined {
  if (bytes.length < HEADER_SIZE || bytes[2]! & 0x80) return undefined
  const id = bytes.readUInt16BE(0)
  let packet: Packet & { opcode?: string; flag_rd?: boolean }
  try {
    packet = dns.decode(bytes)
  } catch {
    return { id, rcode: 'FORMERR' }
  }
  if (packet.opcode !== 'QUERY') return { id, rcode: 'NOTIMP' }
  const [question, ...more] = packet.questions ?? []
  if (!question || more.length > 0) return { id, rcode: 'FORMERR' }
  if (question.class !== 'IN') return { id, rcode: 'REFUSED' }
  const edns = packet.additionals?.find((record) => record.type === 'OPT')
  const udpSize = Math.min(MAX_UDP_SIZE, Math.max(MIN_UDP_SIZE, edns?.udpPayloadSize ?? 0))
  return { id, question, wantsRecursion: packet.flag_rd === true, udpSize, hasEdns: edns !== undefined }
}

/** An answer with a code alone, for what could not even be read. */
export function encodeFailure(id: number, rcode: Rcode): Buffer {
  const bytes = Buffer.alloc(HEADER_SIZE)
  bytes.writeUInt16BE(id, 0)
  bytes.writeUInt16BE(RESPONSE | RCODE[rcode], 2)
  return bytes
}

/** Leaves out what does not fit and says so, unless it is only additional. */
export function encodeReply(query: Query, reply: Reply, maxSize: number): Buffer {
  const head = Buffer.from(dns.encode({ type: 'response', id: query.id, questions: [query.question] }))
  const edns = query.hasEdns ? [encodeRecord(EDNS, '')] : []
  let room = maxSize - head.length - edns.reduce((sum, record) => sum + record.length, 0)
  let isTruncated = false
  const fitting = (records: readonly Answer[], isNeeded: boolean): Buffer[] => {
    const kept: Buffer[] = []
    for (const record of records) {
      const bytes = encodeRecord(record, query.question.name)
      room -= bytes.length
      if (room >= 0) kept.push(bytes)
      else if (isNeeded) isTruncated = true
    }
    return kept
  }
  const answers = fitting(reply.answers, true)
  const authorities = fitting(reply.authorities, true)
  const additionals = [...fitting(reply.additionals, false), ...edns]
  const flags =
    RESPONSE |
    (reply.isAuthoritative ? dns.AUTHORITATIVE_ANSWER : 0) |
    (isTruncated ? TRUNCATED : 0) |
    (query.wantsRecursion ? dns.RECURSION_DESIRED : 0) |
    dns.RECURSION_AVAILABLE |
    RCODE[reply.rcode]
  head.writeUInt16BE(flags, 2)
  head.writeUInt16BE(answers.length, 6)
  head.writeUInt16BE(authorities.length, 8)
  head.writeUInt16BE(additionals.length, 10)
  return Buffer.concat([head, ...answers, ...authorities, ...additionals])
}

const EDNS: Answer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: MAX_UDP_SIZE,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
}

interface Codec<T> {
  encode(value: T): Uint8Array
  encodingLength(value: T): number
}
// The library exports these and its types do not say so.
const { answer: recordCodec, name: nameCodec } = dns as unknown as { readonly answer: Codec<Answer>; readonly name: Codec<string> }

function encodeRecord(record: Answer, questionName: string): Buffer {
  const bytes = Buffer.from(recordCodec.encode(record))
  if (record.name.toLowerCase() !== questionName.toLowerCase() || record.name === '') return bytes
  return Buffer.concat([QUESTION_POINTER, bytes.subarray(nameCodec.encodingLength(record.name))])
}
