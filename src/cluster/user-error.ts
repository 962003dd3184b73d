/** A failure that its reader can mend: the message says what is wrong and what to do, and no stack is shown. */
export class UserError extends Error {
  override readonly name = 'UserError'
}

export const isUserError = (error: unknown): error is UserError => error instanceof Error && error.name === 'UserError'
