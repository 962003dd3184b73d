/**
 * The API server without what works on its objects: its parts put together, and the objects without which no cluster is. The
 * control plane builds on it; beside upstream's it stands alone.
 */
import type { UserInfo } from '../api/exchange.ts'
import type { NodeConnector, NodeService } from '../api/node-service.ts'
import { resources as infos } from '../api/resources.ts'
import { ApiError } from '../api/status.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Client } from '../client/client.ts'
import { createClient } from '../client/create-client.ts'
import { loadConnection } from '../client/http/index.ts'
import { createAdmission } from '../server/admission/index.ts'
import type { CreateObject } from '../server/admission/namespaces.ts'
import { createMutatingPolicies } from '../server/admission/policies/mutating.ts'
import { createValidatingPolicies } from '../server/admission/policies/validating.ts'
import { createConditionCheck } from '../server/admission/policies/webhook-conditions.ts'
import { createWebhookAdmission } from '../server/admission/webhooks/plugins.ts'
import { createApiServer, type ApiServer } from '../server/api-server.ts'
import type { TokenSigner } from '../server/authentication/tokens.ts'
import type { HousekeepingOptions } from '../server/housekeeping.ts'
import { createOutgoing, type Egress } from '../server/http/outgoing.ts'
import { createRemoteNode } from '../server/http/remote-node.ts'
import { exchangeText } from '../server/outgoing-text.ts'
import type { OutgoingTls } from '../server/outgoing.ts'
import { createReviewClient } from '../server/review-client.ts'
import type { PathHandler } from '../server/router.ts'
import { createServiceAllocator } from '../server/resources/core/service-allocator.ts'
import { resourcesWith } from '../server/resources/index.ts'
import { createWebhookCall } from '../server/webhook-call.ts'
import { kubeletAddress } from '../server/subresources/proxy-target.ts'
import type { Store } from '../store/store.ts'
import { startAccess, type AccessSetup } from './access.ts'
import { startAudit, type AuditSetup } from './audit.ts'
import { debugPaths, type DebugSetup } from './debug.ts'
import * as identities from './identities.ts'
import { until, type Lifecycle } from './lifecycle.ts'
import { exposeProcess } from './process-metrics.ts'
import { servedPaths } from './served-paths.ts'
import { ensureNamespaces, ensureServiceCidr, removeWideNodeRights } from './system-objects.ts'

export interface ApiPlaneOptions {
  readonly store: Store
  readonly tokenSigner: TokenSigner
  readonly serviceCidr: string
  /** How the API server shows itself to nodes that are not in its process, and what it trusts there. Absent: it reaches none of them. */
  readonly kubeletTls?: OutgoingTls
  /** How the API server shows itself to aggregated ones. */
  readonly aggregatorTls?: Pick<OutgoingTls, 'cert' | 'key'>
  /** "host:port", as discovery tells it. */
  readonly serverAddress?: string
  /** Absent: nodes by what runs on them, all others by RBAC; service account and bootstrap tokens; upstream's admission plugins. */
  readonly access?: AccessSetup
  /** Absent: nothing is audited. */
  readonly audit?: AuditSetup
  /** Absent: whatever the server asks is reached directly. */
  readonly egress?: Egress
  /** What is forgotten, and when. */
  readonly housekeeping?: HousekeepingOptions
  /** Absent: profiles can be taken, and nothing is told of flags. */
  readonly debug?: DebugSetup
  /** Paths besides those of every server. */
  readonly paths?: readonly PathHandler[]
}

/** How long the server may take over an object that an admission plugin makes. */
const CREATE_TIMEOUT_MS = 10_000
/** And a node over what it is asked to do. */
const ASK_TIMEOUT_MS = 30_000

const IMAGE_REVIEW_TIMEOUT_MS = 30_000

/** Objects that admission plugins make come by way of the API, as the server itself. */
const createAsServer =
  (server: () => ApiServer): CreateObject =>
  async (path, object) => {
    const signal = AbortSignal.timeout(CREATE_TIMEOUT_MS)
    const transport = server().transport(identities.apiServer)
    const answer = await transport({ method: 'POST', path, query: new URLSearchParams(), headers: {}, body: { object }, signal })
    if (answer.type === 'object' && answer.status >= 400) throw new ApiError(answer.stored.object)
  }

