/** Keeps a pod out of the queue while it has scheduling gates (KEP-3521). */
import { definePlugin, impossible } from '../framework.ts'

export const schedulingGates = definePlugin({
  name: 'SchedulingGates',
  preEnqueue(pod) {
    const gates = pod.spec?.schedulingGates
    if (!gates?.length) return undefined
    return impossible(`waiting for scheduling gates: [${gates.map(({ name }) => name).join(' ')}]`)
  },
  requeueOn: [{ on: ['own-gates'] }],
})
