/**
 * Tells nodes by an annotation how long they may keep Secrets and ConfigMaps before they ask again: the more nodes, the longer.
 * The bounds of the cluster's size overlap, so that a node that comes and goes does not change all the others each time.
 */
import { watch } from '../controller.ts'
import type { Controller } from '../controller.ts'

const KIND = 'v1/Node'
const ANNOTATION = 'node.alpha.kubernetes.io/ttl'

const STEPS: readonly { readonly least: number; readonly most: number; readonly seconds: number }[] = [
  { least: 0, most: 100, seconds: 0 },
  { least: 90, most: 500, seconds: 15 },
  { least: 450, most: 1000, seconds: 30 },
  { least: 900, most: 2000, seconds: 60 },
  { least: 1800, most: Infinity, seconds: 300 },
]

export function createNodeTtlController(): Controller {
  let step = 0

  return {
    name: 'ttl',
    component: 'ttl-controller',
    reads: [KIND],
    writes: [KIND],
    watches: [
      watch(KIND, ({ type, object, old }, caches) => {
        const nodes = caches.of(KIND)
        const before = step
        while (nodes.size > STEPS[step]!.most) step++
        while (nodes.size < STEPS[step]!.least) step--
        if (step !== before) return Array.from(nodes.values(), (node) => node.metadata!.name!)
        const isChanged = object.metadata?.annotations?.[ANNOTATION] !== old?.metadata?.annotations?.[ANNOTATION]
        return type === 'added' || (type === 'updated' && isChanged) ? object.metadata!.name! : undefined
      }),
    ],
    async reconcile(key, { client, caches }) {
      const node = caches.of(KIND).get(key)
      const wanted = String(STEPS[step]!.seconds)
      if (!node || node.metadata?.annotations?.[ANNOTATION] === wanted) return
      await client.patch(KIND, { name: key }, 'strategic', { metadata: { annotations: { [ANNOTATION]: wanted } } })
    },
  }
}
