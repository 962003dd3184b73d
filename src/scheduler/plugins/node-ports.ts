/** Two pods on a node cannot have the same host port of the same protocol, unless on different addresses. */
import { definePlugin, insufficient } from '../framework.ts'
import type { HostPort } from '../pod-info.ts'

const REFUSED = insufficient("node(s) didn't have free ports for the requested pod ports")
const ANY_ADDRESS = '0.0.0.0'

export const portsConflict = (a: HostPort, b: HostPort): boolean =>
  a.port === b.port && a.protocol === b.protocol && (a.ip === b.ip || a.ip === ANY_ADDRESS || b.ip === ANY_ADDRESS)

const anyConflict = (wanted: readonly HostPort[], taken: readonly HostPort[]): boolean =>
  taken.length > 0 && wanted.some((port) => taken.some((other) => portsConflict(port, other)))

export const nodePorts = definePlugin({
  name: 'NodePorts',
  preFilter: (pod) => (pod.hostPorts.length === 0 ? { skip: true } : { state: undefined }),
  filter: (_state, pod, node) => (node.pods.some((other) => anyConflict(pod.hostPorts, other.hostPorts)) ? REFUSED : undefined),
  requeueOn: [
    { on: ['node-added'] },
    { on: ['pod-deleted'], isWorth: (pod, event) => event.kind === 'pod-deleted' && anyConflict(pod.hostPorts, event.pod.hostPorts) },
  ],
})
