/**
 * What a client wants to get: the encoding and, for resources, whether the object, a Table of it or its metadata alone (the
 * Accept header; k8s.io/apiserver/pkg/endpoints/handlers/negotiation).
 */
import { failure, type ApiError } from '../api/status.ts'

export type Encoding = 'json' | 'yaml' | 'protobuf'
export type Shape = 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList'

export interface Accepted {
  readonly encoding: Encoding
  readonly as?: Shape
  /** meta.k8s.io/v1 or v1beta1, of `as`. */
  readonly asVersion?: string
  readonly isPretty?: boolean
}

export const MEDIA_TYPES: Readonly<Record<Encoding, string>> = {
  json: 'application/json',
  yaml: 'application/yaml',
  protobuf: 'application/vnd.kubernetes.protobuf',
}

const ENCODINGS = Object.entries(MEDIA_TYPES) as readonly [Encoding, string][]
const SHAPES: ReadonlySet<string> = new Set<Shape>(['Table', 'PartialObjectMetadata', 'PartialObjectMetadataList'])
const JSON_ACCEPTED: Accepted = { encoding: 'json' }

/** Answers to the same few headers come again and again: at most this many are kept. */
const CACHE_LIMIT = 256
const known = new Map<string, Accepted | undefined>()

/** Undefined when nothing of what is accepted can be made. */
export function negotiate(accept: string | undefined): Accepted | undefined {
  if (!accept || accept === 'application/json' || accept === '*/*') return JSON_ACCEPTED
  if (known.has(accept)) return known.get(accept)
  const accepted = parse(accept)
  if (known.size >= CACHE_LIMIT) known.clear()
  known.set(accept, accepted)
  return accepted
}

function parse(header: string): Accepted | undefined {
  const clauses = header.split(',').map((text) => {
    const [type = '', ...rest] = text.split(';').map((part) => part.trim())
    const parameters = new Map(
      rest.map((part) => part.split('=', 2).map((half) => half.trim().replace(/^"(.*)"$/, '$1')) as [string, string]),
    )
    return { type, parameters, quality: Number(parameters.get('q') ?? 1) }
  })
  const takesJson = new Set(clauses.filter(({ type }) => type === MEDIA_TYPES.json).map(({ parameters }) => parameters.get('as')))
  for (const { type, parameters } of clauses.toSorted((a, b) => b.quality - a.quality)) {
    for (const [encoding, mediaType] of ENCODINGS) {
      if (type !== mediaType && type !== '*/*' && type !== 'application/*') continue
      const accepted = withParameters(encoding, parameters)
      if (!accepted) continue
      // JSON lies ready for every object; protobuf is made for those who take nothing else.
      if (encoding === 'protobuf' && takesJson.has(accepted.as)) return { ...accepted, encoding: 'json' }
      return accepted
    }
  }
  return undefined
}

function withParameters(encoding: Encoding, parameters: ReadonlyMap<string, string>): Accepted | undefined {
  const stream = parameters.get('stream')
  if (stream && stream !== 'watch') return undefined
  const isPretty = parameters.get('pretty') === '1'
  const as = parameters.get('as')
  if (as === undefined && !parameters.has('g') && !parameters.has('v')) return isPretty ? { encoding, isPretty } : { encoding }
  const asVersion = parameters.get('v') ?? ''
  if (parameters.get('g') !== 'meta.k8s.io' || !SHAPES.has(as ?? '') || (asVersion !== 'v1' && asVersion !== 'v1beta1')) return undefined
  return { encoding, as: as as Shape, asVersion, ...(isPretty ? { isPretty } : {}) }
}

const TYPES = Object.values(MEDIA_TYPES)
const STREAM_TYPES = [MEDIA_TYPES.json, MEDIA_TYPES.protobuf].map((type) => `${type};stream=watch`)

/** Whether a route of upstream's HTTP library (go-restful) takes the header: it looks at types alone. */
export const isRepresentable = (accept: string | undefined): boolean =>
  !accept || accept.split(',').some((clause) => TYPES.includes(typeOf(clause)) || typeOf(clause) === '*/*')

const typeOf = (clause: string): string => clause.split(';', 1)[0]!.trim()

/** In the library's words; collections are also streamed. */
export const noRepresentation = (isCollection: boolean): ApiError =>
  failure(
    'NotAcceptable',
    `406: Not Acceptable\n\nAvailable representations: ${[...TYPES, ...(isCollection ? STREAM_TYPES : [])].join(', ')}`,
    { details: {} },
  )

/** There is no framing for a watch in YAML. */
export const notStreamable = (): ApiError =>
  failure('NotAcceptable', `only the following media types are accepted: ${STREAM_TYPES.join(', ')}`)

export const notAcceptable = (): ApiError => failure('NotAcceptable', `only the following media types are accepted: ${TYPES.join(', ')}`)

export const unsupportedMediaType = (supported: readonly string[]): ApiError =>
  failure(
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${supported.join(', ')}`,
  )