export interface ApiPlane {
  readonly server: ApiServer
  /** A client of this process, as this user. */
  client(user: UserInfo): Client
  /** Tells the API server of a node in this process, for logs, exec, attach and port-forward; all others are reached by their HTTPS API. */
  connectNode(name: string, service: NodeService): void
  /** Asks the API of a node in another process; rejects unless it did what it was asked. */
  askNode(name: string, method: 'PUT' | 'DELETE', path: string): Promise<void>
}

/** Starts the API server; resolves when it is ready and the system namespaces are there. */
export async function startApiPlane(runtime: Runtime, lifecycle: Lifecycle, options: ApiPlaneOptions): Promise<ApiPlane> {
  const nodes = new Map<string, NodeService>()
  const outgoing = createOutgoing(runtime, options.egress)
  const { kubeletTls, aggregatorTls } = options
  const remoteNode: NodeConnector = (name) => {
    const node = server.core.reader.get('v1/Node', undefined, name)
    const address = node && kubeletAddress(node)
    return address && kubeletTls && createRemoteNode(address, { outgoing, tls: kubeletTls })
  }
  const nodeConnector: NodeConnector = (name) => nodes.get(name) ?? remoteNode(name)
  lifecycle.start({ name: 'outgoing connections', run: (signal) => until(signal, async () => outgoing.close()) })
  const server = createApiServer(runtime, {
    store: options.store,
    infos,
    resources: resourcesWith(createServiceAllocator({ cidr: options.serviceCidr, random: runtime.random })),
    admission: (registry, authorizer) =>
      createAdmission(
        {
          registry,
          authorizer,
          create: createAsServer(() => server),
          dynamic: [
            createMutatingPolicies(registry, authorizer),
            createValidatingPolicies(registry, authorizer),
            ...createWebhookAdmission({
              registry,
              call: createWebhookCall(runtime, outgoing),
              conditions: createConditionCheck(authorizer),
            }),
          ],
          imageReviewer: (file, firstDelayMs) =>
            createReviewClient(runtime, outgoing, loadConnection(file).options, IMAGE_REVIEW_TIMEOUT_MS, firstDelayMs),
        },
        options.access?.admission,
      ),
    nodeConnector,
    roads: { outgoing, ...(kubeletTls ? { kubeletTls } : {}), ...(aggregatorTls ? { aggregatorTls } : {}) },
    paths: (registry) => [
      ...servedPaths(infos, registry, options.serverAddress ?? ''),
      ...debugPaths(runtime, options.debug),
      ...(options.paths ?? []),
    ],
    tokenSigner: options.tokenSigner,
    ...(options.access ? startAccess(runtime, lifecycle, outgoing, options.access, options.tokenSigner) : {}),
    ...(options.housekeeping ? { housekeeping: options.housekeeping } : {}),
    ...(options.audit ? { audit: startAudit(runtime, lifecycle, outgoing, options.audit) } : {}),
  })
  exposeProcess(server.metrics)
  const client = (user: UserInfo): Client => createClient(server.transport(user), { userAgent: identities.programOf(user) })

  lifecycle.start({ name: 'API server', run: (signal) => server.run(signal) })
  await server.started
  await ensureNamespaces(client(identities.administrator))
  await removeWideNodeRights(client(identities.administrator))
  await ensureServiceCidr(client(identities.administrator), options.serviceCidr, runtime.clock)
  async function askNode(name: string, method: 'PUT' | 'DELETE', path: string): Promise<void> {
    const node = server.core.reader.get('v1/Node', undefined, name)
    const address = node && kubeletAddress(node)
    if (!address || !kubeletTls) throw new Error(`node ${name} has no API`)
    const { ca, cert, key } = kubeletTls
    const connection = { server: `https://${address.host}:${address.port}${path}`, ca, cert, key }
    const { status } = await exchangeText(runtime.clock, outgoing, connection, { method, timeoutMs: ASK_TIMEOUT_MS })
    if (status !== 200) throw new Error(`node ${name} answered ${method} ${path} with ${status}`)
  }
  return { server, client, askNode, connectNode: (name, service) => void nodes.set(name, service) }
}
