/** Quantities as thousandths, remembered: the same few texts ("100m", "128Mi") come again with every pod. */

const FACTORS: Readonly<Record<string, number>> = {
  n: 1e-6, u: 1e-3, m: 1, '': 1e3, k: 1e6, M: 1e9, G: 1e12, T: 1e15, P: 1e18, E: 1e21,
  Ki: 1e3 * 2 ** 10, Mi: 1e3 * 2 ** 20, Gi: 1e3 * 2 ** 30, Ti: 1e3 * 2 ** 40, Pi: 1e3 * 2 ** 50, Ei: 1e3 * 2 ** 60,
}

const QUANTITY = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)$/

/** How many different texts are remembered; then it starts afresh. */
const MAXIMUM_REMEMBERED = 4096
const remembered = new Map<string, number>()

/** Rounded up. A text that is no quantity counts as 0: the server does not let it in. */
export function milliValueOf(quantity: string | number): number {
  const text = String(quantity)
  const known = remembered.get(text)
  if (known !== undefined) return known
  const match = QUANTITY.exec(text)
  const value = match ? Math.ceil(Number(`${match[1]}${match[2] ?? ''}`) * FACTORS[match[3] ?? '']! - 1e-9) : 0
  if (remembered.size >= MAXIMUM_REMEMBERED) remembered.clear()
  remembered.set(text, value)
  return value
}
