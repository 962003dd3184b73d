/**
 * What the parts of the server share: the collaborators, and the state of one call on its way through the pipeline.
 */
import type { ApiRequest, UserInfo } from '../api/exchange.ts'
import type { NodeConnector } from '../api/node-service.ts'
import type { AdmissionPlugin, InternalWriter } from './admission.ts'
import type { Trail } from './audit/audit.ts'
import type { Authorizer } from './authorization/authorizer.ts'
import type { Authenticator } from './authentication/authenticator.ts'
import type { TokenSigner } from './authentication/tokens.ts'
import type { Registrations } from './aggregation/registrations.ts'
import type { Metrics } from './metrics.ts'
import type { ProxyRoads } from './outgoing.ts'
import type { Readable } from './read.ts'
import type { RequestInfo } from './request-info.ts'
import type { Reader } from './resource.ts'
import type { ResourceRegistry, ServedResource } from './resource-registry.ts'

export interface Core extends Readable {
  readonly registry: ResourceRegistry
  readonly admission: readonly AdmissionPlugin[]
  readonly authenticator: Authenticator
  readonly authorizer: Authorizer
  readonly reader: Reader
  readonly writer: InternalWriter
  readonly nodes: NodeConnector
  /** To the programs behind pods, services and nodes. Absent: the proxy subresources answer that they cannot be reached. */
  readonly roads: ProxyRoads | undefined
  /** Absent: service account tokens cannot be requested. */
  readonly tokens: TokenSigner | undefined
  readonly metrics: Metrics
  /** Group versions that other servers serve. */
  readonly aggregated: Registrations
  /** Calls the server itself past authentication, as this user (evictions and the like delete by it). */
}

/** One request under way. */
export interface Call {
  readonly request: ApiRequest
  readonly info: RequestInfo
  readonly user: UserInfo
  /** Collected on the way, for `Warning` headers. */
  readonly warnings: string[]
  /** Absent when the request is not audited. */
  readonly trail?: Trail | undefined
}

/** A request about a resource that is served. */
export interface ResourceCall extends Call {
  readonly served: ServedResource
}
