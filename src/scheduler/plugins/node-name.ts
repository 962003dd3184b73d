/** A pod that names its node goes nowhere else. */
import { definePlugin, impossible } from '../framework.ts'

const REFUSED = impossible("node(s) didn't match the requested node name")

export const nodeName = definePlugin({
  name: 'NodeName',
  filter: (_state, pod, node) => (pod.pod.spec?.nodeName && pod.pod.spec.nodeName !== node.name ? REFUSED : undefined),
  template: (pod) => pod.pod.spec?.nodeName ?? '',
  requeueOn: [{ on: ['node-added'] }],
})
