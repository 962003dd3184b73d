/**
 * Shuffle sharding: each flow has a hand of a few queues of the many, dealt by its hash, so that a flow that floods its own queues
 * leaves nearly every other flow at least one free (k8s.io/apiserver/pkg/util/shufflesharding).
 */

/** 60 bits, of which a deck and a hand use what they need. Names flows; protects nothing. */
export function flowHash(schema: string, distinguisher: string): bigint {
  let [low, high] = [0x811c9dc5, 0x01000193]
  const text = `${schema}\0${distinguisher}`
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    low = Math.imul(low ^ code, 0x01000193)
    high = Math.imul(high ^ code ^ (low >>> 13), 0x01000193)
  }
  return (BigInt((high >>> 0) & 0x0fffffff) << 32n) | BigInt(low >>> 0)
}

/** `handSize` different cards of a deck, numbered from 0. */
export function deal(hash: bigint, deckSize: number, handSize: number): readonly number[] {
  const remainders: number[] = []
  let rest = hash
  for (let i = 0; i < handSize; i++) {
    const left = BigInt(deckSize - i)
    remainders.push(Number(rest % left))
    rest /= left
  }
  return remainders.map((remainder, i) => {
    let card = remainder
    for (let j = i; j > 0; j--) if (card >= remainders[j - 1]!) card++
    return card
  })
}
