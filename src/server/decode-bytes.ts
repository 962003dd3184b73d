/** Bytes from the wire as JSON values, by content type. */
import { parseJson } from '../api/json.ts'
import { decodeProtobuf } from '../api/protobuf-decode.ts'
import { badRequest } from '../api/status.ts'
import { parseYaml } from '../api/yaml.ts'
import { MEDIA_TYPES, unsupportedMediaType } from './negotiation.ts'

const decoder = new TextDecoder()

export interface RawBody {
  readonly value: unknown
  /** Fields that were given twice, in upstream's words. */
  readonly duplicates: readonly string[]
  /** Where fields are in the text, when some are given twice and it is JSON. */
  readonly positions?: ReadonlyMap<string, number>
  readonly text: () => string
}

/** Throws BadRequest on what cannot be read and 415 on an encoding that is not known. */
export function decodeBytes(bytes: Uint8Array, contentType: string | undefined): RawBody {
  const mediaType = contentType?.split(';', 1)[0]?.trim().toLowerCase() || MEDIA_TYPES.json
  const parse = PARSERS[mediaType]
  if (!parse) throw unsupportedMediaType(Object.values(MEDIA_TYPES))
  try {
    const parsed = parse(bytes)
    return { ...parsed, text: () => decoder.decode(bytes) }
  } catch (error) {
    if (error instanceof Error && SYNTAX_ERRORS.has(error.name)) throw badRequest(error.message)
    throw error
  }
}

const SYNTAX_ERRORS: ReadonlySet<string> = new Set(['JsonSyntaxError', 'YamlSyntaxError', 'ProtobufError'])

const PARSERS: Readonly<Record<string, (bytes: Uint8Array) => Omit<RawBody, 'text'>>> = {
  [MEDIA_TYPES.json]: parseJson,
  [MEDIA_TYPES.yaml]: parseYaml,
  [MEDIA_TYPES.protobuf]: (bytes) => ({ value: decodeProtobuf(bytes), duplicates: [] }),
}
