/** Gives every node its block of the pod network (spec.podCIDR). One worker: a block is seen as taken before the next is given. */
import { referenceTo } from '../../client/object-reference.ts'
import { watch } from '../controller.ts'
import type { Controller } from '../controller.ts'
import { allocateBlock, parseCidr } from './plan.ts'

/** By block; of nodes without one by none. */
const BLOCK_INDEX = 'pod-cidr'

export function createNodeIpamController(clusterCidr: string, blockPrefix: number): Controller {
  const cluster = parseCidr(clusterCidr)
  /** Where the next free block is looked for, as upstream's: what was given back comes last. */
  let next = 0
  return {
    name: 'node-ipam',
    component: 'node-controller',
    eventSource: 'cidrAllocator',
    workers: 1,
    reads: ['v1/Node'],
    writes: ['v1/Node'],
    watches: [
      watch(
        'v1/Node',
        ({ type, object }, caches) => {
          if (type !== 'deleted') return object.spec?.podCIDR ? undefined : object.metadata!.name!
          // A block has become free for one that went without.
          const waiting = caches.of('v1/Node').byIndex(BLOCK_INDEX, '')
          return waiting.map(({ metadata }) => metadata!.name!)
        },
        { [BLOCK_INDEX]: ({ spec }) => spec?.podCIDR ?? '' },
      ),
    ],
    async reconcile(key, { client, caches, events }) {
      const nodes = caches.of('v1/Node')
      const node = nodes.get(key)
      if (!node || node.spec?.podCIDR || node.metadata?.deletionTimestamp) return
      const found = allocateBlock(cluster, blockPrefix, (block) => nodes.byIndex(BLOCK_INDEX, block).length > 0, next)
      if (!found) {
        events.record(referenceTo('v1/Node', node), 'Normal', 'CIDRNotAvailable', `Node ${key} status is now: CIDRNotAvailable`)
        return
      }
      next = found.next
      const podCIDR = found.block
      await client.patch('v1/Node', { name: key }, 'merge', {
        metadata: { uid: node.metadata!.uid },
        spec: { podCIDR, podCIDRs: [podCIDR] },
      })
    },
  }
}
