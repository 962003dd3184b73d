/**
 * The client over any transport. It only turns calls into exchange requests: over the direct transport the objects that come
 * back are the server's own (never copied), over HTTPS they were parsed once by the transport.
 */
import { findResource } from '../api/resources.ts'
import type { ApiRequest, ApiResponse, Transport } from '../api/exchange.ts'
import type { Status } from '../api/generated/meta/v1.ts'
import type { KubeObject, ObjectKey } from '../api/object.ts'
import { apiVersionOf, parseKindName } from '../api/schema.ts'
import type { ResourceInfo } from '../api/schema.ts'
import { ApiError, failure, isApiError } from '../api/status.ts'
import { assert } from '../base/assert.ts'
import { discoverAll, discoverGroupVersion } from './discovery.ts'
import { UnknownKind } from './unknown-kind.ts'
import type {
  Client,
  DeleteOptions,
  KindName,
  List,
  ListOptions,
  ObjectOf,
  PatchOptions,
  PatchType,
  TypedWatchEvent,
  WatchOptions,
  WriteOptions,
} from './client.ts'

export interface CreateClientOptions {
  /** What a person sees in managedFields and audit as the writer, e.g. "proa-controllers". */
  readonly userAgent?: string
}

const PATCH_CONTENT_TYPES: Readonly<Record<PatchType, string>> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
}

/** Kinds whose resource is remembered; beyond that the oldest is looked up again. */
const MAX_KNOWN_KINDS = 10_000

/** Calls without a signal of their own share one that never aborts. */
const NEVER = new AbortController().signal

type Query = Record<string, string | number | boolean | undefined>

