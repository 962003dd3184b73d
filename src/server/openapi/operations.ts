/** The operations that a resource has, free of any dialect: what is at which path, what it takes and gives. */
import type { GroupVersionKind, ResourceInfo, SubresourceInfo, Verb } from '../../api/schema.ts'

export type Method = 'get' | 'put' | 'post' | 'delete' | 'patch' | 'head' | 'options'

export interface Operation {
  readonly method: Method
  readonly id: string
  /** x-kubernetes-action */
  readonly action: 'get' | 'list' | 'post' | 'put' | 'patch' | 'delete' | 'deletecollection' | 'connect'
  readonly kind: GroupVersionKind
  readonly body?: 'object' | 'patch' | 'deleteOptions'
  /** What is answered: the object, a list of it, a Status, or text of any kind. */
  readonly answer: 'object' | 'list' | 'status' | 'any'
  readonly codes: readonly number[]
  /** Names of query parameters. */
  readonly query: readonly string[]
}

export interface PathOperations {
  readonly path: string
  /** Parameters within the path. */
  readonly pathParameters: readonly string[]
  readonly query: readonly string[]
  readonly operations: readonly Operation[]
}

const WRITE = ['dryRun', 'fieldManager', 'fieldValidation']
const DELETE = ['dryRun', 'gracePeriodSeconds', 'ignoreStoreReadErrorWithClusterBreakingPotential', 'orphanDependents', 'propagationPolicy']
const LIST = [
  'continue',
  'fieldSelector',
  'labelSelector',
  'limit',
  'resourceVersion',
  'resourceVersionMatch',
  'sendInitialEvents',
  'timeoutSeconds',
]

const capitalize = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

/** Names of operations say CoreV1, AppsV1, RbacAuthorizationV1. */
function groupNameOf({ group, version }: ResourceInfo): string {
  const label = group === '' ? 'core' : group.replace(/\.k8s\.io$/, '')
  return [...label.split(/[.-]/), version].map(capitalize).join('')
}

const rootOf = ({ group, version }: ResourceInfo): string => (group === '' ? `/api/${version}` : `/apis/${group}/${version}`)

interface Builder {
  readonly info: ResourceInfo
  readonly name: string
  readonly scope: string
}

function operation(builder: Builder, verb: Verb, suffix = '', kind: GroupVersionKind = builder.info): Operation | undefined {
  const { info, name, scope } = builder
  const id = (word: string): string => `${word}${name}${scope}${info.kind}${suffix}`
  const base = { kind: { group: kind.group, version: kind.version, kind: kind.kind } }
  switch (verb) {
    case 'get':
      return { ...base, method: 'get', id: id('read'), action: 'get', answer: 'object', codes: [200], query: [] }
    case 'list':
      return {
        ...base,
        method: 'get',
        id: id('list'),
        action: 'list',
        answer: 'list',
        codes: [200],
        query: ['allowWatchBookmarks', ...LIST, 'watch'],
      }
    case 'create':
      return {
        ...base,
        method: 'post',
        id: id('create'),
        action: 'post',
        body: 'object',
        answer: 'object',
        codes: [200, 201, 202],
        query: WRITE,
      }
    case 'update':
      return { ...base, method: 'put', id: id('replace'), action: 'put', body: 'object', answer: 'object', codes: [200, 201], query: WRITE }
    case 'patch':
      return {
        ...base,
        method: 'patch',
        id: id('patch'),
        action: 'patch',
        body: 'patch',
        answer: 'object',
        codes: [200, 201],
        query: [...WRITE, 'force'],
      }
    case 'delete':
      return {
        ...base,
        method: 'delete',
        id: id('delete'),
        action: 'delete',
        body: 'deleteOptions',
        answer: 'status',
        codes: [200, 202],
        query: DELETE,
      }
    case 'deletecollection':
      return {
        ...base,
        method: 'delete',
        id: `delete${name}Collection${scope}${info.kind}`,
        action: 'deletecollection',
        body: 'deleteOptions',
        answer: 'status',
        codes: [200],
        query: [...DELETE, ...LIST].toSorted(),
      }
    default:
      return undefined
  }
}

