/** A broken invariant: a bug in proa, never a user's mistake. */
export class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure'
}

/** Stops at once when something that must always hold does not; on in production too. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message)
}
