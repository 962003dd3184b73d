/**
 * Which pod goes first when a node runs out of something, and what is said of it: those above what they requested before others, then by
 * priority, then by how far above (pkg/kubelet/eviction/helpers.go). Pure.
 */
import type { Pod } from '../../api/generated/core/v1.ts'
import { podTotals } from '../../api/pod-resources.ts'
import { bytesOf } from '../quantities.ts'
import { CONFIG_MIRROR, CONFIG_SOURCE } from '../static/manifest.ts'
import { amount, quantityAt, RESOURCE_OF, type Observations, type StarvedResource, type Threshold } from './thresholds.ts'

/** What a pod uses of what is scarce; undefined when it was not measured. */
export interface PodUse {
  readonly total: number
  readonly containers: readonly { readonly name: string; readonly used: number }[]
}

const SYSTEM_CRITICAL_PRIORITY = 2_000_000_000

/** Static pods too: nobody would make them anew elsewhere. */
export const isCritical = ({ metadata, spec }: Pod): boolean => {
  const { [CONFIG_SOURCE]: source, [CONFIG_MIRROR]: mirror } = metadata?.annotations ?? {}
  return (source !== undefined && source !== 'api') || mirror !== undefined || (spec?.priority ?? 0) >= SYSTEM_CRITICAL_PRIORITY
}

const requestOf = (pod: Pod, resource: StarvedResource): number =>
  resource === 'memory' || resource === 'ephemeral-storage' ? bytesOf(podTotals(pod.spec!, 'requests')[resource]) : 0

export function rankPods(pods: readonly Pod[], resource: StarvedResource, useOf: (pod: Pod) => PodUse | undefined): readonly Pod[] {
  const rows = pods.map((pod) => {
    const use = useOf(pod)
    return { pod, isUnknown: use === undefined, excess: (use?.total ?? 0) - requestOf(pod, resource), priority: pod.spec?.priority ?? 0 }
  })
  // Of processes only priority and number count.
  const exceeds = (row: (typeof rows)[number]) => (resource === 'pids' ? 0 : Number(row.isUnknown || row.excess > 0))
  return rows.toSorted((a, b) => exceeds(b) - exceeds(a) || a.priority - b.priority || b.excess - a.excess).map(({ pod }) => pod)
}

export function evictionMessage(
  pod: Pod,
  resource: StarvedResource,
  use: PodUse | undefined,
  due: readonly Threshold[],
  observations: Observations,
): string {
  let message = `The node was low on resource: ${resource}. `
  const threshold = due.find(({ signal }) => RESOURCE_OF[signal] === resource)
  const seen = threshold && observations.get(threshold.signal)
  if (threshold && seen)
    message += `Threshold quantity: ${amount(quantityAt(threshold.value, seen.capacity), resource)}, available: ${amount(seen.available, resource)}. `
  const own = pod.spec?.resources?.requests?.['memory']
  if (resource === 'memory' && own !== undefined && use)
    message += `Pod ${pod.metadata?.name} was using ${amount(use.total, resource)}, request is ${own}, has larger consumption of memory. `
  if (resource !== 'memory' && resource !== 'ephemeral-storage') return message
  const specs = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])]
  for (const { name, used } of use?.containers ?? []) {
    const container = specs.find((candidate) => candidate.name === name)
    const request = container?.resources?.requests?.[resource]
    if (container && used > bytesOf(request))
      message += `Container ${name} was using ${amount(used, resource)}, request is ${request ?? 0}, has larger consumption of ${resource}. `
  }
  return message
}

/** Why a pod must go for what it writes alone, whatever the node has left; `usedBy` in bytes. */
export function storageOverrun(
  pod: Pod,
  used: {
    readonly emptyDirs: ReadonlyMap<string, number>
    readonly containers: ReadonlyMap<string, number>
    readonly total: number
  },
): { readonly signal: string; readonly message: string } | undefined {
  for (const { name, emptyDir } of pod.spec?.volumes ?? []) {
    const limit = emptyDir?.sizeLimit
    if (limit !== undefined && bytesOf(limit) > 0 && (used.emptyDirs.get(name) ?? 0) > bytesOf(limit))
      return {
        signal: 'emptydirfs.limit',
        message: `Usage of EmptyDir volume ${JSON.stringify(name)} exceeds the limit ${JSON.stringify(String(limit))}. `,
      }
  }
  const whole = podTotals(pod.spec!, 'limits')['ephemeral-storage']
  if (whole !== undefined && used.total > bytesOf(whole))
    return { signal: 'ephemeralpodfs.limit', message: `Pod ephemeral local storage usage exceeds the total limit of containers ${whole}. ` }
  for (const { name, resources } of pod.spec?.containers ?? []) {
    const limit = resources?.limits?.['ephemeral-storage']
    if (limit !== undefined && bytesOf(limit) > 0 && (used.containers.get(name) ?? 0) > bytesOf(limit))
      return {
        signal: 'ephemeralcontainerfs.limit',
        message: `Container ${name} exceeded its local ephemeral storage limit ${JSON.stringify(String(limit))}. `,
      }
  }
  return undefined
}

/** Pods that limit what they write. */
export const limitsStorage = ({ spec }: Pod): boolean =>
  (spec?.volumes ?? []).some(({ emptyDir }) => emptyDir?.sizeLimit !== undefined) ||
  (spec?.containers ?? []).some(({ resources }) => resources?.limits?.['ephemeral-storage'] !== undefined)
