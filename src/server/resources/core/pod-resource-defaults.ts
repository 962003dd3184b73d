/** Defaults of resources that a pod asks for as a whole (KEP-2837): only where it has begun to ask. */
import type { PodSpec } from '../../../api/generated/core/v1.ts'
import { withMissingEntries } from '../immutable.ts'
import { containerTotals, isPodLevelResource, type ResourceList } from '../../../api/pod-resources.ts'

const isHugePages = (name: string): boolean => name.startsWith('hugepages-')

const pick = (list: ResourceList, wanted: (name: string) => boolean): ResourceList =>
  Object.fromEntries(Object.entries(list).filter(([name]) => wanted(name)))

const isEmpty = (list: ResourceList | undefined): boolean => !list || Object.keys(list).length === 0

export function podResourceDefaults(spec: PodSpec): PodSpec {
  const resources = spec.resources
  if (!resources || (isEmpty(resources.limits) && isEmpty(resources.requests))) return spec
  // Huge pages cannot be overcommitted: the pod's limit is what its containers' limits add up to.
  const hugeLimits = pick(containerTotals(spec, 'limits'), (name) => isHugePages(name) && resources.requests?.[name] === undefined)
  const limits = withMissingEntries(resources.limits, isEmpty(hugeLimits) ? undefined : hugeLimits)
  let requests = resources.requests
  if (!isEmpty(limits)) {
    const fromContainers = pick(containerTotals(spec, 'requests'), (name) => isPodLevelResource(name) && !isHugePages(name))
    requests = withMissingEntries(withMissingEntries(requests, fromContainers), pick(limits ?? {}, isPodLevelResource))
  }
  return limits === resources.limits && requests === resources.requests ? spec : { ...spec, resources: { ...resources, limits, requests } }
}
