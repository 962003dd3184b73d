/**
 * Signs what is approved, for the four signers whose authority is the cluster's own: clients of the API server, kubelets as clients and
 * as servers, and the legacy one.
 */
import { keyOf } from '../../api/object.ts'
import { timestamp } from '../../base/clock.ts'
import { isApiError } from '../../api/status.ts'
import { factsOf } from '../csr-approving/controller.ts'
import { watch, type Controller } from '../controller.ts'
import { planSigning } from './plan.ts'

const KIND = 'certificates.k8s.io/v1/CertificateSigningRequest'

/**
 * Signs a PKCS#10 request with the cluster's authority; resolves with the certificate in PEM. Rejects with a SigningFault when the request
 * cannot be signed at all.
 */
export type SignCertificate = (request: {
  readonly der: Uint8Array
  readonly usages: readonly string[]
  readonly ttlMs: number
}) => Promise<string>

/** A request that no attempt will sign: its own signature does not hold, say. */
export class SigningFault extends Error {
  override readonly name = 'SigningFault'
}

export const createCsrSigningController = (sign: SignCertificate): Controller => ({
  name: 'csr-signing',
  component: 'certificate-controller',
  reads: [KIND],
  writes: [`${KIND}/status`],
  watches: [watch(KIND, ({ type, object }) => (type === 'deleted' ? undefined : keyOf(object)))],
  async reconcile(key, { client, caches, runtime }) {
    const request = caches.of(KIND).get(key)
    if (!request) return
    const plan = planSigning(request, factsOf)
    if (plan.type === 'nothing') return
    let change: object
    try {
      change =
        plan.type === 'sign'
          ? { certificate: btoa(await sign({ ...plan.facts, usages: request.spec.usages ?? [], ttlMs: plan.ttlMs })) }
          : failed(plan.message)
    } catch (error) {
      if (!(error instanceof SigningFault)) throw error
      change = failed(error.message)
    }
    try {
      await client.update(KIND, { ...request, status: { ...request.status, ...change } }, { subresource: 'status' })
    } catch (error) {
      if (!isApiError(error, 'NotFound')) throw error
    }

    function failed(message: string) {
      const condition = {
        type: 'Failed',
        status: 'True',
        reason: 'SignerValidationFailure',
        message,
        lastUpdateTime: timestamp(runtime.clock),
      }
      return { conditions: [...(request!.status?.conditions ?? []), condition] }
    }
  },
})
