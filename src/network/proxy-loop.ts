/** The service proxy of a node: services, their endpoints and the pods' host ports, planned one by one, in the node's packet filter. */
import type { Pod } from '../api/generated/core/v1.ts'
import { keyOf } from '../api/object.ts'
import type { Runtime } from '../base/runtime.ts'
import { createFilterLoop, type FilterLoop, type PacketFilter } from './filter-loop.ts'
import { serviceTable, type TableOptions } from './nft-table.ts'
import { planHostPorts, planService, type ProxyNode } from './service-proxy.ts'
import type { Handlers, ServiceTable } from './service-table.ts'

export interface ProxyLoopOptions {
  readonly services: ServiceTable
  readonly filter: PacketFilter
  readonly table: TableOptions
  readonly node: ProxyNode
  readonly gatherMs?: number
}

export interface ProxyLoop extends Pick<FilterLoop, 'settled' | 'run'> {
  /** For an informer of pods: host ports of those on this node. */
  readonly podHandlers: Handlers<Pod>
  /** Plans everything again for other addresses or another zone of the node. */
  setNode(node: ProxyNode): void
}

export function createProxyLoop(runtime: Runtime, options: ProxyLoopOptions): ProxyLoop {
  const { services, filter, gatherMs } = options
  const pods = new Map<string, Pod>()
  let node = options.node

  const setPod = (pod: Pod) => {
    const key = keyOf(pod)
    // Few pods have host ports: the others are forgotten at once.
    if (planHostPorts(pod, node).length > 0) pods.set(key, pod)
    else if (!pods.delete(key)) return
    loop.mark(`pod/${key}`)
  }

  const loop = createFilterLoop(runtime, {
    filter,
    gatherMs,
    table: serviceTable(options.table),
    rulesOf(owner) {
      const key = owner.slice(owner.indexOf('/') + 1)
      if (owner.startsWith('pod/')) {
        const pod = pods.get(key)
        return pod ? planHostPorts(pod, node) : []
      }
      const service = services.service(key)
      return service ? planService(service, [...services.slices(key)], node) : []
    },
  })

  function markAll(): void {
    for (const key of services.keys()) loop.mark(`service/${key}`)
    for (const key of pods.keys()) loop.mark(`pod/${key}`)
  }

  return {
    podHandlers: {
      added: setPod,
      updated: setPod,
      deleted(pod) {
        if (pods.delete(keyOf(pod))) loop.mark(`pod/${keyOf(pod)}`)
      },
    },
    setNode(next) {
      node = next
      markAll()
    },
    settled: () => loop.settled(),
    async run(signal) {
      const stop = services.onChange((key) => loop.mark(`service/${key}`))
      try {
        markAll()
        await loop.run(signal)
      } finally {
        stop()
      }
    },
  }
}
