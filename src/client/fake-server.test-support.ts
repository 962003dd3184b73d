/**
 * A small API server in memory for tests of clients and controllers: objects, resourceVersions, generations, finalizers, merge
 * patches and watches, without defaults, validation or access rules.
 */
import type { ApiRequest, ApiResponse, StoredObject, Transport, WatchEvent, WatchEventType } from '../api/exchange.ts'
import { keyOf } from '../api/object.ts'
import type { KubeObject } from '../api/object.ts'
import { resources as builtIn } from '../api/resources.ts'
import type { ResourceInfo } from '../api/schema.ts'
import { alreadyExists, ApiError, failure, modifiedConflict, notFound } from '../api/status.ts'
import type { Clock } from '../base/clock.ts'
import { timestamp } from '../base/clock.ts'

export interface FakeServer {
  readonly transport: Transport
  /** The requests so far: "POST /api/v1/namespaces/default/pods". */
  readonly requests: string[]
  /** Rejects or answers in the server's place when it returns something. */
  intercept: ((request: ApiRequest) => ApiError | undefined) | undefined
  /** Watches and lists from before this revision answer 410. */
  compact(): void
  /** Ends every open watch as a server that restarts does. */
  dropWatches(): void
  objects(kind: string): readonly KubeObject[]
  readonly revision: number
}

interface Watcher {
  readonly resource: ResourceInfo
  readonly namespace: string | undefined
  readonly queue: WatchEvent[]
  wake: () => void
  isOver: boolean
}

const stored = (object: KubeObject): StoredObject => ({ object, bytes: new TextEncoder().encode(JSON.stringify(object)) })
const eventOf = (type: WatchEventType, object: KubeObject): WatchEvent => ({ type, object, line: new Uint8Array() })

function mergePatch(target: unknown, patch: unknown): unknown {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch
  const result: Record<string, unknown> = { ...(target as object) }
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name]
    else result[name] = mergePatch(result[name], value)
  }
  return result
}

