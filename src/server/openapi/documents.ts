/**
 * The OpenAPI documents: Swagger 2.0 of everything, and an OpenAPI 3.0 document a group version. Built from the schema table and the
 * resources that are served; custom resources bring schemas of their own.
 */
import { apiVersionOf, listKindOf, type GroupVersionKind, type ResourceInfo } from '../../api/schema.ts'
import { groupVersionsOf } from '../../api/resources.ts'
import { typeNameOfKind } from '../../api/schema-table.ts'
import type { PublishedSchema } from '../custom-resources/published-schema.ts'
import { pathsOf, type Operation } from './operations.ts'
import {
  CONVENTIONS,
  LIST_METADATA_TEXT,
  METADATA_TEXT,
  SchemaWriter,
  type Describe,
  type Dialect,
  type OpenApiObject,
} from './schema-writer.ts'

export interface OpenApiSource {
  readonly resources: readonly ResourceInfo[]
  /** Texts for types and fields of built-in kinds. */
  readonly describe?: Describe | undefined
  /** What is published of a custom resource; undefined for built-in ones. */
  customSchema?(info: ResourceInfo): PublishedSchema | undefined
  readonly title: string
  readonly version: string
}

const MEDIA_TYPES = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf']
const CUSTOM_MEDIA_TYPES = ['application/json', 'application/yaml']
const PATCH_TYPES = [
  'application/apply-patch+yaml',
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
]
/** Nothing says how lists of a custom resource merge; kubectl reads here which patch to send. */
const CUSTOM_PATCH_TYPES = PATCH_TYPES.filter((type) => !type.includes('strategic'))
const patchTypes = (info: ResourceInfo): readonly string[] => (typeNameOfKind(info) === undefined ? CUSTOM_PATCH_TYPES : PATCH_TYPES)

/** Parameters that are no strings. */
const PARAMETER_TYPES: Readonly<Record<string, string>> = {
  allowWatchBookmarks: 'boolean',
  follow: 'boolean',
  force: 'boolean',
  gracePeriodSeconds: 'integer',
  ignoreStoreReadErrorWithClusterBreakingPotential: 'boolean',
  insecureSkipTLSVerifyBackend: 'boolean',
  limit: 'integer',
  limitBytes: 'integer',
  orphanDependents: 'boolean',
  ports: 'integer',
  previous: 'boolean',
  sendInitialEvents: 'boolean',
  sinceSeconds: 'integer',
  stderr: 'boolean',
  stdin: 'boolean',
  stdout: 'boolean',
  tailLines: 'integer',
  timeoutSeconds: 'integer',
  timestamps: 'boolean',
  tty: 'boolean',
  watch: 'boolean',
}

/** "example.com/v1 Widget" -> "com.example.v1.Widget" */
export const customTypeName = ({ group, version, kind }: GroupVersionKind): string =>
  [...group.split('.').toReversed(), version, kind].join('.')

const groupVersionKinds = ({ group, kind, version }: GroupVersionKind): OpenApiObject => ({
  'x-kubernetes-group-version-kind': [{ group, kind, version }],
})

class DocumentBuilder {
  readonly #dialect: Dialect
  readonly #source: OpenApiSource
  readonly #writer: SchemaWriter

  constructor(dialect: Dialect, source: OpenApiSource) {
    this.#dialect = dialect
    this.#source = source
    this.#writer = new SchemaWriter(dialect, { describe: source.describe, groupVersions: groupVersionsOf(source.resources) })
  }

  get definitions(): OpenApiObject {
    return this.#writer.definitions
  }

