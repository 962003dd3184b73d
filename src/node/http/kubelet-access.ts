/**
 * Who may use the node's own API (pkg/kubelet/server/auth.go): whoever comes with a certificate of the cluster's authority or a token that
 * the API server knows, as far as the API server gives leave for `nodes/SUBRESOURCE`. The API server itself is let in by name: what it
 * asks has been authorised there, and it must reach its nodes when it has no leave to give.
 */
import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { UserInfo } from '../../api/exchange.ts'
import { ExpiringCache } from '../../base/expiring-cache.ts'
import type { Runtime } from '../../base/runtime.ts'
import type { Client } from '../../client/client.ts'

export interface Refusal {
  readonly code: 401 | 403 | 500
  readonly text: string
}

export interface KubeletAccess {
  /** Why the request is not let in. */
  refusalOf(request: IncomingMessage): Promise<Refusal | undefined>
}

export interface KubeletAccessOptions {
  readonly nodeName: string
  /** Common names of certificates that are let in to everything. */
  readonly clients: readonly string[]
  /** As the node. Absent: nobody else is let in. */
  readonly client?: Client
}

/** Upstream's defaults (KubeletConfiguration: authentication.webhook, authorization.webhook). */
const TOKEN_TTL_MS = 2 * 60_000
const ALLOWED_TTL_MS = 5 * 60_000
const DENIED_TTL_MS = 30_000
const MAX_REMEMBERED = 1024
/** Longer tokens are nobody's. */
const MAX_TOKEN_LENGTH = 16 * 1024

const VERBS: Readonly<Record<string, string>> = { POST: 'create', GET: 'get', PUT: 'update', PATCH: 'patch', DELETE: 'delete' }

/** By which subresources of nodes a path may be used: any of them is enough. */
const SUBRESOURCES: readonly (readonly [path: string, ...subresources: string[]])[] = [
  ['/pods', 'pods', 'proxy'],
  ['/runningpods', 'pods', 'proxy'],
  ['/healthz', 'healthz', 'proxy'],
  ['/configz', 'configz', 'proxy'],
  ['/stats', 'stats'],
  ['/metrics', 'metrics'],
  ['/logs', 'log'],
  ['/checkpoint', 'checkpoint'],
  ['/statusz', 'statusz'],
  ['/flagz', 'configz'],
]

export function subresourcesOf(path: string): readonly string[] {
  const found = SUBRESOURCES.find(([start]) => path === start || path.startsWith(`${start}/`))
  return found ? found.slice(1) : ['proxy']
}

const UNAUTHORIZED: Refusal = { code: 401, text: 'Unauthorized' }

export function createKubeletAccess(runtime: Runtime, { nodeName, clients, client }: KubeletAccessOptions): KubeletAccess {
  const users = new ExpiringCache<UserInfo | 'unknown'>(runtime.clock, MAX_REMEMBERED, (user) => (user === 'unknown' ? 0 : TOKEN_TTL_MS))
  const leave = new ExpiringCache<boolean>(runtime.clock, MAX_REMEMBERED, (isAllowed) => (isAllowed ? ALLOWED_TTL_MS : DENIED_TTL_MS))

  async function reviewToken(api: Client, token: string): Promise<UserInfo | 'unknown'> {
    const { status } = await api.create('authentication.k8s.io/v1/TokenReview', { spec: { token } })
    const { username = '', uid, groups = [], extra } = status?.user ?? {}
    if (!status?.authenticated || username === '') return 'unknown'
    return { name: username, groups, ...(uid ? { uid } : {}), ...(extra ? { extra } : {}) }
  }

  async function reviewAccess(api: Client, user: UserInfo, verb: string, subresource: string): Promise<boolean> {
    const { name, uid, groups, extra } = user
    const resourceAttributes = { verb, version: 'v1', resource: 'nodes', subresource, name: nodeName }
    const spec = { user: name, groups, ...(uid ? { uid } : {}), ...(extra ? { extra } : {}), resourceAttributes }
    return (await api.create('authorization.k8s.io/v1/SubjectAccessReview', { spec })).status?.allowed ?? false
  }

  async function userOf(request: IncomingMessage): Promise<UserInfo | 'unknown'> {
    const socket = request.socket as TLSSocket
    const subject = socket.authorized ? socket.getPeerCertificate().subject : undefined
    if (typeof subject?.CN === 'string' && subject.CN !== '') {
      const organizations: string | readonly string[] = (subject.O as string | readonly string[] | undefined) ?? []
      const groups = typeof organizations === 'string' ? [organizations] : organizations
      return { name: subject.CN, groups: [...groups, 'system:authenticated'] }
    }
    const token = /^Bearer +(\S+)\s*$/i.exec(request.headers.authorization ?? '')?.[1]
    if (token === undefined || token.length > MAX_TOKEN_LENGTH || !client) return 'unknown'
    return users.ask(token, () => reviewToken(client, token))
  }

  async function decide(request: IncomingMessage): Promise<Refusal | undefined> {
    const user = await userOf(request)
    if (user === 'unknown') return UNAUTHORIZED
    const isByCertificate = (request.socket as TLSSocket).authorized
    if (isByCertificate && clients.includes(user.name)) return undefined
    const verb = VERBS[request.method ?? ''] ?? ''
    const subresources = subresourcesOf((request.url ?? '/').split('?', 1)[0]!)
    if (client) {
      for (const subresource of subresources) {
        const key = JSON.stringify([user, verb, subresource])
        if (await leave.ask(key, () => reviewAccess(client, user, verb, subresource))) return undefined
      }
    }
    const asked = `user=${user.name}, verb=${verb}, resource=nodes, subresource(s)=[${subresources.join(' ')}]`
    return { code: 403, text: `Forbidden (${asked})\n` }
  }

  return {
    async refusalOf(request) {
      try {
        return await decide(request)
      } catch (error) {
        // Nobody is let in while the API server cannot be asked.
        runtime.log.warn('who may use the node could not be asked', { error: error instanceof Error ? error.message : String(error) })
        return { code: 500, text: 'Authorization error' }
      }
    },
  }
}
