/**
 * Documents that are made when first asked for and stay the same until something changes: discovery and OpenAPI. Each has an ETag,
 * and a client that holds it is answered 304.
 */
import type { ApiRequest, ApiResponse } from '../api/exchange.ts'

export interface CachedDocument {
  readonly bytes: Uint8Array
  readonly contentType: string
  /** In upper-case hexadecimal, without quotes. */
  readonly hash: string
}

const encoder = new TextEncoder()

/** 64 bits of FNV-1a in two halves: names a content, protects nothing. */
export function contentHash(bytes: Uint8Array): string {
  let [low, high] = [0x811c9dc5, 0x01000193]
  for (const byte of bytes) {
    low = Math.imul(low ^ byte, 0x01000193)
    high = Math.imul(high ^ byte ^ (low & 0xff), 0x01000193)
  }
  return [high, low]
    .map((half) => (half >>> 0).toString(16).padStart(8, '0'))
    .join('')
    .toUpperCase()
}

export function jsonDocument(value: object, contentType = 'application/json'): CachedDocument {
  return documentOf(encoder.encode(`${JSON.stringify(value)}\n`), contentType)
}

export const documentOf = (bytes: Uint8Array, contentType: string): CachedDocument => ({ bytes, contentType, hash: contentHash(bytes) })

/** Answers with the document, or with 304 when the client holds it already. */
export function answerDocument(document: CachedDocument, request: ApiRequest): ApiResponse {
  const etag = `"${document.hash}"`
  const headers = { etag, vary: 'Accept', 'Cache-Control': 'public' }
  const held = request.headers['if-none-match']?.split(',').map((part) => part.trim().replace(/^W\//, '')) ?? []
  if (held.includes(etag) || held.includes('*'))
    return { type: 'raw', status: 304, contentType: document.contentType, body: new Uint8Array(), headers }
  return { type: 'raw', status: 200, contentType: document.contentType, body: document.bytes, headers }
}

/** At most this many documents are kept; what is served changes rarely, so that they are made anew when it does. */
const MAX_DOCUMENTS = 1024

/** Documents by name. `clear` when what they tell of has changed. */
export class DocumentCache {
  readonly #documents = new Map<string, CachedDocument>()

  get(name: string, make: () => CachedDocument | undefined): CachedDocument | undefined {
    const known = this.#documents.get(name)
    if (known) return known
    const made = make()
    if (!made) return undefined
    if (this.#documents.size >= MAX_DOCUMENTS) this.#documents.clear()
    this.#documents.set(name, made)
    return made
  }

  clear(): void {
    this.#documents.clear()
  }
}
