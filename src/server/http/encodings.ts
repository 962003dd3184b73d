/** Encodings other than the plain JSON that the cache keeps. */
import type { KubeObject } from '../../api/object.ts'
import { MEDIA_TYPES, type Encoding } from '../negotiation.ts'

/** Protobuf is read but not written: clients that ask for it also take JSON. */
export function encodings(encoding: Encoding, isPretty: boolean, object: KubeObject): { readonly contentType: string; readonly bytes: Buffer } {
  void encoding
  return { contentType: MEDIA_TYPES.json, bytes: Buffer.from(isPretty ? `${JSON.stringify(object, null, 2)}\n` : JSON.stringify(object)) }
}