const operations = (
  builder: Builder,
  verbs: readonly Verb[],
  wanted: readonly Verb[],
  suffix?: string,
  kind?: GroupVersionKind,
): Operation[] => wanted.filter((verb) => verbs.includes(verb)).flatMap((verb) => operation(builder, verb, suffix, kind) ?? [])

const CONNECT_METHODS: Readonly<Record<string, readonly Method[]>> = {
  create: ['post'],
  get: ['get', 'head', 'options'],
  update: ['put'],
  delete: ['delete'],
  patch: ['patch'],
}

/** exec, proxy and the like: whatever goes through them is not the API's. */
function connections(builder: Builder, { name, kind, verbs }: SubresourceInfo, suffix: string): Operation[] {
  const isProxy = name === 'proxy'
  const methods = verbs.flatMap((verb) => CONNECT_METHODS[verb] ?? []).filter((method) => isProxy || method === 'get' || method === 'post')
  return methods.map((method): Operation => ({
    method,
    id: `connect${builder.name}${capitalize(method)}${builder.scope}${builder.info.kind}${suffix}`,
    action: 'connect',
    kind,
    answer: 'any',
    codes: [200],
    query: [],
  }))
}

const CONNECT_QUERY: Readonly<Record<string, readonly string[]>> = {
  attach: ['container', 'stderr', 'stdin', 'stdout', 'tty'],
  exec: ['command', 'container', 'stderr', 'stdin', 'stdout', 'tty'],
  portforward: ['ports'],
  proxy: ['path'],
  log: [
    'container',
    'follow',
    'insecureSkipTLSVerifyBackend',
    'limitBytes',
    'previous',
    'sinceSeconds',
    'stream',
    'tailLines',
    'timestamps',
  ],
}

function subresourcePaths(builder: Builder, itemPath: string, parameters: readonly string[], sub: SubresourceInfo): PathOperations[] {
  const suffix = capitalize(sub.name)
  const query = [...(CONNECT_QUERY[sub.name] ?? []), 'pretty']
  const path = `${itemPath}/${sub.name}`
  if (!sub.kind.kind.endsWith('Options')) {
    const all = operations(builder, sub.verbs, ['delete', 'get', 'patch', 'create', 'update'], suffix, sub.kind)
    const read = sub.name === 'log' ? all.map((one): Operation => ({ ...one, answer: 'any' })) : all
    return [{ path, pathParameters: parameters, query, operations: read }]
  }
  const plain = { path, pathParameters: parameters, query, operations: connections(builder, sub, suffix) }
  if (sub.name !== 'proxy') return [plain]
  const operationsWithPath = connections(builder, sub, `${suffix}WithPath`)
  return [plain, { path: `${path}/{path}`, pathParameters: [...parameters, 'path'], query, operations: operationsWithPath }]
}

/** Every path of a resource. The old watch paths, which nothing uses, are left out. */
export function pathsOf(info: ResourceInfo): PathOperations[] {
  const root = rootOf(info)
  const scope = info.namespaced ? 'Namespaced' : ''
  const builder: Builder = { info, name: groupNameOf(info), scope }
  const collection = info.namespaced ? `${root}/namespaces/{namespace}/${info.resource}` : `${root}/${info.resource}`
  const parameters = info.namespaced ? ['namespace'] : []
  const item = `${collection}/{name}`
  const paths: PathOperations[] = [
    {
      path: collection,
      pathParameters: parameters,
      query: ['pretty'],
      operations: operations(builder, info.verbs, ['deletecollection', 'list', 'create']),
    },
    {
      path: item,
      pathParameters: ['name', ...parameters],
      query: ['pretty'],
      operations: operations(builder, info.verbs, ['delete', 'get', 'patch', 'update']),
    },
    ...info.subresources.flatMap((sub) => subresourcePaths(builder, item, ['name', ...parameters], sub)),
  ]
  if (info.namespaced) {
    const everywhere = operations({ ...builder, scope: '' }, info.verbs, ['list']).map((one) => ({
      ...one,
      id: `${one.id}ForAllNamespaces`,
    }))
    paths.push({ path: `${root}/${info.resource}`, pathParameters: [], query: ['pretty'], operations: everywhere })
  }
  return paths.filter(({ operations: all }) => all.length > 0)
}
