/** Serves OpenAPI: /openapi/v2, the index /openapi/v3 and the documents that it names. Documents are made when first asked for. */
import { forwardToServer } from '../aggregation/forward.ts'
import { mergeSwagger, type PublishedOpenApi } from '../aggregation/published-openapi.ts'
import { groupVersionsOf } from '../../api/resources.ts'
import type { ResourceInfo } from '../../api/schema.ts'
import { failure } from '../../api/status.ts'
import { answerDocument, contentHash, DocumentCache, documentOf, jsonDocument, type CachedDocument } from '../documents.ts'
import type { PathHandler } from '../router.ts'
import { swaggerProtobuf } from './swagger-protobuf.ts'
import { documentName, openApiV2, openApiV3, type OpenApiSource } from './documents.ts'

export interface OpenApiOptions extends Omit<OpenApiSource, 'resources'> {
  resources(): Iterable<ResourceInfo>
  /** Calls back when `resources` or the schemas of custom resources have changed. */
  onChange(listener: () => void): void
}

const encoder = new TextEncoder()

const JSON_CLAUSE = /^\s*(application\/json|application\/\*|\*\/\*)/
/** What clients ask for, under its older name too, and what they are answered. */
const PROTOBUF_CLAUSE = /^\s*application\/com\.github\.proto-openapi\.spec\.v2[@.]v1\.0\+protobuf/
const PROTOBUF_TYPE = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'

/** The first that both sides know; undefined: none. Of the documents of version 3 there is only JSON here. */
function formOf(accept: string | undefined, hasProtobuf: boolean): 'json' | 'protobuf' | undefined {
  if (!accept) return 'json'
  for (const clause of accept.split(',')) {
    if (JSON_CLAUSE.test(clause)) return 'json'
    if (hasProtobuf && PROTOBUF_CLAUSE.test(clause)) return 'protobuf'
  }
  return undefined
}

export function createOpenApiPaths(options: OpenApiOptions): PathHandler {
  const cache = new DocumentCache()
  const documents = new DocumentCache()
  options.onChange(() => {
    cache.clear()
    hashes = undefined
  })
  const source = (): OpenApiSource => ({ ...options, resources: [...options.resources()] })

  /** Changes when the document does, without the cost of making it. */
  const hashOf = (name: string, all: OpenApiSource): string => {
    const own = all.resources.filter((info) => documentName(info) === name)
    const schemas = own.map(
      (info) => info.type ?? [options.customSchema?.(info)?.schema('v3', {}), options.customSchema?.(info)?.extensions],
    )
    return contentHash(encoder.encode(JSON.stringify([options.version, own, schemas])))
  }

  /** What the index said last of each document, until something changes. */
  let hashes: ReadonlyMap<string, string> | undefined
  const allHashes = (): ReadonlyMap<string, string> => {
    if (hashes) return hashes
    const all = source()
    hashes = new Map(groupVersionsOf(all.resources).map((version) => [documentName(version), hashOf(documentName(version), all)]))
    return hashes
  }

  const index = (others: readonly PublishedOpenApi[]): object => ({
    paths: Object.assign(
      Object.fromEntries(Array.from(allHashes(), ([name, hash]) => [name, { serverRelativeURL: `/openapi/v3/${name}?hash=${hash}` }])),
      ...others.map((published) => published.index),
    ) as object,
  })

  /** Kept by its hash: a change of one group version leaves the documents of the others as they are. */
  const groupVersion = (name: string): CachedDocument | undefined => {
    const hash = allHashes().get(name)
    if (hash === undefined) return undefined
    return documents.get(`${name} ${hash}`, () => {
      const made = openApiV3(source(), name)
      return made && jsonDocument(made)
    })
  }

  /** Of the aggregated servers whose documents are in those that are kept. */
  let generation = 0

  return (core, call) => {
    const { request } = call
    const path = request.path.replace(/\/$/, '')
    if (!path.startsWith('/openapi/') || (request.method !== 'GET' && request.method !== 'HEAD')) return undefined
    if (core.aggregated.generation !== generation) {
      generation = core.aggregated.generation
      cache.clear()
    }
    const name = path.slice('/openapi/v3/'.length)
    const elsewhere = core.aggregated.openApi()
    const owner = path.startsWith('/openapi/v3/') ? elsewhere.find(({ published }) => Object.hasOwn(published.index, name)) : undefined
    if (owner) return forwardToServer(core, call, owner.service)
    const swagger = (): Readonly<Record<string, unknown>> => mergeSwagger(openApiV2(source()), elsewhere.map(({ published }) => published)) // prettier-ignore
    const form = formOf(request.headers.accept, path === '/openapi/v2')
    const document =
      path === '/openapi/v2'
        ? form === 'protobuf'
          ? cache.get('v2 protobuf', () => documentOf(swaggerProtobuf(swagger()), PROTOBUF_TYPE))
          : cache.get('v2', () => jsonDocument(swagger()))
        : path === '/openapi/v3'
          ? cache.get('v3', () => jsonDocument(index(elsewhere.map(({ published }) => published))))
          : path.startsWith('/openapi/v3/')
            ? groupVersion(name)
            : undefined
    if (!document) return undefined
    if (!form) throw failure('NotAcceptable', 'only the following media types are accepted: application/json')
    const answer = answerDocument(document, request)
    // A document asked for by its hash never changes under that name.
    return request.query.has('hash') ? { ...answer, headers: { ...answer.headers, 'cache-control': 'public, immutable' } } : answer
  }
}
