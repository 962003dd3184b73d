/**
 * Signs the ConfigMap kube-public/cluster-info with every bootstrap token that may sign, so that a machine which joins can tell, by
 * its token alone, that the cluster's address and authority are the real ones (JWS with detached content, RFC 7515 appendix F).
 */
import type { Secret } from '../../api/generated/core/v1.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { watch } from '../controller.ts'
import type { Controller } from '../controller.ts'
import { tokenExpiresAfterMs } from '../token-cleaner/plan.ts'

const CONFIG = 'v1/ConfigMap'
const SECRET = 'v1/Secret'
const TOKEN_NAMESPACE = 'kube-system'
const KEY = 'kube-public/cluster-info'
const TYPE = 'bootstrap.kubernetes.io/token'
const SIGNATURE_PREFIX = 'jws-kubeconfig-'

const field = ({ data }: Secret, name: string): string => atob(data?.[name] ?? '')

/** By id, the secrets of tokens that may sign now. */
export function signingTokens(secrets: readonly Secret[], nowMs: number): ReadonlyMap<string, string> {
  const tokens = new Map<string, string>()
  for (const secret of secrets) {
    const [id, value] = [field(secret, 'token-id'), field(secret, 'token-secret')]
    const isNamed = id !== '' && secret.metadata?.name === `bootstrap-token-${id}`
    const isGood = tokenExpiresAfterMs(secret, nowMs) !== 0 && field(secret, 'usage-bootstrap-signing') === 'true'
    if (secret.type === TYPE && isNamed && isGood && value !== '') tokens.set(id, value)
  }
  return tokens
}

const base64Url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')

/** HS256 with the token's secret as the key; the content is left out. */
export async function sign(content: string, id: string, secret: string): Promise<string> {
  const bytes = (text: string) => new TextEncoder().encode(text)
  const header = base64Url(bytes(JSON.stringify({ alg: 'HS256', kid: id })))
  const key = await crypto.subtle.importKey('raw', bytes(secret), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  const whole = `${header}.${encodeLarge(bytes(content))}`
  return `${header}..${base64Url(new Uint8Array(await crypto.subtle.sign('HMAC', key, bytes(whole))))}`
}

/** A kubeconfig is too long to be spread into arguments at once; parts of a multiple of three bytes encode by themselves. */
function encodeLarge(bytes: Uint8Array): string {
  const PART = 3 * 4096
  let text = ''
  for (let start = 0; start < bytes.length; start += PART) text += base64Url(bytes.subarray(start, start + PART))
  return text
}

const isToken = (secret: Secret): boolean => secret.type === TYPE && secret.metadata?.namespace === TOKEN_NAMESPACE

export const bootstrapSigner: Controller = {
  name: 'bootstrap-signer',
  component: 'bootstrap-signer',
  reads: [CONFIG, SECRET],
  writes: [CONFIG],
  watches: [
    watch(CONFIG, ({ object }) =>
      object.metadata?.name === 'cluster-info' && object.metadata.namespace === 'kube-public' ? KEY : undefined,
    ),
    watch(SECRET, ({ object }) => (isToken(object) ? KEY : undefined)),
  ],
  async reconcile(key, { client, caches, runtime }) {
    const config = caches.of(CONFIG).get(key)
    const content = config?.data?.['kubeconfig']
    if (!config || content === undefined) return
    const secrets = caches.of(SECRET).byNamespace(TOKEN_NAMESPACE)
    const nowMs = runtime.clock.now()
    const others = Object.entries(config.data ?? {}).filter(([name]) => !name.startsWith(SIGNATURE_PREFIX))
    const signatures = await Promise.all(
      [...signingTokens(secrets, nowMs)].map(
        async ([id, secret]) => [`${SIGNATURE_PREFIX}${id}`, await sign(content, id, secret)] as const,
      ),
    )
    const data = Object.fromEntries([...others, ...signatures])
    if (!deepEqual(data, config.data)) await client.update(CONFIG, { ...config, data })
    const ends = secrets.map((secret) => tokenExpiresAfterMs(secret, nowMs) ?? 0).filter((ms) => ms > 0)
    return { afterMs: ends.length > 0 ? Math.min(...ends) : undefined }
  },
}
