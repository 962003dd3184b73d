/**
 * From a request that is allowed to the function that answers it: by path for what is no resource, by verb for resources, by name
 * for subresources.
 */
import type { ApiResponse } from '../api/exchange.ts'
import { badRequest, failure, noRoute, notFound, verbNotSupported, type ApiError } from '../api/status.ts'
import type { Verb } from '../api/schema.ts'
import { forwardToServer } from './aggregation/forward.ts'
import type { Call, Core, ResourceCall } from './core.ts'
import { create } from './create.ts'
import { settle } from './custom-resources/conversion.ts'
import { remove, removeCollection } from './delete.ts'
import { parseListOptions } from './list-options.ts'
import { isRepresentable, negotiate, noRepresentation, notAcceptable, notStreamable } from './negotiation.ts'
import { patch } from './patch.ts'
import { get, list, watch } from './read.ts'
import { isTrue } from './request-info.ts'
import { answerReview, isReview } from './reviews/reviews.ts'
import { bind } from './subresources/binding.ts'
import type { ServedResource } from './resource-registry.ts'
import { pageNotFound } from './server-paths.ts'
import type { View } from './revision.ts'
import { findSubresource } from './subresources/index.ts'
import { shapeAnswer, tableEvents, type TableShape } from './table.ts'
import { keyIn, update } from './update.ts'

/** Answers what is no resource (health, version, discovery, OpenAPI); undefined when the path is not its own. */
export type PathHandler = (core: Core, call: Call) => ApiResponse | undefined | Promise<ApiResponse | undefined>

export async function route(core: Core, call: Call, paths: readonly PathHandler[]): Promise<ApiResponse> {
  const { info } = call
  const elsewhere = core.aggregated.find(info.path)
  if (elsewhere) return forwardToServer(core, call, elsewhere)
  const served = info.isResource ? core.registry.find(info.group, info.version, info.resource) : undefined
  if (served) return routeResource(core, { ...call, served })
  for (const handler of paths) {
    const answer = await handler(core, call)
    if (answer) return answer
  }
  if (isInGroup(core, info.path)) throw pathNotFound()
  return pageNotFound()
}

/** Within a built-in group what is missing is a resource; anywhere else it is a page. */
function isInGroup({ registry }: Core, path: string): boolean {
  const [, root, group] = path.split('/')
  if (root === 'api') return group !== undefined
  if (root !== 'apis' || group === undefined) return false
  for (const { info, custom } of registry.served()) if (info.group === group && !custom) return true
  return false
}

export const pathNotFound = (): ApiError => failure('NotFound', 'the server could not find the requested resource', { details: {} })

/** Kinds that every request is warned of (APILifecycleDeprecated of what is served by default). */
const DEPRECATED: Readonly<Record<string, string | undefined>> = {
  'v1/ComponentStatus': 'v1 ComponentStatus is deprecated in v1.19+',
  'v1/Endpoints': 'v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice',
}

async function routeResource(core: Core, call: ResourceCall): Promise<ApiResponse> {
  const { served, info, request } = call
  checkAccepted(call)
  // A namespaced resource is written in a namespace; lists and watches may look across all.
  if (served.info.namespaced && info.namespace === '' && !COLLECTIVE.has(info.verb)) throw info.name === '' ? noRoute() : pathNotFound()
  if (!served.info.namespaced && info.namespace !== '' && served.info.resource !== 'namespaces') throw pathNotFound()
  const warning = served.custom ? served.custom.warning : DEPRECATED[`${served.apiVersion}/${served.info.kind}`]
  if (warning && (info.subresource !== '' || served.info.verbs.includes(info.verb as Verb))) call.warnings.push(warning)
  if (info.subresource !== '') {
    const handler = findSubresource(served, info.subresource)
    if (!handler) throw served.custom ? notFound(served.info.group, served.info.resource, info.name) : pathNotFound()
    const answer = await handler(core, call)
    // What a program behind a proxy answers is between it and the client.
    return answer.type === 'proxied' || answer.type === 'tunnel' ? answer : shaped(core, call, answer)
  }
  const verb = info.verb as Verb
  if (!served.info.verbs.includes(verb)) throw WATCH_PATH.test(info.path) ? pathNotFound() : methodNotAllowed(served, verb)
  switch (verb) {
    case 'get': {
      const key = keyIn(served.info.namespaced, info.namespace, info.name)
      const found = await get(core, served, key, info.name, request.query.get('resourceVersion') ?? '')
      return shaped(core, call, {
        type: 'object',
        status: 200,
        stored: served.custom ? await settle(() => found.in(served.view)) : found.in(served.view),
      })
    }
    case 'list':
      return readCollection(core, call, isTrue(request.query.get('watch')))
    case 'watch':
      return readCollection(core, call, true)
    case 'create':
      if (info.name !== '') throw noRoute()
      if (isReview(served.info.group, served.info.kind)) {
        // Reviews are stored nowhere and have no columns.
        if (tableShape(core, call)) throw notAcceptable()
        return answerReview(core, call)
      }
      if (served.info.group === '' && served.info.kind === 'Binding') return bind(core, call)
      return shaped(core, call, await create(core, call))
    case 'update':
    case 'patch':
      if (info.name === '') throw served.custom ? badRequest('name must be provided') : noRoute()
      return shaped(core, call, await (verb === 'update' ? update : patch)(core, call))
    case 'delete':
      return shaped(core, call, await remove(core, call))
    case 'deletecollection':
      return shaped(core, call, await removeCollection(core, call))
  }
}

