import { failure, type ApiError } from '../../api/status.ts'

/** A method that a subresource does not have. */
export const unsupportedVerb = (): ApiError => failure('MethodNotAllowed', 'the server does not allow this method on the requested resource')
