/**
 * Bootstrap tokens, `abcdef.0123456789abcdef`, as upstream keeps them: Secrets in kube-system that the API server, the signer of
 * cluster-info and the token cleaner read (k8s.io/cluster-bootstrap/token/api).
 */
import { randomInt } from 'node:crypto'
import type { Secret } from '../../api/generated/core/v1.ts'
import { isApiError } from '../../api/status.ts'
import type { Client } from '../../client/client.ts'
import { UserError } from '../user-error.ts'

export interface BootstrapToken {
  readonly id: string
  readonly secret: string
}

export interface TokenOptions {
  /** Absent: it lasts until it is deleted. */
  readonly ttlMs?: number
  readonly description?: string
  readonly usages: readonly string[]
  readonly groups: readonly string[]
}

const FORM = /^([a-z0-9]{6})\.([a-z0-9]{16})$/
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789'
const GROUP_FORM = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/
const TYPE = 'bootstrap.kubernetes.io/token'
const NAMESPACE = 'kube-system'
export const USAGES = ['signing', 'authentication'] as const
/** kubeadm's: the rights of those who join are bound to it. */
export const NODE_TOKEN_GROUP = 'system:bootstrappers:kubeadm:default-node-token'

const randomText = (length: number): string => Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]!).join('')

export const newToken = (): BootstrapToken => ({ id: randomText(6), secret: randomText(16) })

export const tokenText = ({ id, secret }: BootstrapToken): string => `${id}.${secret}`

/** The text itself is never shown: it may be half right. */
export function parseToken(text: string): BootstrapToken {
  const [, id, secret] = FORM.exec(text.trim()) ?? []
  if (id === undefined || secret === undefined)
    throw new UserError('this is no bootstrap token: it must be six letters or digits, a dot, and sixteen more, all lower case')
  return { id, secret }
}

export function tokenSecret({ id, secret }: BootstrapToken, { ttlMs, description, usages, groups }: TokenOptions, nowMs: number): Secret {
  for (const group of groups)
    if (!GROUP_FORM.test(group)) throw new UserError(`group ${JSON.stringify(group)} must begin with system:bootstrappers:`)
  for (const usage of usages)
    if (!USAGES.some((known) => known === usage)) throw new UserError(`usage ${JSON.stringify(usage)} must be one of ${USAGES.join(', ')}`)
  const fields: Record<string, string> = {
    'token-id': id,
    'token-secret': secret,
    ...Object.fromEntries(usages.map((usage) => [`usage-bootstrap-${usage}`, 'true'])),
    ...(groups.length > 0 ? { 'auth-extra-groups': groups.join(',') } : {}),
    ...(description ? { description } : {}),
    ...(ttlMs === undefined ? {} : { expiration: new Date(nowMs + ttlMs).toISOString().replace(/\.\d+Z$/, 'Z') }),
  }
  const data = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, Buffer.from(value).toString('base64')]))
  return { metadata: { namespace: NAMESPACE, name: `bootstrap-token-${id}` }, type: TYPE, data }
}

export const createToken = async (client: Client, token: BootstrapToken, options: TokenOptions, nowMs: number): Promise<void> =>
  void (await client.create('v1/Secret', tokenSecret(token, options, nowMs)))

/** Creates the token, or makes the one of this id what it is to be. */
export async function ensureToken(client: Client, token: BootstrapToken, options: TokenOptions, nowMs: number): Promise<void> {
  const secret = tokenSecret(token, options, nowMs)
  try {
    await client.create('v1/Secret', secret)
  } catch (error) {
    if (!isApiError(error, 'AlreadyExists')) throw error
    await client.patch('v1/Secret', { namespace: NAMESPACE, name: `bootstrap-token-${token.id}` }, 'merge', { data: secret.data })
  }
}

export interface ListedToken {
  readonly id: string
  readonly expires: string
  readonly usages: readonly string[]
  readonly groups: readonly string[]
  readonly description: string
}

export async function listTokens(client: Client): Promise<readonly ListedToken[]> {
  const { items } = await client.list('v1/Secret', { namespace: NAMESPACE, fieldSelector: `type=${TYPE}` })
  return items.map(({ data = {} }) => {
    const field = (name: string): string => Buffer.from(data[name] ?? '', 'base64').toString('utf8')
    return {
      id: field('token-id'),
      expires: field('expiration'),
      usages: USAGES.filter((usage) => field(`usage-bootstrap-${usage}`) === 'true'),
      groups: field('auth-extra-groups').split(',').filter(Boolean),
      description: field('description'),
    }
  })
}

/** By its id, or by the whole token. */
export async function deleteToken(client: Client, text: string): Promise<void> {
  const id = /^[a-z0-9]{6}$/.test(text) ? text : parseToken(text).id
  try {
    await client.delete('v1/Secret', { namespace: NAMESPACE, name: `bootstrap-token-${id}` })
  } catch (error) {
    if (isApiError(error, 'NotFound')) throw new UserError(`there is no bootstrap token ${id}`)
    throw error
  }
}
