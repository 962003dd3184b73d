/** Encodings other than the plain JSON that the cache keeps: indented, YAML, protobuf. */
import { encodeProtobuf, encodeProtobufWatchFrame } from '../../api/protobuf-encode.ts'
import { hasProtobuf } from '../../api/protobuf-layout.ts'
import type { WatchEvent } from '../../api/exchange.ts'
import type { KubeObject } from '../../api/object.ts'
import { MEDIA_TYPES, type Encoding } from '../negotiation.ts'

export interface Encoded {
  readonly contentType: string
  readonly bytes: Buffer
}

/** Custom resources and Tables have no protobuf form and are told in JSON; JSON is YAML as it stands. */
export function encodeAs(encoding: Encoding, isPretty: boolean, object: KubeObject): Encoded {
  if (encoding === 'protobuf' && hasForm(object)) return { contentType: MEDIA_TYPES.protobuf, bytes: Buffer.from(encodeProtobuf(object)) }
  const text = isPretty || encoding === 'yaml' ? `${JSON.stringify(object, null, 2)}\n` : JSON.stringify(object)
  return { contentType: encoding === 'yaml' ? MEDIA_TYPES.yaml : MEDIA_TYPES.json, bytes: Buffer.from(text) }
}

const hasForm = ({ apiVersion, kind }: KubeObject): boolean =>
  apiVersion !== undefined && kind !== undefined && hasProtobuf(apiVersion, kind)

/** A watch event in protobuf's framing. */
export const protobufFrame = ({ type, object }: WatchEvent): Uint8Array => encodeProtobufWatchFrame(type, encodeProtobuf(object))
