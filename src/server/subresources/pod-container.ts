/** Finding the node and the container that a stream or a log of a pod is about (pkg/registry/core/pod/strategy.go). */
import type { Pod } from '../../api/generated/core/v1.ts'
import type { NodeService, PodRef } from '../../api/node-service.ts'
import { badRequest, failure } from '../../api/status.ts'
import type { Core, ResourceCall } from '../core.ts'
import { get } from '../read.ts'

export async function podOf(core: Core, { served, info }: ResourceCall): Promise<Pod> {
  return (await get(core, served, `${info.namespace}/${info.name}`, info.name, '')).object
}

export const refOf = (pod: Pod): PodRef => ({ namespace: pod.metadata!.namespace!, name: pod.metadata!.name!, uid: pod.metadata!.uid! })

/** The container that was named, or the only one. */
export function containerOf(pod: Pod, wanted: string): string {
  const { containers = [], initContainers = [], ephemeralContainers = [] } = pod.spec ?? {}
  const names = [...initContainers, ...containers, ...ephemeralContainers].map(({ name }) => name)
  const podName = pod.metadata!.name!
  if (wanted !== '') {
    if (names.includes(wanted)) return wanted
    throw badRequest(`container ${wanted} is not valid for pod ${podName}`)
  }
  if (containers.length === 1) return containers[0]!.name
  if (containers.length === 0) throw badRequest(`a container name must be specified for pod ${podName}`)
  throw badRequest(`a container name must be specified for pod ${podName}, choose one of: [${names.join(' ')}]`)
}

/** The pod's node; undefined when it has none yet. */
export function nodeOf(core: Core, pod: Pod): NodeService | undefined {
  const nodeName = pod.spec?.nodeName
  if (!nodeName) return undefined
  const node = core.nodes(nodeName)
  if (!node) throw failure('InternalError', `error dialing backend: no connection to node ${JSON.stringify(nodeName)}`)
  return node
}

export function assignedNode(core: Core, pod: Pod): NodeService {
  const node = nodeOf(core, pod)
  if (!node) throw badRequest(`pod ${pod.metadata!.name} does not have a host assigned`)
  return node
}
