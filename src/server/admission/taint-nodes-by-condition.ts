/** A new node takes no pods before it has said that it is ready; the node lifecycle controller removes the taint then. */
import type { Node } from '../../api/generated/core/v1.ts'
import type { AdmissionPlugin } from '../admission.ts'
import { isWriteOf } from './pods.ts'

const notReady = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }

export const taintNodesByCondition: AdmissionPlugin = {
  name: 'TaintNodesByCondition',
  handles: (attributes) => attributes.operation === 'CREATE' && isWriteOf(attributes, '', 'nodes'),
  admit({ object }) {
    const node = object as Node
    const taints = node.spec?.taints ?? []
    if (taints.some(({ key, effect }) => key === notReady.key && effect === notReady.effect)) return node
    return { ...node, spec: { ...node.spec, taints: [...taints, notReady] } }
  },
}
