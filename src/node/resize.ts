/**
 * Resizing a running pod in place (KEP-1287): which containers must be told their new resources, which must be restarted for
 * them, and through which steps the pod's cgroup goes so that no container ever has more than its pod. Pure. Left out: putting
 * off or refusing a resize that the node has no room for, and pod-level resources.
 */
import type { Container, Pod, ResourceRequirements } from '../api/generated/core/v1.ts'
import type { LinuxResources } from './container-runtime.ts'
import type { Host } from './host.ts'
import { newestContainer, type PodObservation } from './observation.ts'
import { bytesOf, milliOf } from './quantities.ts'
import { containerResources, podCgroupResources } from './resources.ts'
import { isSidecar } from './restart-policy.ts'

export interface ResizePlan {
  /** Names: their resize policy asks for a restart. */
  readonly restart: ReadonlySet<string>
  readonly update: readonly { readonly containerId: string; readonly resources: LinuxResources }[]
  readonly isNeeded: boolean
}

const NAMES = ['cpu', 'memory'] as const

/** As amounts: "1" and "1000m" are one. */
const differs = (name: (typeof NAMES)[number], a: ResourceRequirements, b: ResourceRequirements): boolean => {
  const valueOf = name === 'cpu' ? milliOf : bytesOf
  return valueOf(a.requests?.[name]) !== valueOf(b.requests?.[name]) || valueOf(a.limits?.[name]) !== valueOf(b.limits?.[name])
}

/** `applied` is what a running container, by its id, was given last; undefined when that is not known. */
export function planResize(
  pod: Pod,
  observed: PodObservation,
  applied: (containerId: string, name: string) => ResourceRequirements | undefined,
  nodeMemoryBytes: number,
): ResizePlan {
  const restart = new Set<string>()
  const update: { containerId: string; resources: LinuxResources }[] = []
  for (const container of [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? []).filter(isSidecar)]) {
    const status = newestContainer(observed, container.name)
    if (status?.state !== 'RUNNING') continue
    const before = applied(status.id, container.name)
    if (!before) continue
    const changed = NAMES.filter((name) => differs(name, before, container.resources ?? {}))
    if (changed.length === 0) continue
    if (
      changed.some((name) =>
        container.resizePolicy?.some((policy) => policy.resourceName === name && policy.restartPolicy === 'RestartContainer'),
      )
    )
      restart.add(container.name)
    else update.push({ containerId: status.id, resources: resizedResources(pod, container, nodeMemoryBytes) })
  }
  return { restart, update, isNeeded: restart.size > 0 || update.length > 0 }
}

/** For a container that runs, 0 would mean "as it was": no limit must be said. */
function resizedResources(pod: Pod, container: Container, nodeMemoryBytes: number): LinuxResources {
  const resources = containerResources(pod, container, nodeMemoryBytes)
  return { ...resources, cpuQuota: resources.cpuQuota === 0 ? -1 : resources.cpuQuota }
}

type CgroupLimits = Parameters<Host['createPodCgroup']>[1]

/** No limit is the largest. */
const larger = (a: number | undefined, b: number | undefined) => (a === undefined || b === undefined ? undefined : Math.max(a, b))

/** What holds both the old and the new: set before containers grow, and left for the new after they shrank. */
export function roomForBoth(a: CgroupLimits, b: CgroupLimits): CgroupLimits {
  const cpuQuota = larger(a.cpuQuota, b.cpuQuota)
  const memoryLimitBytes = larger(a.memoryLimitBytes, b.memoryLimitBytes)
  return {
    cpuShares: Math.max(a.cpuShares, b.cpuShares),
    ...(cpuQuota === undefined ? {} : { cpuQuota }),
    ...(memoryLimitBytes === undefined ? {} : { memoryLimitBytes }),
  }
}

/** The limits of the pod's cgroup as they are while its containers have what they were given last. */
export function currentCgroupResources(pod: Pod, applied: (name: string) => ResourceRequirements | undefined): CgroupLimits {
  const asApplied = (container: Container): Container => {
    const resources = applied(container.name)
    return resources ? { ...container, resources } : container
  }
  const spec = pod.spec!
  return podCgroupResources({
    ...pod,
    spec: {
      ...spec,
      containers: spec.containers?.map(asApplied) ?? [],
      ...(spec.initContainers ? { initContainers: spec.initContainers.map(asApplied) } : {}),
    },
  })
}
