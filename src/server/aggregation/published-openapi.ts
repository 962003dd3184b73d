/**
 * The OpenAPI documents of servers behind us (kube-aggregator's openapi controllers): their index of version 3 becomes part of ours,
 * and the documents that it names are asked of them; what version 2 tells of their group is put into our one document.
 */
import type { APIService } from '../../api/generated/apiregistration/v1.ts'

type JsonObject = Readonly<Record<string, unknown>>

export interface PublishedOpenApi {
  /** By the name of the document, "apis/wardle.example.com/v1alpha1": its path with a hash. */
  readonly index: Readonly<Record<string, { readonly serverRelativeURL: string }>>
  /** Swagger 2.0, if it is there. */
  readonly swagger: { readonly paths: JsonObject; readonly definitions: JsonObject } | undefined
}

const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

function objectOf(text: string | undefined): JsonObject {
  try {
    const parsed: unknown = text && JSON.parse(text)
    return isObject(parsed) ? parsed : {}
  } catch (error) {
    // What is no JSON tells nothing.
    if (error instanceof SyntaxError) return {}
    throw error
  }
}

/** What the server says of its own group: of other groups it has no say. */
export function readIndex({ spec }: APIService, text: string): PublishedOpenApi['index'] {
  const name = `apis/${spec?.group}`
  const isOwn = (path: string): boolean => path === name || path.startsWith(`${name}/`)
  const paths = objectOf(text)['paths']
  return Object.fromEntries(
    Object.entries(isObject(paths) ? paths : {}).flatMap(([path, entry]) => {
      const url = isObject(entry) ? entry['serverRelativeURL'] : undefined
      return isOwn(path) && typeof url === 'string' && url.startsWith(`/openapi/v3/${path}`)
        ? [[path, { serverRelativeURL: url }] as const]
        : []
    }),
  )
}

export function readSwagger({ spec }: APIService, text: string | undefined): PublishedOpenApi['swagger'] {
  const { paths, definitions } = objectOf(text)
  if (!isObject(paths) || !isObject(definitions)) return undefined
  const own = Object.entries(paths).filter(([path]) => path.startsWith(`/apis/${spec?.group}/`))
  return own.length === 0 ? undefined : { paths: Object.fromEntries(own), definitions }
}

/** Our document with what the others tell; of two definitions of one name ours stays. */
export function mergeSwagger(own: JsonObject, others: readonly PublishedOpenApi[]): JsonObject {
  const parts = others.flatMap(({ swagger }) => swagger ?? [])
  if (parts.length === 0) return own
  const merge = (field: 'paths' | 'definitions'): JsonObject =>
    Object.assign({}, ...parts.map((part) => part[field]), own[field] as JsonObject) as JsonObject
  return { ...own, paths: merge('paths'), definitions: merge('definitions') }
}
