/** Binds through the pod's binding subresource. */
import { definePlugin } from '../framework.ts'

export const defaultBinder = definePlugin({
  name: 'DefaultBinder',
  async bind({ pod, uid, namespace }, nodeName, { client }) {
    const name = pod.metadata?.name ?? ''
    await client.createSubresource('v1/Pod', { namespace, name }, 'binding', {
      apiVersion: 'v1',
      kind: 'Binding',
      // The uid makes the server refuse when the pod was deleted and made anew meanwhile.
      metadata: { namespace, name, uid },
      target: { kind: 'Node', name: nodeName },
    })
    return true
  },
})
