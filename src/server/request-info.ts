/**
 * What a request asks for, read from its method and path alone: the terms in which it is authorised, counted and routed
 * (k8s.io/apiserver/pkg/endpoints/request).
 */
import type { ApiRequest } from '../api/exchange.ts'
import { badRequest } from '../api/status.ts'

export interface RequestInfo {
  readonly isResource: boolean
  readonly path: string
  /** get, list, watch, create, update, patch, delete, deletecollection; the method in lower case for other paths. */
  readonly verb: string
  /** "" for the core group. */
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly subresource: string
  /** "" where there is none. For namespaces themselves: their name. */
  readonly namespace: string
  readonly name: string
  /** What follows the subresource: "a/b" of .../services/x/proxy/a/b. */
  readonly rest: string
  /** Of lists, watches and collection deletes: nodes may look at their own alone. */
  readonly fieldSelector?: string
  readonly labelSelector?: string
}

const NAMESPACE_SUBRESOURCES = new Set(['status', 'finalize'])
const VERBS: Readonly<Record<string, string>> = { POST: 'create', GET: 'get', HEAD: 'get', PUT: 'update', PATCH: 'patch', DELETE: 'delete' }
const SELECTING: ReadonlySet<string> = new Set(['list', 'watch', 'deletecollection'])
const FALSE = new Set(['false', '0'])

/** How query parameters spell booleans: present means true unless it says false. */
export const isTrue = (value: string | null): boolean => value !== null && !FALSE.has(value.toLowerCase())

export function requestInfo(request: Pick<ApiRequest, 'method' | 'path' | 'query'>): RequestInfo {
  const { method, path, query } = request
  const parts = path.split('/').filter((part) => part !== '')
  const isCore = parts[0] === 'api'
  if (!(isCore && parts.length >= 3) && !(parts[0] === 'apis' && parts.length >= 4)) return nonResource(method, path)
  const group = isCore ? '' : parts[1]!
  const version = parts[isCore ? 1 : 2]!
  let rest = parts.slice(isCore ? 2 : 3)
  let verb = VERBS[method] ?? ''
  const isWatchPath = rest[0] === 'watch'
  if (isWatchPath) {
    if (rest.length < 2) throw badRequest(`unable to determine kind and namespace from url, ${path}`)
    verb = 'watch'
    rest = rest.slice(1)
  }
  let namespace = ''
  if (rest[0] === 'namespaces' && rest.length > 1) {
    namespace = rest[1]!
    if (rest.length > 2 && !NAMESPACE_SUBRESOURCES.has(rest[2]!)) rest = rest.slice(2)
  }
  const resource = rest[0]!
  let name = rest[1] ?? ''
  if (name === '' && verb === 'get') {
    verb = isTrue(query.get('watch')) ? 'watch' : 'list'
    name = nameOfSelector(query.get('fieldSelector')) ?? ''
  } else if (name === '' && verb === 'delete') verb = 'deletecollection'
  const isSelecting = SELECTING.has(verb) && !isWatchPath
  const fieldSelector = isSelecting ? query.get('fieldSelector') : null
  const labelSelector = isSelecting ? query.get('labelSelector') : null
  const subresource = rest[2] ?? ''
  return {
    isResource: true,
    path,
    verb,
    group,
    version,
    resource,
    subresource,
    namespace,
    name,
    rest: rest.slice(3).join('/'),
    ...(fieldSelector ? { fieldSelector } : {}),
    ...(labelSelector ? { labelSelector } : {}),
  }
}

const nonResource = (method: string, path: string): RequestInfo => ({
  isResource: false,
  path,
  verb: method.toLowerCase(),
  group: '',
  version: '',
  resource: '',
  subresource: '',
  namespace: '',
  name: '',
  rest: '',
})

/** A list or watch that selects one name is authorised as one of that name. */
function nameOfSelector(selector: string | null): string | undefined {
  // Unescaped commas part terms, escaped ones are of the name.
  for (const term of selector?.split(/(?<!\\),/) ?? []) {
    const match = /^metadata\.name==?([^=].*)$/.exec(term)
    const name = match?.[1]?.replaceAll(/\\([\\,=])/g, '$1')
    if (name !== undefined && !/[/%]/.test(name) && name !== '.' && name !== '..') return name
  }
  return undefined
}