/** The old paths of watches, which only what can be watched has. */
const WATCH_PATH = /^\/(?:api|apis\/[^/]+)\/[^/]+\/watch\//

/** What may be asked of all namespaces at once. */
const COLLECTIVE: ReadonlySet<string> = new Set(['list', 'watch'])

/** Upstream has routes for the verbs of a built-in kind alone; watches share that of lists, and custom resources have one for all. */
const methodNotAllowed = ({ custom, info: { group, resource } }: ServedResource, verb: string): ApiError =>
  verb !== 'watch' && !custom ? noRoute() : verbNotSupported(group, resource, verb)

/** What passes bodies of its own on. */
const STREAMS: ReadonlySet<string> = new Set(['log', 'exec', 'attach', 'portforward', 'proxy'])

/** Upstream's HTTP library looks at method and Accept before any handler of a built-in kind does. */
function checkAccepted({ served, info, request }: ResourceCall): void {
  if (STREAMS.has(info.subresource)) return
  if (request.method === 'HEAD' && !served.custom) throw noRoute()
  const { accept } = request.headers
  if (!served.custom && !isRepresentable(accept)) throw noRepresentation(info.verb === 'list' || info.verb === 'watch')
  const accepted = negotiate(accept)
  // There are no protobuf messages of kinds that nobody compiled.
  if (!accepted || (served.custom && accepted.encoding === 'protobuf' && !accepted.as)) throw notAcceptable()
}

function tableShape(core: Core, { served, request }: ResourceCall): TableShape | undefined {
  const accepted = negotiate(request.headers.accept)
  if (!accepted) throw notAcceptable()
  return accepted.as ? { served, accepted, query: request.query, nowMs: core.runtime.clock.now() } : undefined
}

function shaped(core: Core, call: ResourceCall, answer: ApiResponse): ApiResponse {
  const shape = tableShape(core, call)
  return shape ? shapeAnswer(shape, answer) : answer
}

async function readCollection(core: Core, call: ResourceCall, isWatch: boolean): Promise<ApiResponse> {
  const { served, info, request } = call
  const options = parseListOptions(request.query, isWatch)
  const shape = tableShape(core, call)
  if (!isWatch) {
    const answer = await list(core, served, info.namespace, info.name, options, served.view)
    return shape ? shapeAnswer(shape, answer) : answer
  }
  if (negotiate(request.headers.accept)?.encoding === 'yaml') throw notStreamable()
  const isPartial = shape?.accepted.as === 'PartialObjectMetadata'
  if (shape && !isPartial && shape.accepted.as !== 'Table') throw failure('NotAcceptable', 'a watch is of PartialObjectMetadata or Table')
  const view: View = isPartial ? served.partialView : served.view
  return watch(core, served, {
    namespace: info.namespace,
    name: info.name,
    options,
    view,
    shape: shape && !isPartial ? tableEvents(shape) : undefined,
    bookmarkKind: isPartial
      ? { apiVersion: 'meta.k8s.io/v1', kind: 'PartialObjectMetadata' }
      : { apiVersion: served.apiVersion, kind: served.info.kind },
    signal: request.signal,
  })
}
