/** Makes the claims of the pods' generic ephemeral volumes, also again when somebody deletes one. */
import { keyOf, parseKey } from '../../api/object.ts'
import { referenceTo } from '../../client/object-reference.ts'
import { watch } from '../controller.ts'
import type { Controller } from '../controller.ts'
import { controllerOf } from '../owner-references.ts'
import { isNamespaceTerminating, messageOf } from '../pods/pod-control.ts'
import { hasEphemeralVolumes, planEphemeralClaims } from './plan.ts'

const CLAIM = 'v1/PersistentVolumeClaim'

export const ephemeralVolumeController: Controller = {
  name: 'ephemeral-volume',
  component: 'ephemeral-volume-controller',
  eventSource: 'ephemeral_volume',
  reads: ['v1/Pod', CLAIM],
  writes: [CLAIM],
  watches: [
    // The volumes of a pod never change.
    watch('v1/Pod', ({ type, object }) => (type === 'added' && hasEphemeralVolumes(object) ? keyOf(object) : undefined)),
    watch(CLAIM, ({ type, object }) => {
      const owner = type === 'deleted' ? controllerOf(object) : undefined
      return owner?.kind === 'Pod' ? `${object.metadata?.namespace}/${owner.name}` : undefined
    }),
  ],
  async reconcile(key, { client, caches, events }) {
    const pod = caches.of('v1/Pod').get(key)
    if (!pod) return
    const { namespace } = parseKey(key)
    const plan = planEphemeralClaims(pod, (name) => caches.of(CLAIM).get(`${namespace}/${name}`))
    const fail = (volume: string, why: string): Error => {
      events.record(referenceTo('v1/Pod', pod), 'Warning', 'FailedBinding', `ephemeral volume ${volume}: ${why}`)
      return new Error(`pod ${key}, ephemeral volume ${volume}: ${why}`)
    }
    for (const { volume, claim } of plan.create) {
      try {
        await client.create(CLAIM, claim)
      } catch (error) {
        if (isNamespaceTerminating(error)) return
        throw fail(volume, `create PVC ${claim.metadata?.name}: ${messageOf(error)}`)
      }
    }
    const [problem] = plan.problems
    if (problem) throw fail(problem.volume, problem.why)
  },
}
