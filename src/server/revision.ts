/**
 * One revision of one stored object, and the event that it makes: the object and its bytes, each made at most once and shared by
 * every reader and watcher. The stored bytes have no resourceVersion (the store knows it), so it is spliced in: as a copy of
 * bytes where the value begins as this server writes it, by serialising anew where another program wrote it.
 */
import type { StoredObject, WatchEvent, WatchEventType } from '../api/exchange.ts'
import type { KubeObject } from '../api/object.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** How a version of a kind is shown; `convert` is absent for the version that is stored. */
export interface View {
  readonly apiVersion: string
  readonly convert?: (object: KubeObject) => KubeObject
  /** Events of this view are made later: they tell the state before the change, too. */
  readonly isRaw?: true
}

/** JSON with apiVersion, kind and metadata first, as every value in the store begins. */
export function serialise(object: KubeObject): Uint8Array {
  const { apiVersion, kind, metadata, ...rest } = object
  return encoder.encode(JSON.stringify({ apiVersion, kind, metadata, ...rest }))
}

export const parseBytes = (bytes: Uint8Array): KubeObject => JSON.parse(decoder.decode(bytes)) as KubeObject

/** The same object with another metadata.resourceVersion; everything else is shared. */
export const withResourceVersion = (object: KubeObject, resourceVersion: string): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, resourceVersion },
})

/** A value that is not in the store (a Status, a review, a converted object), as answers want it. */
export class Computed implements StoredObject {
  readonly object: KubeObject
  #bytes: Uint8Array | undefined
  constructor(object: KubeObject) {
    this.object = object
  }
  get bytes(): Uint8Array {
    return (this.#bytes ??= encoder.encode(JSON.stringify(this.object)))
  }
}

export class Revision implements StoredObject {
  /** "namespace/name" or "name". */
  readonly key: string
  readonly revision: number
  protobufItem: Uint8Array | undefined
  readonly #value: Uint8Array
  #object: KubeObject | undefined
  #views: Map<View, StoredObject> | undefined

  /** `value` is what is stored; `decoded`, where the writer was this process, the same as an object. */
  constructor(key: string, revision: number, value: Uint8Array, decoded?: KubeObject) {
    this.key = key
    this.revision = revision
    this.#value = value
    if (decoded) this.#object = withResourceVersion(decoded, String(revision))
  }

  get object(): KubeObject {
    return (this.#object ??= withResourceVersion(parseBytes(this.#value), String(this.revision)))
  }

  /** Not kept: who wants them copies the stored ones with the version spliced in, which costs little more than reading them. */
  get bytes(): Uint8Array {
    const bytes = new Uint8Array(this.sizeBytes)
    this.copyTo(bytes, 0)
    return bytes
  }

  get sizeBytes(): number {
    return this.#isForeign() ? this.#foreign().length : this.#value.length + VERSION_BYTES + digitsOf(this.revision)
  }

  copyTo(target: Uint8Array, start: number): void {
    const value = this.#value
    const cut = afterMetadataBrace(value)
    if (cut < 0) return target.set(this.#foreign(), start)
    const text = `"resourceVersion":"${this.revision}",`
    target.set(value, start + text.length)
    // The few bytes before the splice move to the front: cheaper than two views of the value.
    target.copyWithin(start, start + text.length, start + text.length + cut)
    for (let i = 0; i < text.length; i++) target[start + cut + i] = text.charCodeAt(i)
  }

  /** Whether another program wrote the value, in another order of fields. */
  #isForeign(): boolean {
    return afterMetadataBrace(this.#value) < 0
  }

  #foreign(): Uint8Array {
    return encoder.encode(JSON.stringify(this.object))
  }

  in(view: View): StoredObject {
    if (!view.convert) return this
    const known = this.#views?.get(view)
    if (known) return known
    const converted = view.convert(this.object)
    // A custom resource that is stored as it is shown.
    const made = converted === this.object ? this : new Computed(converted)
    ;(this.#views ??= new Map()).set(view, made)
    return made
  }

  /** The same revision shown as another object: what it is by a newer schema. */
  as(object: KubeObject): Revision {
    return object === this.#object ? this : new Revision(this.key, this.revision, this.#value, object)
  }

  /** The same value told at a later revision: what a DELETED event carries. */
  at(revision: number): Revision {
    return new Revision(this.key, revision, this.#value, this.#object)
  }
}

/** Of `"resourceVersion":"",`. */
const VERSION_BYTES = 21

function digitsOf(value: number): number {
  let digits = 1
  for (let limit = 10; limit <= value; limit *= 10) digits++
  return digits
}

const METADATA = encoder.encode('"metadata":{"')

/** The index after `"metadata":{` when it is the third field of a value as this server writes it, else -1. */
function afterMetadataBrace(value: Uint8Array): number {
  // {"apiVersion":"...","kind":"...","metadata":{" : the third comma-separated field begins after two values without escapes.
  let quotes = 0
  let i = 1
  for (; i < 400 && i < value.length && quotes < 8; i++) {
    if (value[i] === 0x5c) return -1
    if (value[i] === 0x22) quotes++
  }
  i++
  if (value[0] !== 0x7b || value[1] !== 0x22 || value[2] !== 0x61 || value[3] !== 0x70 || value[i - 1] !== 0x2c) return -1
  for (let j = 0; j < METADATA.length; j++) if (value[i + j] !== METADATA[j]) return -1
  return i + METADATA.length - 1
}

const LINE_END = encoder.encode('}\n')
const LINE_START: Readonly<Record<WatchEventType, Uint8Array>> = {
  ADDED: encoder.encode('{"type":"ADDED","object":'),
  MODIFIED: encoder.encode('{"type":"MODIFIED","object":'),
  DELETED: encoder.encode('{"type":"DELETED","object":'),
  BOOKMARK: encoder.encode('{"type":"BOOKMARK","object":'),
  ERROR: encoder.encode('{"type":"ERROR","object":'),
}

/** An event for a watcher; its line is made on first use. */
export class Happening implements WatchEvent {
  readonly type: WatchEventType
  readonly stored: StoredObject
  /** Of raw events alone (View.isRaw). */
  readonly previous: Revision | undefined
  #line: Uint8Array | undefined

  constructor(type: WatchEventType, stored: StoredObject, previous?: Revision) {
    this.type = type
    this.stored = stored
    this.previous = previous
  }

  get object(): KubeObject {
    return this.stored.object
  }

  get sizeBytes(): number | undefined {
    return this.stored.sizeBytes
  }

  get line(): Uint8Array {
    return (this.#line ??= this.#make())
  }

  #make(): Uint8Array {
    const start = LINE_START[this.type]
    const { stored } = this
    const bytes = stored.copyTo ? undefined : stored.bytes
    const size = bytes?.length ?? stored.sizeBytes!
    const line = new Uint8Array(start.length + size + LINE_END.length)
    line.set(start)
    if (bytes) line.set(bytes, start.length)
    else stored.copyTo!(line, start.length)
    line.set(LINE_END, start.length + size)
    return line
  }
}
