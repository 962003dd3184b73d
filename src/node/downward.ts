/** What a pod may learn of itself (downward API): fields of its object and the resources of its containers, as text. */
import type { Container, ObjectFieldSelector, Pod, ResourceFieldSelector } from '../api/generated/core/v1.ts'
import type { MachineFacts } from './host.ts'
import { bytesOf, milliOf } from './quantities.ts'

export interface DownwardContext {
  readonly pod: Pod
  readonly podIPs: readonly string[]
  readonly hostIPs: readonly string[]
  readonly facts: Pick<MachineFacts, 'cpuCount' | 'memoryBytes' | 'ephemeralStorageBytes'>
}

/** `key="value"` lines, sorted and quoted as Go quotes them. */
const lines = (map: Readonly<Record<string, string>> | undefined): string =>
  Object.entries(map ?? {})
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join('\n')

const SUBSCRIPT = /^metadata\.(labels|annotations)\['(.*)'\]$/

/** Undefined for a field that cannot be had: the API server has refused such a pod already. */
export function fieldValue({ fieldPath }: ObjectFieldSelector, { pod, podIPs, hostIPs }: DownwardContext): string | undefined {
  const subscript = SUBSCRIPT.exec(fieldPath)
  if (subscript) return pod.metadata?.[subscript[1] as 'labels' | 'annotations']?.[subscript[2]!] ?? ''
  switch (fieldPath) {
    case 'metadata.name':
      return pod.metadata?.name
    case 'metadata.namespace':
      return pod.metadata?.namespace
    case 'metadata.uid':
      return pod.metadata?.uid
    case 'metadata.labels':
      return lines(pod.metadata?.labels)
    case 'metadata.annotations':
      return lines(pod.metadata?.annotations)
    case 'spec.nodeName':
      return pod.spec?.nodeName ?? ''
    case 'spec.serviceAccountName':
      return pod.spec?.serviceAccountName ?? ''
    case 'status.hostIP':
      return hostIPs[0] ?? ''
    case 'status.hostIPs':
      return hostIPs.join(',')
    case 'status.podIP':
      return podIPs[0] ?? ''
    case 'status.podIPs':
      return podIPs.join(',')
    default:
      return undefined
  }
}

/** A limit that is not set is what the node has. */
export function resourceValue(selector: ResourceFieldSelector, container: Container, { facts }: DownwardContext): string {
  const [kind, name] = [
    selector.resource.slice(0, selector.resource.indexOf('.')),
    selector.resource.slice(selector.resource.indexOf('.') + 1),
  ]
  const resources = container.resources
  const given = kind === 'limits' ? resources?.limits?.[name] : (resources?.requests?.[name] ?? resources?.limits?.[name])
  const ofNode =
    kind !== 'limits'
      ? '0'
      : name === 'cpu'
        ? String(facts.cpuCount)
        : name === 'memory'
          ? String(facts.memoryBytes)
          : String(facts.ephemeralStorageBytes)
  const value = given ?? ofNode
  const divisor = selector.divisor === undefined || milliOf(selector.divisor) === 0 ? '1' : selector.divisor
  if (name === 'cpu') return String(Math.ceil(milliOf(value) / milliOf(divisor)))
  return String(Math.ceil(bytesOf(value) / bytesOf(divisor)))
}