export function createFakeServer(clock: Clock, extraResources: readonly ResourceInfo[] = []): FakeServer {
  const served = [...builtIn.filter((resource) => /^v\d+$/.test(resource.version)), ...extraResources]
  const tables = new Map<ResourceInfo, Map<string, KubeObject>>()
  const history: { revision: number; resource: ResourceInfo; event: WatchEvent }[] = []
  const watchers = new Set<Watcher>()
  const requests: string[] = []
  let revision = 100
  let compacted = 0
  let serial = 0

  const tableOf = (resource: ResourceInfo) => tables.get(resource) ?? tables.set(resource, new Map()).get(resource)!

  function emit(resource: ResourceInfo, type: WatchEventType, object: KubeObject): void {
    const event = eventOf(type, object)
    history.push({ revision, resource, event })
    for (const watcher of watchers) {
      if (watcher.resource !== resource || (watcher.namespace && watcher.namespace !== object.metadata?.namespace)) continue
      watcher.queue.push(event)
      watcher.wake()
    }
  }

  function commit(resource: ResourceInfo, type: WatchEventType, object: KubeObject): KubeObject {
    const next = { ...object, metadata: { ...object.metadata, resourceVersion: String(++revision) } }
    if (type === 'DELETED') tableOf(resource).delete(keyOf(next))
    else tableOf(resource).set(keyOf(next), next)
    emit(resource, type, next)
    return next
  }

  function write(resource: ResourceInfo, old: KubeObject, wanted: KubeObject, subresource: string | undefined): KubeObject {
    const version = wanted.metadata?.resourceVersion
    if (version && version !== old.metadata?.resourceVersion) throw modifiedConflict(resource.group, resource.resource, old.metadata!.name!)
    const { uid, creationTimestamp, deletionTimestamp, generation = 1 } = old.metadata!
    const isStatus = subresource === 'status'
    const body: KubeObject = isStatus
      ? { ...old, status: wanted['status'] }
      : { ...wanted, ...(old['status'] ? { status: old['status'] } : {}) }
    const isSpecChanged = JSON.stringify(body['spec']) !== JSON.stringify(old['spec'])
    const metadata = {
      ...(isStatus ? { ...old.metadata, annotations: wanted.metadata?.annotations } : wanted.metadata),
      uid,
      creationTimestamp,
      deletionTimestamp,
      generation: generation + (isSpecChanged ? 1 : 0),
    }
    const next = { ...body, metadata: { ...metadata, resourceVersion: old.metadata!.resourceVersion } } as KubeObject
    if (JSON.stringify(next) === JSON.stringify(old)) return old
    if (deletionTimestamp && !next.metadata?.finalizers?.length && !(next['spec']?.finalizers?.length > 0))
      return commit(resource, 'DELETED', next)
    return commit(resource, 'MODIFIED', next)
  }

  function create(resource: ResourceInfo, namespace: string | undefined, object: KubeObject): KubeObject {
    const name = object.metadata?.name ?? `${object.metadata?.generateName}${(serial++).toString(36).padStart(5, '0')}`
    const metadata = {
      ...object.metadata,
      name,
      ...(namespace ? { namespace } : {}),
      uid: `uid-${++serial}`,
      creationTimestamp: timestamp(clock),
      generation: 1,
    }
    const next: KubeObject = { ...object, metadata }
    if (tableOf(resource).has(keyOf(next))) throw alreadyExists(resource.group, resource.resource, name)
    return commit(resource, 'ADDED', next)
  }

  function remove(resource: ResourceInfo, old: KubeObject, options: KubeObject | undefined): KubeObject {
    const uid = options?.['preconditions']?.uid
    if (uid && uid !== old.metadata?.uid)
      throw failure('Conflict', `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata?.uid}`)
    const added =
      options?.['propagationPolicy'] === 'Foreground'
        ? ['foregroundDeletion']
        : options?.['propagationPolicy'] === 'Orphan'
          ? ['orphan']
          : []
    const finalizers = [...new Set([...(old.metadata?.finalizers ?? []), ...added])]
    if (finalizers.length === 0 && !(old['spec']?.finalizers?.length > 0)) return commit(resource, 'DELETED', old)
    if (old.metadata?.deletionTimestamp && added.length === 0) return old
    return commit(resource, 'MODIFIED', {
      ...old,
      metadata: { ...old.metadata, finalizers, deletionTimestamp: old.metadata?.deletionTimestamp ?? timestamp(clock) },
    })
  }

  async function* watch(
    resource: ResourceInfo,
    namespace: string | undefined,
    after: number,
    signal: AbortSignal,
  ): AsyncGenerator<readonly WatchEvent[]> {
    const watcher: Watcher = { resource, namespace, queue: [], wake: () => {}, isOver: false }
    for (const entry of history) {
      if (entry.revision > after && entry.resource === resource && (!namespace || entry.event.object.metadata?.namespace === namespace))
        watcher.queue.push(entry.event)
    }
    watchers.add(watcher)
    const onAbort = () => watcher.wake()
    signal.addEventListener('abort', onAbort)
    while (!signal.aborted && !watcher.isOver) {
      if (watcher.queue.length > 0) yield watcher.queue.splice(0)
      else await new Promise<void>((resolve) => (watcher.wake = resolve))
    }
    signal.removeEventListener('abort', onAbort)
    watchers.delete(watcher)
  }

  const document = (object: unknown): ApiResponse => ({ type: 'object', status: 200, stored: stored(object as KubeObject) })

  function discovery(path: string): ApiResponse | undefined {
    const groups = new Map<string, string[]>()
    for (const { group, version } of served)
      if (group && !groups.get(group)?.includes(version)) groups.set(group, [...(groups.get(group) ?? []), version])
    if (path === '/apis') {
      return document({
        kind: 'APIGroupList',
        groups: [...groups].map(([name, versions]) => ({
          name,
          versions: versions.map((version) => ({ groupVersion: `${name}/${version}` })),
        })),
      })
    }
    const found = /^\/(?:api|apis\/([^/]+))\/([^/]+)$/.exec(path)
    if (!found) return undefined
    const inside = served.filter((resource) => resource.group === (found[1] ?? '') && resource.version === found[2])
    if (inside.length === 0) throw failure('NotFound', 'the server could not find the requested resource')
    return document({
      kind: 'APIResourceList',
      resources: inside.map((r) => ({ name: r.resource, kind: r.kind, namespaced: r.namespaced, verbs: r.verbs })),
    })
  }

  function handle(request: ApiRequest): ApiResponse {
    const document = discovery(request.path)
    if (document) return document
    const parts = request.path.split('/').filter(Boolean).map(decodeURIComponent)
    const group = parts[0] === 'api' ? '' : parts[1]!
    const [version, ...rest] = parts.slice(group ? 2 : 1)
    const isNamespaced = rest[0] === 'namespaces' && rest.length > 2 && rest[2] !== 'finalize' && rest[2] !== 'status'
    const [plural, name, subresource] = isNamespaced ? rest.slice(2) : rest
    const namespace = isNamespaced ? rest[1] : undefined
    const resource = served.find((entry) => entry.group === group && entry.version === version && entry.resource === plural)
    if (!resource) throw failure('NotFound', 'the server could not find the requested resource')
    const body = request.body && 'object' in request.body ? (request.body.object as KubeObject) : undefined
    if (!name) {
      const items = [...tableOf(resource).values()].filter((object) => !namespace || object.metadata?.namespace === namespace)
      if (request.method === 'POST') return { type: 'object', status: 201, stored: stored(create(resource, namespace, body!)) }
      if (request.method === 'DELETE') {
        for (const object of items) remove(resource, object, body)
        return { type: 'object', status: 200, stored: stored({ kind: 'Status', status: 'Success' }) }
      }
      if (request.query.get('watch') === 'true') {
        const after = Number(request.query.get('resourceVersion'))
        if (after < compacted) throw failure('Expired', `too old resource version: ${after} (${compacted})`)
        return { type: 'watch', status: 200, events: watch(resource, namespace, after, request.signal) }
      }
      const apiVersion = group ? `${group}/${version}` : version!
      return {
        type: 'list',
        status: 200,
        apiVersion,
        kind: `${resource.kind}List`,
        metadata: { resourceVersion: String(revision) },
        items: items.map(stored),
      }
    }
    const old = tableOf(resource).get(namespace ? `${namespace}/${name}` : name)
    if (!old) throw notFound(group, resource.resource, name)
    switch (request.method) {
      case 'GET':
        return { type: 'object', status: 200, stored: stored(old) }
      case 'PUT':
        return {
          type: 'object',
          status: 200,
          stored: stored(finalize(write(resource, old, body!, subresource), subresource, resource, body!)),
        }
      case 'PATCH':
        return { type: 'object', status: 200, stored: stored(write(resource, old, mergePatch(old, body) as KubeObject, subresource)) }
      case 'DELETE':
        return { type: 'object', status: 200, stored: stored(remove(resource, old, body)) }
      default:
        throw failure('MethodNotAllowed', `${request.method} is not supported`)
    }
  }

  /** namespaces/finalize: the namespace goes when its last finalizer is taken off. */
  function finalize(object: KubeObject, subresource: string | undefined, resource: ResourceInfo, body: KubeObject): KubeObject {
    if (subresource !== 'finalize' || (body['spec']?.finalizers?.length ?? 0) > 0 || !tableOf(resource).has(keyOf(object))) return object
    return object.metadata?.deletionTimestamp ? commit(resource, 'DELETED', object) : object
  }

  const server: FakeServer = {
    requests,
    intercept: undefined,
    compact: () => (compacted = revision),
    dropWatches() {
      for (const watcher of watchers) {
        watcher.isOver = true
        watcher.wake()
      }
    },
    objects: (kind) => [
      ...(tables
        .get(served.find((resource) => `${resource.group ? `${resource.group}/` : ''}${resource.version}/${resource.kind}` === kind)!)
        ?.values() ?? []),
    ],
    get revision() {
      return revision
    },
    async transport(request) {
      requests.push(`${request.method} ${request.path}`)
      try {
        const refusal = server.intercept?.(request)
        if (refusal) throw refusal
        return handle(request)
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        return { type: 'object', status: error.code, stored: stored(error.status) }
      }
    },
  }
  return server
}
