/**
 * Keeps a kubelet's certificate from ending (client-go util/certificate): after 70 to 90 % of its life, each node at a moment of its own,
 * another is asked for by a CertificateSigningRequest with a new key. Until that is signed the old one stays in use; a request that is
 * refused, or that nobody answers, is made anew.
 */
import type { CertificateSigningRequest } from '../api/generated/certificates/v1.ts'
import { certificateValidity } from '../api/certificate-validity.ts'
import { sleep } from '../base/clock.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Client } from '../client/client.ts'

/** Whose signature is asked for, and what the certificate is for. */
export type KubeletSigner = 'kubernetes.io/kube-apiserver-client-kubelet' | 'kubernetes.io/kubelet-serving'

export interface KeptCertificate {
  readonly signerName: KubeletSigner
  /** PEM of the one in use. */
  current(): string
  /** A new key, and the request for it, both PEM. */
  newRequest(): Promise<{ readonly key: string; readonly request: string }>
  /** Takes the new one for what begins from now on. */
  install(pair: { readonly cert: string; readonly key: string }): void
}

const KIND = 'certificates.k8s.io/v1/CertificateSigningRequest'
const USAGES: Readonly<Record<KubeletSigner, readonly string[]>> = {
  'kubernetes.io/kube-apiserver-client-kubelet': ['digital signature', 'client auth'],
  'kubernetes.io/kubelet-serving': ['digital signature', 'server auth'],
}
const ROTATE_FROM = 0.7
const ROTATE_WITHIN = 0.2
/** Timers do not count the time that a machine sleeps: the clock is looked at this often. */
const LOOK_MS = 3_600_000
/** A request is often answered at once. */
const FIRST_LOOK_MS = 100
const ANSWER_LOOK_MS = 2000
const ANSWER_TIMEOUT_MS = 15 * 60_000
const FIRST_RETRY_MS = 2000
const MAX_RETRY_MS = 32_000
const RETRY_JITTER = 0.1

/** When the certificate is to be replaced; at once where it is none. */
export function rotationDeadline({ random }: Pick<Runtime, 'random'>, pem: string): number {
  const validity = certificateValidity(pem)
  if (!validity) return 0
  return validity.startMs + (validity.endMs - validity.startMs) * (ROTATE_FROM + ROTATE_WITHIN * random.next())
}

export async function keepCertificate(runtime: Runtime, client: Client, kept: KeptCertificate, signal: AbortSignal): Promise<void> {
  const { clock, random, log } = runtime
  const pause = (ms: number): Promise<void> =>
    sleep(clock, ms, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  let retryMs = FIRST_RETRY_MS
  let deadlineMs = rotationDeadline(runtime, kept.current())
  while (!signal.aborted) {
    const leftMs = deadlineMs - clock.now()
    if (leftMs > 0) {
      await pause(Math.min(leftMs, LOOK_MS))
      continue
    }
    try {
      const { key, request } = await kept.newRequest()
      const cert = await askForCertificate(clock, client, kept.signerName, request, signal)
      kept.install({ cert, key })
      deadlineMs = rotationDeadline(runtime, cert)
      retryMs = FIRST_RETRY_MS
      log.info('a certificate was renewed', { signer: kept.signerName, next: deadlineMs })
    } catch (error) {
      if (signal.aborted) return
      log.warn('a certificate could not be renewed', {
        signer: kept.signerName,
        error: error instanceof Error ? error.message : String(error),
      })
      await pause(retryMs * (1 + RETRY_JITTER * random.next()))
      retryMs = Math.min(retryMs * 2, MAX_RETRY_MS)
    }
  }
}

/** Resolves with the certificate; rejects when it is refused, when nobody answers, and when the signal aborts. */
export async function askForCertificate(
  clock: Runtime['clock'],
  client: Client,
  signerName: KubeletSigner,
  request: string,
  signal: AbortSignal,
): Promise<string> {
  const spec = { request: btoa(request), signerName, usages: USAGES[signerName] }
  const { metadata } = await client.create(KIND, { metadata: { generateName: 'csr-' }, spec })
  const name = metadata?.name ?? ''
  const untilMs = clock.now() + ANSWER_TIMEOUT_MS
  for (let lookMs = FIRST_LOOK_MS; ; lookMs = Math.min(lookMs * 2, ANSWER_LOOK_MS)) {
    const asked = await client.get(KIND, { name })
    const refusal = refusalOf(asked)
    if (refusal !== undefined) throw new Error(refusal)
    if (asked.metadata?.uid !== metadata?.uid) throw new Error(`csr ${JSON.stringify(name)} changed UIDs`)
    if (asked.status?.certificate) return atob(asked.status.certificate)
    if (clock.now() >= untilMs) throw new Error(`the request ${name} was not signed in time`)
    await sleep(clock, lookMs, signal)
  }
}

function refusalOf({ status }: CertificateSigningRequest): string | undefined {
  const found = status?.conditions?.find(({ type }) => type === 'Denied' || type === 'Failed')
  if (!found) return undefined
  const { type, reason = '', message = '' } = found
  return `certificate signing request ${type === 'Denied' ? 'is denied' : 'failed'}, reason: ${reason}, message: ${message}`
}
