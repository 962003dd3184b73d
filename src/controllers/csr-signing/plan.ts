/** Which CertificateSigningRequests the cluster's signers sign, for how long, and why they refuse others (pkg/controller/certificates/signer). */
import type { CertificateSigningRequest } from '../../api/generated/certificates/v1.ts'
import { kubeletClientFault, kubeletServingFault, type CertificateRequestFacts } from '../../api/certificate-request.ts'

/** What certificates last when their requests say nothing, and at most (--cluster-signing-duration). */
const DEFAULT_TTL_MS = 365 * 24 * 3_600_000
/** Twice what certificates are dated back by. */
const MIN_TTL_MS = 10 * 60_000

export type SigningPlan =
  | { readonly type: 'sign'; readonly facts: CertificateRequestFacts; readonly ttlMs: number }
  | { readonly type: 'refuse'; readonly message: string }
  | { readonly type: 'nothing' }

type Fault = (facts: CertificateRequestFacts, usages: readonly string[]) => string | undefined

/** Why a signer does not take a request, by its name. */
const SIGNERS: Readonly<Record<string, Fault>> = {
  'kubernetes.io/kube-apiserver-client': (_facts, usages) => clientUsagesFault(usages),
  'kubernetes.io/kube-apiserver-client-kubelet': kubeletClientFault,
  'kubernetes.io/kubelet-serving': kubeletServingFault,
  'kubernetes.io/legacy-unknown': () => undefined,
}

const OPTIONAL: ReadonlySet<string> = new Set(['digital signature', 'key encipherment'])
const CLIENT = 'client auth'

function clientUsagesFault(usages: readonly string[]): string | undefined {
  const other = usages.find((usage) => usage !== CLIENT && !OPTIONAL.has(usage))
  if (other !== undefined) return `invalid usage for client certificate: ${other}`
  return usages.includes(CLIENT) ? undefined : `missing required usage for client certificate: ${CLIENT}`
}

const has = ({ status }: CertificateSigningRequest, type: string): boolean =>
  status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false

const NOTHING: SigningPlan = { type: 'nothing' }

export function planSigning(
  request: CertificateSigningRequest,
  factsOf: (request: CertificateSigningRequest) => CertificateRequestFacts | undefined,
): SigningPlan {
  const { signerName, usages = [], expirationSeconds } = request.spec
  const fault = Object.hasOwn(SIGNERS, signerName) ? SIGNERS[signerName] : undefined
  if (!fault || request.status?.certificate) return NOTHING
  if (!has(request, 'Approved') || has(request, 'Denied') || has(request, 'Failed')) return NOTHING
  const facts = factsOf(request)
  if (!facts) return NOTHING
  const message = fault(facts, usages)
  if (message !== undefined) return { type: 'refuse', message }
  const wantedMs = expirationSeconds === undefined ? DEFAULT_TTL_MS : expirationSeconds * 1000
  return { type: 'sign', facts, ttlMs: Math.max(MIN_TTL_MS, Math.min(wantedMs, DEFAULT_TTL_MS)) }
}