export function createClient(transport: Transport, options: CreateClientOptions = {}): Client {
  const known = new Map<string, ResourceInfo>()
  const baseHeaders: Record<string, string> = {
    accept: 'application/json',
    ...(options.userAgent ? { 'user-agent': options.userAgent } : {}),
  }

  async function exchange(
    method: ApiRequest['method'],
    path: string,
    query: Query,
    body?: unknown,
    contentType?: string,
    signal: AbortSignal = NEVER,
  ) {
    const headers = body === undefined ? baseHeaders : { ...baseHeaders, 'content-type': contentType ?? 'application/json' }
    const request: ApiRequest = {
      method,
      path,
      query: queryOf(query),
      headers,
      signal,
      ...(body === undefined ? {} : { body: { object: body as KubeObject } }),
    }
    const response = await transport(request)
    if (response.status >= 400) throw errorOf(response)
    return response
  }

  async function document(path: string, query: Readonly<Record<string, string>> = {}): Promise<unknown> {
    return bodyOf(await exchange('GET', path, query))
  }

  function remember(kind: string, resource: ResourceInfo): ResourceInfo {
    if (known.size >= MAX_KNOWN_KINDS) known.delete(known.keys().next().value!)
    known.set(kind, resource)
    return resource
  }

  async function discoverKind(kind: string): Promise<ResourceInfo> {
    const apiVersion = apiVersionOf(parseKindName(kind))
    const resources = await discoverGroupVersion(document, apiVersion).catch((error: unknown) => {
      if (isApiError(error, 'NotFound')) return []
      throw error
    })
    for (const resource of resources) remember(`${apiVersion}/${resource.kind}`, resource)
    const found = known.get(kind)
    if (!found) throw new UnknownKind(kind)
    return found
  }

  async function resourceOf(kind: KindName): Promise<ResourceInfo> {
    const found = known.get(kind)
    if (found) return found
    const builtIn = findResource(parseKindName(kind))
    return builtIn ? remember(kind, builtIn) : discoverKind(kind)
  }

  const forgetIfGone = (kind: string, error: unknown): never => {
    // A custom resource may have been deleted or made anew under another plural: look it up again next time.
    if (isApiError(error, 'NotFound')) known.delete(kind)
    throw error
  }

  async function collection(kind: KindName, namespace: string | undefined): Promise<string> {
    return collectionPath(known.get(kind) ?? (await resourceOf(kind)), namespace)
  }

  async function item(kind: KindName, key: ObjectKey, subresource?: string): Promise<string> {
    assert(key.name, `a name is needed to address a ${kind}`)
    const path = `${await collection(kind, key.namespace)}/${segment(key.name)}`
    return subresource ? `${path}/${subresource}` : path
  }

  const objectCall = async <T>(kind: string, call: Promise<ApiResponse>): Promise<T> =>
    bodyOf(await call.catch((error: unknown) => forgetIfGone(kind, error))) as T

  return {
    resourceOf,
    discover: () => discoverAll(document),
    getPath: document,

    async get<K extends KindName>(kind: K, key: ObjectKey, getOptions: { readonly subresource?: string } = {}) {
      return objectCall<ObjectOf<K>>(kind, exchange('GET', await item(kind, key, getOptions.subresource), {}))
    },

    async list<K extends KindName>(kind: K, listOptions: ListOptions = {}) {
      const path = await collection(kind, listOptions.namespace)
      const response = await exchange('GET', path, listQuery(listOptions)).catch((error: unknown) => forgetIfGone(kind, error))
      if (response.type !== 'list') return bodyOf(response) as List<ObjectOf<K>>
      const { apiVersion, kind: listKind, metadata, items } = response
      return { apiVersion, kind: listKind, metadata, items: items.map((stored) => stored.object as ObjectOf<K>) }
    },

    async *watch<K extends KindName>(kind: K, watchOptions: WatchOptions) {
      const { allowWatchBookmarks, sendInitialEvents, timeoutSeconds, signal } = watchOptions
      const query = { ...listQuery(watchOptions), watch: true, allowWatchBookmarks, sendInitialEvents, timeoutSeconds }
      const path = await collection(kind, watchOptions.namespace)
      const response = await exchange('GET', path, query, undefined, undefined, signal).catch((error: unknown) => forgetIfGone(kind, error))
      if (response.type !== 'watch') throw failure('InternalError', `watch of ${kind}: the server answered with ${response.type}`)
      yield* response.events as AsyncIterable<readonly TypedWatchEvent<ObjectOf<K>>[]>
    },

    async create<K extends KindName>(kind: K, object: ObjectOf<K>, write: WriteOptions = {}) {
      const { namespace, name } = (object as KubeObject).metadata ?? {}
      const path = write.subresource
        ? await item(kind, { namespace, name: name ?? '' }, write.subresource)
        : await collection(kind, namespace)
      return objectCall<ObjectOf<K>>(kind, exchange('POST', path, writeQuery(write), withType(kind, object)))
    },

    async update<K extends KindName>(kind: K, object: ObjectOf<K>, write: WriteOptions = {}) {
      const { namespace, name } = (object as KubeObject).metadata ?? {}
      const path = await item(kind, { namespace, name: name ?? '' }, write.subresource)
      return objectCall<ObjectOf<K>>(kind, exchange('PUT', path, writeQuery(write), withType(kind, object)))
    },

    async patch<K extends KindName>(kind: K, key: ObjectKey, type: PatchType, patch: unknown, write: PatchOptions = {}) {
      const path = await item(kind, key, write.subresource)
      const query = { ...writeQuery(write), force: write.force }
      return objectCall<ObjectOf<K>>(kind, exchange('PATCH', path, query, patch, PATCH_CONTENT_TYPES[type]))
    },

    async delete<K extends KindName>(kind: K, key: ObjectKey, deleteOptions: DeleteOptions = {}) {
      return objectCall<ObjectOf<K> | Status>(kind, exchange('DELETE', await item(kind, key), {}, deleteBody(deleteOptions)))
    },

    async deleteCollection(kind: KindName, collectionOptions: ListOptions & DeleteOptions = {}) {
      const path = await collection(kind, collectionOptions.namespace)
      await exchange('DELETE', path, listQuery(collectionOptions), deleteBody(collectionOptions)).catch((error: unknown) =>
        forgetIfGone(kind, error),
      )
    },

    async createSubresource(kind: KindName, key: ObjectKey, subresource: string, body: KubeObject) {
      return objectCall<KubeObject>(kind, exchange('POST', await item(kind, key, subresource), {}, body))
    },
  }
}

