/**
 * API failures as upstream's clients know them: a `Status` object with a reason and a code
 * (k8s.io/apimachinery/pkg/apis/meta/v1 StatusReason).
 */
import type { Status, StatusCause, StatusDetails } from './generated/meta/v1.ts'

/** The HTTP code that goes with each reason. */
export const STATUS_CODES = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Gone: 410,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  StoreReadError: 500,
  InternalError: 500,
  ServerTimeout: 500,
  ServiceUnavailable: 503,
  Timeout: 504,
} as const

export type StatusReason = keyof typeof STATUS_CODES

/** A failure of an API call, on either side of the wire. Recognised by `isApiError`, not by instanceof. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: Status

  constructor(status: Status) {
    super(status.message ?? status.reason ?? 'unknown error')
    this.status = status
  }

  get reason(): StatusReason {
    return (this.status.reason ?? 'InternalError') as StatusReason
  }

  get code(): number {
    return this.status.code ?? 500
  }
}

export const isApiError = (error: unknown, ...reasons: StatusReason[]): error is ApiError =>
  error instanceof Error && error.name === 'ApiError' && (reasons.length === 0 || reasons.includes((error as ApiError).reason))

export interface FailureOptions {
  readonly details?: StatusDetails
  readonly code?: number
}

export function failure(reason: StatusReason, message: string, options: FailureOptions = {}): ApiError {
  return new ApiError({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    reason,
    ...(options.details ? { details: options.details } : {}),
    code: options.code ?? STATUS_CODES[reason],
  })
}

/** "deployments.apps" or "pods": how messages name a resource. */
export const qualifiedResource = (group: string, resource: string): string => (group ? `${resource}.${group}` : resource)

const detailsOf = (group: string, resource: string, name: string): StatusDetails => ({
  ...(name ? { name } : {}),
  ...(group ? { group } : {}),
  ...(resource ? { kind: resource } : {}),
})

export const notFound = (group: string, resource: string, name: string): ApiError =>
  failure('NotFound', `${qualifiedResource(group, resource)} "${name}" not found`, { details: detailsOf(group, resource, name) })

export const alreadyExists = (group: string, resource: string, name: string): ApiError =>
  failure('AlreadyExists', `${qualifiedResource(group, resource)} "${name}" already exists`, { details: detailsOf(group, resource, name) })

export const conflict = (group: string, resource: string, name: string, why: string): ApiError =>
  failure('Conflict', `Operation cannot be fulfilled on ${qualifiedResource(group, resource)} "${name}": ${why}`, {
    details: detailsOf(group, resource, name),
  })

/** What upstream's server makes of an error that is no Status: a 500 without a reason. */
export const plainFailure = (message: string): ApiError =>
  new ApiError({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, code: 500 })

/** A verb that the kind has a route for, but no way to answer. */
export const verbNotSupported = (group: string, resource: string, verb: string): ApiError =>
  failure('MethodNotAllowed', `${verb} is not supported on resources of kind "${qualifiedResource(group, resource)}"`, {
    details: detailsOf(group, resource, ''),
  })

/** No route takes the method at the path: the text is of upstream's HTTP library. */
export const noRoute = (): ApiError =>
  failure('MethodNotAllowed', 'the server does not allow this method on the requested resource', { details: {} })

export const badRequest = (message: string): ApiError => failure('BadRequest', message)

/** A well-formed request that cannot be carried out (a patch that does not fit). Upstream keeps the reason to itself, and so its text. */
export const unprocessable = (): ApiError =>
  failure('Invalid', 'the server rejected our request due to an error in our request', { details: {} })

/** The conflict of optimistic concurrency, in upstream's words. */
export const modifiedConflict = (group: string, resource: string, name: string): ApiError =>
  conflict(group, resource, name, 'the object has been modified; please apply your changes to the latest version and try again')

/** One thing wrong with one field; `type` is a metav1 CauseType. */
export interface FieldError {
  readonly type:
    | 'FieldValueRequired'
    | 'FieldValueInvalid'
    | 'FieldValueForbidden'
    | 'FieldValueNotSupported'
    | 'FieldValueDuplicate'
    | 'FieldValueNotFound'
    | 'FieldValueTooLong'
    | 'FieldValueTooMany'
    | 'FieldValueTypeInvalid'
    | 'InternalError'
  /** "spec.containers[0].image" */
  readonly field: string
  /** What stands after "field: ", e.g. `Required value` or `Invalid value: "A": must be lower case`. */
  readonly detail: string
}

/** 422 with every field error, worded as upstream's field.ErrorList (errors joined, each once, more than one in brackets). */
export function invalid(group: string, kind: string, name: string, errors: readonly FieldError[]): ApiError {
  const texts = [...new Set(errors.map((error) => `${error.field}: ${error.detail}`))]
  const joined = texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`
  const causes: StatusCause[] = errors.map((error) => ({ reason: error.type, message: error.detail, field: error.field }))
  return failure('Invalid', `${qualifiedResource(group, kind)} "${name}" is invalid: ${joined}`, {
    details: { ...detailsOf(group, kind, name), causes },
  })
}
