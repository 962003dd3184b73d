/** SHA-256 of a text's UTF-8 bytes (FIPS 180-4), for hashes that are part of the API. Nothing secret goes through it. */
const PRIMES = Array.from({ length: 64 }).reduce<number[]>((found) => {
  let next = (found.at(-1) ?? 1) + 1
  while (found.some((prime) => next % prime === 0)) next++
  return [...found, next]
}, [])
/** The first 32 bits of a root's fraction. */
const fraction = (root: number): number => ((root - Math.floor(root)) * 2 ** 32) | 0
const ROUNDS = PRIMES.map((prime) => fraction(Math.cbrt(prime)))
const START = PRIMES.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)))
const BLOCK = 64

const rotate = (word: number, bits: number): number => (word >>> bits) | (word << (32 - bits))

export function sha256(text: string): Uint8Array {
  const input = new TextEncoder().encode(text)
  const padded = new DataView(new ArrayBuffer(Math.ceil((input.length + 9) / BLOCK) * BLOCK))
  new Uint8Array(padded.buffer).set(input)
  padded.setUint8(input.length, 0x80)
  padded.setBigUint64(padded.byteLength - 8, BigInt(input.length) * 8n)
  const state = Int32Array.from(START)
  const words = new Int32Array(64)
  for (let block = 0; block < padded.byteLength; block += BLOCK) {
    for (let i = 0; i < 64; i++) {
      const [w15, w2] = [words[i - 15]!, words[i - 2]!]
      words[i] =
        i < 16
          ? padded.getInt32(block + i * 4)
          : words[i - 16]! +
            (rotate(w15, 7) ^ rotate(w15, 18) ^ (w15 >>> 3)) +
            words[i - 7]! +
            (rotate(w2, 17) ^ rotate(w2, 19) ^ (w2 >>> 10))
    }
    let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number]
    for (let i = 0; i < 64; i++) {
      const one = (h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + ROUNDS[i]! + words[i]!) | 0
      const two = ((rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0
      ;[h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0]
    }
    for (const [i, value] of [a, b, c, d, e, f, g, h].entries()) state[i]! += value
  }
  const digest = new DataView(new ArrayBuffer(32))
  for (const [i, word] of state.entries()) digest.setInt32(i * 4, word)
  return new Uint8Array(digest.buffer)
}