/** Percent-encodes a path segment; names of roles ("system:node") keep their colon, as every client writes it. */
const segment = (text: string): string => (/^[A-Za-z0-9._:~-]+$/.test(text) ? text : encodeURIComponent(text))

function collectionPath(resource: ResourceInfo, namespace: string | undefined): string {
  const base = resource.group ? `/apis/${resource.group}/${resource.version}` : `/api/${resource.version}`
  return resource.namespaced && namespace ? `${base}/namespaces/${segment(namespace)}/${resource.resource}` : `${base}/${resource.resource}`
}

function queryOf(query: Query): URLSearchParams {
  const params = new URLSearchParams()
  for (const name in query) if (query[name] !== undefined) params.set(name, String(query[name]))
  return params
}

const listQuery = (options: ListOptions): Query => ({
  labelSelector: options.labelSelector,
  fieldSelector: options.fieldSelector,
  limit: options.limit,
  continue: options.continue,
  resourceVersion: options.resourceVersion,
  resourceVersionMatch: options.resourceVersionMatch,
})

const writeQuery = (options: WriteOptions): Query => ({
  dryRun: options.dryRun ? 'All' : undefined,
  fieldManager: options.fieldManager,
  fieldValidation: options.fieldValidation,
})

function deleteBody(options: DeleteOptions): KubeObject | undefined {
  const { gracePeriodSeconds, propagationPolicy, preconditions, dryRun } = options
  if (gracePeriodSeconds === undefined && !propagationPolicy && !preconditions && !dryRun) return undefined
  return {
    kind: 'DeleteOptions',
    apiVersion: 'v1',
    gracePeriodSeconds,
    propagationPolicy,
    preconditions,
    dryRun: dryRun ? ['All'] : undefined,
  }
}

function withType(kind: string, object: KubeObject): KubeObject {
  if (object.kind && object.apiVersion) return object
  const gvk = parseKindName(kind)
  return { ...object, apiVersion: apiVersionOf(gvk), kind: gvk.kind }
}

/** The JSON of an answer, whichever way it was handed over. */
function bodyOf(response: ApiResponse): unknown {
  switch (response.type) {
    case 'object':
      return response.stored.object
    case 'list':
      return {
        apiVersion: response.apiVersion,
        kind: response.kind,
        metadata: response.metadata,
        items: response.items.map((stored) => stored.object),
      }
    case 'raw':
      assert(response.body instanceof Uint8Array, 'a document was answered as a stream')
      return JSON.parse(new TextDecoder().decode(response.body))
    default:
      throw failure('InternalError', `the server answered with ${response.type} where an object was expected`)
  }
}

function errorOf(response: ApiResponse): ApiError {
  if (response.type === 'object' && response.stored.object.kind === 'Status') return new ApiError(response.stored.object)
  const text =
    response.type === 'raw' && response.body instanceof Uint8Array ? new TextDecoder().decode(response.body.subarray(0, 1024)) : ''
  return statusFromCode(response.status, text)
}

/** For answers without a Status (a proxy, a plain 404): the reason that goes with the code. */
function statusFromCode(code: number, text: string): ApiError {
  const reason = REASONS_BY_CODE[code] ?? 'InternalError'
  return failure(reason, text.trim() || `the server responded with the status code ${code}`, { code })
}

const REASONS_BY_CODE = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  406: 'NotAcceptable',
  409: 'Conflict',
  410: 'Gone',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  503: 'ServiceUnavailable',
  504: 'Timeout',
} as Readonly<Record<number, ApiError['reason'] | undefined>>
