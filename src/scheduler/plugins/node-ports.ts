/** Two pods on a node cannot have the same host port of the same protocol, unless on different addresses. */
import { portsConflict } from '../../api/host-ports.ts'
import { definePlugin, insufficient } from '../framework.ts'

const REFUSED = insufficient("node(s) didn't have free ports for the requested pod ports")
export const nodePorts = definePlugin({
  name: 'NodePorts',
  preFilter: (pod) => (pod.hostPorts.length === 0 ? { skip: true } : { state: undefined }),
  filter: (_state, pod, node) => (node.pods.some((other) => portsConflict(pod.hostPorts, other.hostPorts)) ? REFUSED : undefined),
  template: (pod) => JSON.stringify(pod.hostPorts),
  requeueOn: [
    { on: ['node-added'] },
    { on: ['pod-deleted'], isWorth: (pod, event) => event.kind === 'pod-deleted' && portsConflict(pod.hostPorts, event.pod.hostPorts) },
  ],
})
