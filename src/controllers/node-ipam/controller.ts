/** Gives every node its block of the pod network (spec.podCIDR). One worker: a block is seen as taken before the next is given. */
import { referenceTo } from '../../client/object-reference.ts'
import { watch } from '../controller.ts'
import type { Controller } from '../controller.ts'
import { allocateBlock, parseCidr } from './plan.ts'

export function createNodeIpamController(clusterCidr: string, blockPrefix: number): Controller {
  const cluster = parseCidr(clusterCidr)
  return {
    name: 'node-ipam',
    component: 'node-controller',
    eventSource: 'cidrAllocator',
    workers: 1,
    reads: ['v1/Node'],
    writes: ['v1/Node'],
    watches: [
      watch('v1/Node', ({ type, object }, caches) => {
        if (type !== 'deleted') return object.spec?.podCIDR ? undefined : object.metadata!.name!
        // A block has become free for one that went without.
        const names: string[] = []
        for (const node of caches.of('v1/Node').values()) if (!node.spec?.podCIDR) names.push(node.metadata!.name!)
        return names
      }),
    ],
    async reconcile(key, { client, caches, events }) {
      const nodes = caches.of('v1/Node')
      const node = nodes.get(key)
      if (!node || node.spec?.podCIDR || node.metadata?.deletionTimestamp) return
      const used = new Set<string>()
      for (const other of nodes.values()) if (other.spec?.podCIDR) used.add(other.spec.podCIDR)
      const podCIDR = allocateBlock(cluster, blockPrefix, used)
      if (!podCIDR) {
        events.record(referenceTo('v1/Node', node), 'Normal', 'CIDRNotAvailable', `Node ${key} status is now: CIDRNotAvailable`)
        return
      }
      await client.patch('v1/Node', { name: key }, 'merge', {
        metadata: { uid: node.metadata!.uid },
        spec: { podCIDR, podCIDRs: [podCIDR] },
      })
    },
  }
}
