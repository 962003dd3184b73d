/** Keeps pods off cordoned nodes, unless they tolerate the taint that stands for it. */
import type { Taint } from '../../api/generated/core/v1.ts'
import { definePlugin, impossible } from '../framework.ts'
import { isTolerated } from '../taints.ts'

const CORDONED: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }
const REFUSED = impossible('node(s) were unschedulable')

export const nodeUnschedulable = definePlugin({
  name: 'NodeUnschedulable',
  filter(_state, pod, { node }) {
    if (!node.spec?.unschedulable || isTolerated(CORDONED, pod.pod.spec?.tolerations ?? [])) return undefined
    return REFUSED
  },
  template: ({ pod }) => String(isTolerated(CORDONED, pod.spec?.tolerations ?? [])),
  requeueOn: [
    { on: ['node-added'], isWorth: (_pod, event) => event.kind === 'node-added' && !event.node.spec?.unschedulable },
    {
      on: ['node-taints'],
      isWorth: (_pod, event) => event.kind === 'node-taints' && Boolean(event.old.spec?.unschedulable) && !event.node.spec?.unschedulable,
    },
    { on: ['own-tolerations'], isWorth: (pod) => isTolerated(CORDONED, pod.pod.spec?.tolerations ?? []) },
  ],
})
