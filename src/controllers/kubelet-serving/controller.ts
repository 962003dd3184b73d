/** Approves the requests of nodes for the certificates of their own APIs, where plan.ts finds no fault. All others wait for a person. */
import { keyOf } from '../../api/object.ts'
import { approve } from '../csr-approving/controller.ts'
import { watch, type Controller } from '../controller.ts'
import { askingNode, servingFault, type IsReserved } from './plan.ts'

const KIND = 'certificates.k8s.io/v1/CertificateSigningRequest'
/** The Node may tell its address a moment later. */
const RETRY_MS = 2000
/** After this a request is left to others. */
const MAX_AGE_MS = 60 * 60_000

export const kubeletServingApprover = (isReserved: IsReserved): Controller => ({
  name: 'kubelet-serving-approver',
  component: 'kubelet-serving-approver',
  reads: [KIND, 'v1/Node'],
  writes: [`${KIND}/approval`],
  watches: [watch(KIND, ({ type, object }) => (type === 'deleted' ? undefined : keyOf(object)))],
  async reconcile(key, { client, caches, runtime }) {
    const request = caches.of(KIND).get(key)
    const name = request && askingNode(request)
    if (!request || name === undefined) return
    const nodes = caches.of('v1/Node')
    const others = [...nodes.values()].filter(({ metadata }) => metadata?.name !== name)
    const fault = servingFault(request, name, { own: nodes.get(name), others }, isReserved)
    if (fault !== undefined) {
      runtime.log.info('a serving certificate is not approved', { request: key, node: name, reason: fault })
      const ageMs = runtime.clock.now() - Date.parse(request.metadata?.creationTimestamp ?? '')
      return ageMs < MAX_AGE_MS ? { afterMs: Math.max(RETRY_MS, ageMs) } : undefined
    }
    await approve(client, request, 'The names and addresses are those of the node that asks.')
    return undefined
  },
})
