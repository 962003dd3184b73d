/**
 * The tokens by which long lists go on: upstream's own form (apiserver/pkg/storage/continue.go), so that they are as opaque and as
 * checked as its are. A revision of -1 asks for the rest as it is now.
 */
import { JsonSyntaxError, parseJson } from '../api/json.ts'
import type { Json } from '../api/object.ts'
import { ApiError, badRequest, failure } from '../api/status.ts'

const VERSION = 'meta.k8s.io/v1'

/** 410 with a token by which the rest can be read as it is now (upstream's words: clients show them). */
export function expiredContinue(after: string, prefix: string): ApiError {
  const error = failure(
    'Expired',
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, ' +
      'or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an ' +
      'inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.',
  )
  return new ApiError({ ...error.status, metadata: { continue: encodeContinue(-1, after, prefix) } })
}

export function encodeContinue(revision: number, lastKey: string, prefix: string): string {
  const token = JSON.stringify({ v: VERSION, rv: revision, start: `${lastKey.slice(prefix.length)}\u0000` })
  return btoa(token).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

const notValid = (why: string): ApiError => badRequest(`invalid continue token: continue key is not valid: ${why}`)

export function decodeContinue(text: string, prefix: string): { readonly revision: number; readonly after: string } {
  const { v = '', rv = 0, start = '' } = fieldsOf(parsed(text))
  if (v !== VERSION) throw notValid(`server does not recognize this encoded version ${v}`)
  if (rv === 0) throw notValid(`incorrect encoded start resourceVersion (version ${VERSION})`)
  if (start === '') throw notValid(`encoded start key empty (version ${VERSION})`)
  if (start.split('/').some((part) => part === '..' || part === '.' || part === '')) throw notValid(start)
  return { revision: rv, after: prefix + start.replace(/\0$/, '') }
}

interface Fields {
  readonly v?: string
  readonly rv?: number
  readonly start?: string
}

/** Go names the fields and their types when a value does not fit. */
const TYPES = { v: ['string', 'string'], rv: ['number', 'int64'], start: ['string', 'string'] } as const

function fieldsOf(value: Json): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw notValid(`json: cannot unmarshal ${kindOf(value)} into Go value of type storage.continueToken`)
  const fields = value as Readonly<Record<string, Json>>
  for (const [name, [type, goType]] of Object.entries(TYPES)) {
    const given = fields[name]
    if (given === undefined || given === null || typeof given === type) continue
    throw notValid(`json: cannot unmarshal ${kindOf(given)} into Go struct field continueToken.${name} of type ${goType}`)
  }
  return fields
}

const kindOf = (value: Json): string => (Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value)

function parsed(text: string): Json {
  const illegal = /[^A-Za-z0-9_-]/.exec(text)
  if (illegal) throw notValid(`illegal base64 data at input byte ${illegal.index}`)
  if (text.length % 4 === 1) throw notValid(`illegal base64 data at input byte ${text.length}`)
  try {
    return parseJson(Uint8Array.fromBase64(text, { alphabet: 'base64url' })).value
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw notValid(error.message)
    throw error
  }
}
