/**
 * Chance is passed in: names, uids and jitter come from here, so that a run can be repeated from its seed.
 */
export interface Random {
  /** A number in [0, 1). */
  next(): number
}

/** An integer in [0, bound). */
export const randomInt = (random: Random, bound: number): number => Math.floor(random.next() * bound)

const HEX = '0123456789abcdef'

/** A version 4 UUID (RFC 9562), from the given source of chance. */
export function uuid(random: Random): string {
  let text = ''
  for (let i = 0; i < 36; i++) {
    if (i === 8 || i === 13 || i === 18 || i === 23) text += '-'
    else if (i === 14) text += '4'
    else if (i === 19) text += HEX[8 + randomInt(random, 4)]
    else text += HEX[randomInt(random, 16)]
  }
  return text
}

/** The letters upstream uses for generated names: no vowels, so that no words arise. */
const NAME_LETTERS = 'bcdfghjklmnpqrstvwxz2456789'

/** A random name suffix as generateName makes it. */
export function nameSuffix(random: Random, length = 5): string {
  let text = ''
  for (let i = 0; i < length; i++) text += NAME_LETTERS[randomInt(random, NAME_LETTERS.length)]
  return text
}

/** A repeatable source (sfc32) from an integer seed. */
export function seededRandom(seed: number): Random {
  let a = 0x9e3779b9
  let b = 0x243f6a88
  let c = 0xb7e15162
  let d = seed >>> 0
  const next = (): number => {
    const t = (((a + b) | 0) + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + t) | 0
    return (t >>> 0) / 4294967296
  }
  for (let i = 0; i < 15; i++) next()
  return { next }
}
