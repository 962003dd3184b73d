/** Bytes from the wire as JSON values, by content type. */
import { parseJson } from '../api/json.ts'
import { badRequest } from '../api/status.ts'
import { parseYaml } from '../api/yaml.ts'
import { MEDIA_TYPES, unsupportedMediaType } from './negotiation.ts'

const decoder = new TextDecoder()

export interface RawBody {
  readonly value: unknown
  /** Fields that were given twice, in upstream's words. */
  readonly duplicates: readonly string[]
  readonly text: () => string
}

/** Throws BadRequest on what cannot be read and 415 on an encoding that is not known. */
export function decodeBytes(bytes: Uint8Array, contentType: string | undefined): RawBody {
  const mediaType = contentType?.split(';', 1)[0]?.trim().toLowerCase() || MEDIA_TYPES.json
  const parse = PARSERS[mediaType]
  if (!parse) throw unsupportedMediaType(Object.values(MEDIA_TYPES))
  try {
    return { ...parse(bytes), text: () => decoder.decode(bytes) }
  } catch (error) {
    if (error instanceof Error && (error.name === 'JsonSyntaxError' || error.name === 'YamlSyntaxError')) throw badRequest(error.message)
    throw error
  }
}

const PARSERS: Readonly<Record<string, (bytes: Uint8Array) => { readonly value: unknown; readonly duplicates: readonly string[] }>> = {
  [MEDIA_TYPES.json]: parseJson,
  [MEDIA_TYPES.yaml]: parseYaml,
}
