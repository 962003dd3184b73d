/**
 * Work that is done at once met something that somebody else must be asked about first: a conversion by a webhook, leave from one. It is
 * broken off, what it met is settled, and it is done again (`settle` in custom-resources/conversion.ts): so code that almost never
 * waits need not be written as if it always did. Not a failure: whoever catches errors around such work passes this one on.
 */
export abstract class Unsettled extends Error {
  /** Resolves when doing the work again gets further. */
  abstract settle(): Promise<void>
}
