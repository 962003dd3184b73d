/** Quantities as the node needs them: whole bytes and thousandths of a CPU, rounded up as upstream rounds. */
const SUFFIXES: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
}

const FORM = /^([+-]?[0-9.]+)(?:([eE][+-]?[0-9]+)|([numkMGTPE]|[KMGTPE]i)?)$/

/** Values were validated by the API server; what does not parse counts as 0. */
function numberOf(quantity: string | number | undefined, scale: number): number {
  if (quantity === undefined) return 0
  const match = FORM.exec(String(quantity))
  if (!match) return 0
  const value = match[2] ? Number(match[1]! + match[2]) : Number(match[1]) * SUFFIXES[match[3] ?? '']!
  // Six digits behind the point settle binary fractions (0.1 * 1000) before rounding up.
  return Math.ceil(Number((value * scale).toFixed(6)))
}

export const milliOf = (quantity: string | number | undefined): number => numberOf(quantity, 1000)
export const bytesOf = (quantity: string | number | undefined): number => numberOf(quantity, 1)
