/**
 * How levels share what the server can do at once (KEP-1040, borrowing): each gets the same proportion of what it asks for, within its
 * own bounds, and all of it together is given away.
 */
export interface Claimant {
  readonly target: number
  readonly lowerBound: number
  readonly upperBound: number
}

/** A level that asks for nothing still has a proportion. */
const MIN_TARGET = 0.001
const EPSILON = 1e-7

export interface Allocation {
  readonly shares: readonly number[]
  readonly fairFraction: number
}

/** Undefined when the bounds cannot be met. */
export function allocate(total: number, claimants: readonly Claimant[]): Allocation | undefined {
  const targets = claimants.map(({ target }) => Math.max(target, MIN_TARGET))
  const sum = (read: (claimant: Claimant) => number) => claimants.reduce((all, claimant) => all + read(claimant), 0)
  const lowSum = sum(({ lowerBound }) => lowerBound)
  const highSum = sum(({ upperBound }) => upperBound)
  if (lowSum - total > EPSILON || total - highSum > EPSILON) return undefined
  const at = (fraction: number): readonly number[] =>
    claimants.map(({ lowerBound, upperBound }, i) => Math.max(lowerBound, Math.min(upperBound, fraction * targets[i]!)))
  // Shares grow with the fraction, linearly between the points at which a level meets one of its bounds.
  const turns = claimants
    .flatMap(({ lowerBound, upperBound }, i) => [lowerBound / targets[i]!, upperBound / targets[i]!])
    .toSorted((a, b) => a - b)
  let below = 0
  for (const turn of turns) {
    const reached = at(turn).reduce((all, share) => all + share, 0)
    if (reached < total) {
      below = turn
      continue
    }
    const before = at(below).reduce((all, share) => all + share, 0)
    const fairFraction = reached === before ? turn : below + ((turn - below) * (total - before)) / (reached - before)
    return { shares: at(fairFraction), fairFraction }
  }
  return { shares: at(below), fairFraction: below }
}