  paths(resources: readonly ResourceInfo[]): OpenApiObject {
    const entries = resources.flatMap((info) =>
      pathsOf(info).map(({ path, pathParameters, query, operations }) => {
        const parameters = [
          ...pathParameters.map((name) => this.#parameter(name, 'path')),
          ...query.map((name) => this.#parameter(name, 'query')),
        ]
        const methods = operations.map((operation) => [operation.method, this.#operation(operation, info)] as const)
        return [path, { ...Object.fromEntries(methods), parameters }] as const
      }),
    )
    return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)))
  }

  #parameter(name: string, place: 'path' | 'query'): OpenApiObject {
    const type = { type: PARAMETER_TYPES[name] ?? 'string', uniqueItems: true }
    return { in: place, name, ...(place === 'path' ? { required: true } : {}), ...(this.#dialect === 'v2' ? type : { schema: type }) }
  }

  /** A reference to the schema of a kind, built-in or custom. */
  #kind(kind: GroupVersionKind, info: ResourceInfo): OpenApiObject {
    const typeName = typeNameOfKind(kind)
    if (typeName) return this.#writer.type(typeName)
    const published = this.#source.customSchema?.(info)
    const schema = published?.schema(this.#dialect, this.#metadata('meta/v1.ObjectMeta'))
    // Of a kind without a published schema nothing is said, so that clients take any field.
    const root = schema ? this.#customRoot(schema, kind, 'meta/v1.ObjectMeta') : { type: 'object', ...groupVersionKinds(kind) }
    return this.#writer.add(customTypeName(kind), { ...root, ...published?.extensions })
  }

  #list(info: ResourceInfo): OpenApiObject {
    const listKind = { group: info.group, version: info.version, kind: listKindOf(info) }
    const typeName = typeNameOfKind(listKind)
    if (typeName) return this.#writer.type(typeName)
    const description = `List of ${info.resource}. More info: ${CONVENTIONS}`
    const items = { description, type: 'array', items: this.#kind(info, info) }
    const schema = { description: `${listKind.kind} is a list of ${info.kind}`, type: 'object', required: ['items'], properties: { items } }
    const root = this.#customRoot(schema, listKind, 'meta/v1.ListMeta')
    return this.#writer.add(customTypeName(listKind), { ...root, ...this.#source.customSchema?.(info)?.extensions })
  }

  /** A custom schema with what every object has. */
  #customRoot(schema: OpenApiObject, kind: GroupVersionKind, metadataType: string): OpenApiObject {
    const describe = (field: string): OpenApiObject => {
      const description = this.#source.describe?.('core/v1.Pod', field)
      return description ? { description } : {}
    }
    return {
      ...schema,
      type: 'object',
      properties: {
        ...(schema.properties as OpenApiObject | undefined),
        apiVersion: { ...describe('apiVersion'), type: 'string' },
        kind: { ...describe('kind'), type: 'string' },
        metadata: this.#metadata(metadataType),
      },
      ...groupVersionKinds(kind),
    }
  }

  #metadata(type: string): OpenApiObject {
    const metadata = this.#writer.type(type)
    const description = type === 'meta/v1.ListMeta' ? LIST_METADATA_TEXT : METADATA_TEXT
    return { description, ...(this.#dialect === 'v2' ? metadata : { allOf: [metadata] }) }
  }

  #answer({ answer, kind }: Operation, info: ResourceInfo): OpenApiObject {
    switch (answer) {
      case 'object':
        return this.#kind(kind, info)
      case 'list':
        return this.#list(info)
      case 'status':
        return this.#writer.type('meta/v1.Status')
      case 'any':
        return { type: 'string' }
    }
  }

  #operation(operation: Operation, info: ResourceInfo): OpenApiObject {
    const { id, action, kind, query, codes, answer } = operation
    const isCustom = typeNameOfKind(info) === undefined
    const produces = answer === 'any' ? ['*/*'] : isCustom ? CUSTOM_MEDIA_TYPES : MEDIA_TYPES
    const schema = this.#answer(operation, info)
    const response = this.#dialect === 'v2' ? { description: 'OK', schema } : { description: 'OK', content: content(produces, schema) }
    const parameters = query.toSorted().map((name) => this.#parameter(name, 'query'))
    const body = this.#body(operation, info)
    return {
      ...(this.#dialect === 'v2'
        ? { consumes: operation.body === 'patch' ? patchTypes(info) : ['*/*'], produces, schemes: ['https'] }
        : {}),
      operationId: id,
      tags: [`${info.group === '' ? 'core' : info.group.replace(/\.k8s\.io$/, '')}_${info.version}`],
      ...(this.#dialect === 'v2' && body ? { parameters: [body, ...parameters] } : parameters.length > 0 ? { parameters } : {}),
      ...(this.#dialect === 'v3' && body ? { requestBody: body } : {}),
      responses: { ...Object.fromEntries(codes.map((code) => [String(code), response])), '401': { description: 'Unauthorized' } },
      'x-kubernetes-action': action,
      'x-kubernetes-group-version-kind': kind,
    }
  }

  #body({ body, kind }: Operation, info: ResourceInfo): OpenApiObject | undefined {
    if (!body) return undefined
    const schema =
      body === 'object' ? this.#kind(kind, info) : this.#writer.type(body === 'patch' ? 'meta/v1.Patch' : 'meta/v1.DeleteOptions')
    const required = body === 'deleteOptions' ? {} : { required: true }
    if (this.#dialect === 'v2') return { in: 'body', name: 'body', ...required, schema }
    return { content: content(body === 'patch' ? patchTypes(info) : ['*/*'], schema), ...required }
  }
}

const content = (mediaTypes: readonly string[], schema: OpenApiObject): OpenApiObject =>
  Object.fromEntries(mediaTypes.map((mediaType) => [mediaType, { schema }]))

const SECURITY = { BearerToken: { description: 'Bearer Token authentication', in: 'header', name: 'authorization', type: 'apiKey' } }

/** Swagger 2.0 of all that is served. */
export function openApiV2(source: OpenApiSource): OpenApiObject {
  const builder = new DocumentBuilder('v2', source)
  const paths = builder.paths(source.resources)
  return {
    swagger: '2.0',
    info: { title: source.title, version: source.version },
    paths,
    definitions: builder.definitions,
    securityDefinitions: SECURITY,
    security: [{ BearerToken: [] }],
  }
}

/** The name of a group version's OpenAPI 3.0 document: "api/v1", "apis/apps/v1". */
export const documentName = ({ group, version }: { readonly group: string; readonly version: string }): string =>
  group === '' ? `api/${version}` : `apis/${apiVersionOf({ group, version })}`

/** OpenAPI 3.0 of one group version; undefined when nothing of it is served. */
export function openApiV3(source: OpenApiSource, name: string): OpenApiObject | undefined {
  const own = source.resources.filter((info) => documentName(info) === name)
  if (own.length === 0) return undefined
  const builder = new DocumentBuilder('v3', source)
  const paths = builder.paths(own)
  return {
    openapi: '3.0.0',
    info: { title: source.title, version: source.version },
    paths,
    components: { schemas: builder.definitions, securitySchemes: SECURITY },
  }
}
