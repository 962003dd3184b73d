/**
 * A map in order of its string keys, for listing a cache as the store would. Keys and values lie in chunks of bounded length, so
 * that an insertion moves at most one chunk, and a walk from any key is a walk over arrays.
 */
const CHUNK = 512

interface Chunk<V> {
  readonly keys: string[]
  readonly values: V[]
}

export class SortedMap<V> {
  readonly #chunks: Chunk<V>[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  get(key: string): V | undefined {
    const chunk = this.#chunks[this.#chunkOf(key)]
    if (!chunk) return undefined
    const at = lowerBound(chunk.keys, key)
    return chunk.keys[at] === key ? chunk.values[at] : undefined
  }

  set(key: string, value: V): void {
    const index = this.#chunkOf(key)
    const chunk = this.#chunks[index]
    if (!chunk) {
      this.#chunks.push({ keys: [key], values: [value] })
      this.#size++
      return
    }
    const at = lowerBound(chunk.keys, key)
    if (chunk.keys[at] === key) {
      chunk.values[at] = value
      return
    }
    chunk.keys.splice(at, 0, key)
    chunk.values.splice(at, 0, value)
    this.#size++
    if (chunk.keys.length > CHUNK) this.#split(index, chunk)
  }

  delete(key: string): boolean {
    const index = this.#chunkOf(key)
    const chunk = this.#chunks[index]
    if (!chunk) return false
    const at = lowerBound(chunk.keys, key)
    if (chunk.keys[at] !== key) return false
    chunk.keys.splice(at, 1)
    chunk.values.splice(at, 1)
    this.#size--
    if (chunk.keys.length === 0) this.#chunks.splice(index, 1)
    return true
  }

  /** Values whose key starts with `prefix` and is greater than `after`, in order, until `visit` returns false. */
  walk(prefix: string, after: string | undefined, visit: (value: V, key: string) => boolean | void): void {
    const isAfterPrefix = after !== undefined && after >= prefix
    const from = isAfterPrefix ? after : prefix
    for (let index = this.#chunkOf(from); index < this.#chunks.length; index++) {
      const { keys, values } = this.#chunks[index]!
      for (let at = lowerBound(keys, from); at < keys.length; at++) {
        const key = keys[at]!
        if (isAfterPrefix && key === after) continue
        if (!key.startsWith(prefix)) return
        if (visit(values[at]!, key) === false) return
      }
    }
  }

  #split(index: number, chunk: Chunk<V>): void {
    // Keys that come in order (generated names, tests) fill chunks whole when the split keeps the left one full.
    const middle = index === this.#chunks.length - 1 ? CHUNK - 8 : CHUNK / 2
    const right = { keys: chunk.keys.splice(middle), values: chunk.values.splice(middle) }
    this.#chunks.splice(index + 1, 0, right)
  }

  /** The chunk that holds the key or would: the last whose first key is not greater. */
  #chunkOf(key: string): number {
    let low = 0
    let high = this.#chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#chunks[middle]!.keys[0]! <= key) low = middle + 1
      else high = middle
    }
    return low === 0 ? 0 : low - 1
  }
}

function lowerBound(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (keys[middle]! < key) low = middle + 1
    else high = middle
  }
  return low
}
