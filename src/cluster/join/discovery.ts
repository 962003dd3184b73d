/**
 * How a machine that joins finds out whom it talks to. Until it knows, it tells nothing: what anybody may read (cluster-info) is fetched
 * without a look at the certificate, and believed when it is signed with the token's secret and, where one was given, when its authority
 * has the hash that was given. Everything else goes over TLS with that authority (kubeadm's discovery by token).
 */
import { createHash, createHmac, timingSafeEqual, X509Certificate } from 'node:crypto'
import { request } from 'node:https'
import type { ConfigMap } from '../../api/generated/core/v1.ts'
import type { Clock } from '../../base/clock.ts'
import { parseKubeconfig } from '../../client/http/index.ts'
import { UserError } from '../user-error.ts'
import type { BootstrapToken } from './bootstrap-token.ts'

const CLUSTER_INFO_PATH = '/api/v1/namespaces/kube-public/configmaps/cluster-info'
const TIMEOUT_MS = 10_000
const MAX_BYTES = 1024 * 1024
/** Certificates are dated back by as much. */
const MAX_SKEW_MS = 5 * 60_000
const SIGNATURE_PREFIX = 'jws-kubeconfig-'

export interface DiscoveryOptions {
  /** "https://10.0.0.1:6443" */
  readonly server: string
  readonly token: BootstrapToken
  /** "sha256:<hex>" of the authority's public key. */
  readonly caHash?: string
}

/** Of the authority's public key, as kubeadm writes it. */
export const hashOfAuthority = (pem: string): string =>
  `sha256:${createHash('sha256')
    .update(new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')}`

/** Resolves with the PEM of the cluster's authority. */
export async function discoverAuthority(clock: Clock, { server, token, caHash }: DiscoveryOptions): Promise<string> {
  const url = serverUrl(server)
  const { status, text, date } = await fetchUnverified(url)
  checkClock(clock, date, server)
  if (status === 401 || status === 403)
    throw new UserError(`${server} does not show kube-public/cluster-info to everybody: is it a proa server that others may join?`)
  if (status !== 200)
    throw new UserError(`${server} has no kube-public/cluster-info (${status}): is it a proa server that others may join?`)
  let data: ConfigMap['data']
  try {
    data = (JSON.parse(text) as ConfigMap).data
  } catch {
    throw new UserError(`${server} answers something else than a Kubernetes API server`)
  }
  const kubeconfig = data?.['kubeconfig'] ?? ''
  const signature = data?.[`${SIGNATURE_PREFIX}${token.id}`]
  if (signature === undefined)
    throw new UserError(
      `the cluster knows no token ${token.id}: it is mistyped or has expired; proa token create on the server makes another`,
    )
  if (!isSignedBy(kubeconfig, signature, token))
    throw new UserError(
      `what ${server} tells of the cluster is not signed by this token: the token's second half is wrong, or this is not the cluster's server`,
    )
  const ca = Buffer.from(parseKubeconfig(kubeconfig).clusters[0]?.cluster['certificate-authority-data'] ?? '', 'base64').toString('utf8')
  if (caHash !== undefined) {
    const found = hashOfAuthority(ca)
    if (found !== caHash.toLowerCase())
      throw new UserError(`the cluster's authority is another one: its hash is ${found}, not ${caHash}. Take both from the same cluster`)
  }
  return ca
}

export function serverUrl(server: string): URL {
  const url = URL.canParse(server) ? new URL(server) : undefined
  if (url?.protocol !== 'https:' || (url.pathname !== '/' && url.pathname !== ''))
    throw new UserError(`--server must be like https://10.0.0.1:6443, not ${JSON.stringify(server)}`)
  return url
}

interface Unverified {
  readonly status: number
  readonly text: string
  readonly date: string | undefined
}

function fetchUnverified(url: URL): Promise<Unverified> {
  return new Promise((resolve, reject) => {
    const asked = request(
      new URL(CLUSTER_INFO_PATH, url),
      { rejectUnauthorized: false, agent: false, signal: AbortSignal.timeout(TIMEOUT_MS), headers: { accept: 'application/json' } },
      (answer) => {
        let text = ''
        answer.setEncoding('utf8')
        answer.on('data', (chunk: string) => {
          text += chunk
          if (text.length > MAX_BYTES) answer.destroy(new Error(`the answer exceeds ${MAX_BYTES} bytes`))
        })
        answer.once('end', () => resolve({ status: answer.statusCode ?? 0, text, date: answer.headers.date }))
        answer.once('error', reject)
      },
    )
    asked.once('error', (error: NodeJS.ErrnoException) => reject(unreachable(url.origin, error)))
    asked.end()
  })
}

export const unreachable = (server: string, error: NodeJS.ErrnoException): UserError => {
  const why = error.name === 'TimeoutError' || error.name === 'AbortError' ? 'no answer' : (error.code ?? error.message)
  return new UserError(
    `${server} cannot be reached (${why}): is the address right, is the server up, does a firewall let its port through?`,
  )
}

/** Certificates would seem to be of another time, and tokens to have ended. */
function checkClock(clock: Clock, date: string | undefined, server: string): void {
  const skewMs = clock.now() - Date.parse(date ?? '')
  if (Math.abs(skewMs) <= MAX_SKEW_MS || Number.isNaN(skewMs)) return
  const seconds = Math.round(Math.abs(skewMs) / 1000)
  throw new UserError(
    `this machine's clock is ${seconds} s ${skewMs > 0 ? 'ahead of' : 'behind'} that of ${server}: set it right (by NTP), then try again`,
  )
}

/** A JWS with its content left out (RFC 7515, appendix F), HS256 with the token's secret. */
export function isSignedBy(content: string, signature: string, { id, secret }: BootstrapToken): boolean {
  const [header = '', detached, mac = ''] = signature.split('.')
  if (detached !== '' || header === '') return false
  try {
    const { alg, kid } = JSON.parse(Buffer.from(header, 'base64url').toString()) as { readonly alg?: string; readonly kid?: string }
    if (alg !== 'HS256' || kid !== id) return false
  } catch {
    return false
  }
  const expected = createHmac('sha256', secret)
    .update(`${header}.${Buffer.from(content).toString('base64url')}`)
    .digest()
  const found = Buffer.from(mac, 'base64url')
  return found.length === expected.length && timingSafeEqual(found, expected)
}
