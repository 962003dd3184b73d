/** Pods: the unit that everything else makes. What the API server alone decides about them. */
import type { Container, Pod, PodCondition, ResourceRequirements } from '../../../api/generated/core/v1.ts'
import { timestamp } from '../../../base/clock.ts'
import { defineResource } from '../../resource.ts'
import { changeField, isSemanticallyEqual, mapItems, withDefaults, withField, withMissingEntries } from '../immutable.ts'
import { applyLabelKeys } from './pod-affinity-labels.ts'
import { podColumns, podRowConditions } from './pod-columns.ts'
import { podQosClass } from './pod-qos.ts'
import { podResourceDefaults } from './pod-resource-defaults.ts'
import { podSpecDefaults } from './pod-spec-defaults.ts'
import { validateNewPod, validatePod } from './pod-validation.ts'
import { validatePodStatusUpdate, validatePodUpdate } from './pod-update-validation.ts'
import { podWarnings } from './pod-warnings.ts'

/** Requests that were left out equal the limits: in pods only, templates stay as they are. */
const requestsFromLimits = (container: Container): Container =>
  changeField(container, 'resources', (resources): ResourceRequirements => {
    const requests = withMissingEntries(resources.requests, resources.limits)
    return requests === resources.requests ? resources : { ...resources, requests }
  })

/** On the host's network a container port is a port of the host. */
const portsOnHost = (container: Container): Container =>
  changeField(container, 'ports', (ports) => mapItems(ports, (port) => (port.hostPort ? port : { ...port, hostPort: port.containerPort })))

/** The first address stands beside them, too, and of both it is the one that counts. */
function withBothIPs(status: PodStatus): PodStatus {
  const { podIP, podIPs = [] } = status
  if (podIP) return podIP === podIPs[0]?.ip ? status : { ...status, podIPs: [{ ip: podIP }] }
  return podIPs[0]?.ip ? { ...status, podIP: podIPs[0].ip } : status
}

export function podDefaults(pod: Pod): Pod {
  return changeField(changeField(pod, 'status', withBothIPs), 'spec', (spec) => {
    let next = podSpecDefaults(spec)
    next = changeField(next, 'containers', (containers) => mapItems(containers, requestsFromLimits))
    next = changeField(next, 'initContainers', (containers) => mapItems(containers, requestsFromLimits))
    next = podResourceDefaults(next)
    next = withDefaults(next, { enableServiceLinks: true })
    if (!next.hostNetwork) return next
    next = changeField(next, 'containers', (containers) => mapItems(containers, portsOnHost))
    return changeField(next, 'initContainers', (containers) => mapItems(containers, portsOnHost))
  })
}

const gatedCondition = (now: string): PodCondition => ({
  type: 'PodScheduled',
  status: 'False',
  lastTransitionTime: now,
  reason: 'SchedulingGated',
  message: 'Scheduling is blocked due to non-empty scheduling gates',
})

function prepareForCreate(pod: Pod, now: string): Pod {
  const isGated = (pod.spec?.schedulingGates?.length ?? 0) > 0
  const status = { phase: 'Pending', qosClass: podQosClass(podDefaults(pod)), ...(isGated ? { conditions: [gatedCondition(now)] } : {}) }
  return applyLabelKeys({ ...pod, status })
}

/** The status endpoint may neither change who owns the pod nor lose its class. Old kubelets did both. */
function prepareStatus(next: Pod, old: Pod): Pod {
  const withOwners = changeField(next, 'metadata', (metadata) => withField(metadata, 'ownerReferences', old.metadata?.ownerReferences))
  const qosClass = old.status?.qosClass
  const withClass = changeField(withOwners, 'status', (status) => (qosClass ? withDefaults(status, { qosClass }) : status))
  return changeField(withClass, 'status', (status) => keepObservedGenerations(status, old))
}

type PodStatus = NonNullable<Pod['status']>

/** A client that knows nothing of observedGeneration does not erase it. */
function keepObservedGenerations(status: PodStatus, old: Pod): PodStatus {
  const kept = old.status?.observedGeneration
  const next = !status.observedGeneration && kept ? { ...status, observedGeneration: kept } : status
  return changeField(next, 'conditions', (conditions) => {
    const before = new Map<string, number[]>()
    for (const { type, observedGeneration } of old.status?.conditions ?? []) {
      const list = before.get(type)
      if (list) list.push(observedGeneration ?? 0)
      else before.set(type, [observedGeneration ?? 0])
    }
    return mapItems(conditions, (condition) => {
      const generation = before.get(condition.type)?.shift()
      return condition.observedGeneration || !generation ? condition : { ...condition, observedGeneration: generation }
    })
  })
}

/** Resize takes resources and resize policies alone, ephemeral containers take nothing but themselves. */
function prepareSubresource(next: Pod, old: Pod, subresource: string): Pod {
  if (!next.spec || !old.spec) return next
  const { metadata, status } = old
  const kept = { ...next, metadata: { ...next.metadata, ownerReferences: metadata?.ownerReferences, labels: metadata?.labels }, status }
  if (subresource === 'ephemeralcontainers')
    return { ...kept, spec: withField(old.spec, 'ephemeralContainers', next.spec.ephemeralContainers) }
  const resized = (mine: readonly Container[] | undefined, before: readonly Container[] | undefined) => {
    if (!mine || !before || mine.length !== before.length || mine.some((container, i) => container.name !== before[i]?.name)) return mine
    return mapItems(before, (container, i) =>
      withField(withField(container, 'resources', mine[i]?.resources), 'resizePolicy', mine[i]?.resizePolicy),
    )
  }
  const spec = {
    ...old.spec,
    containers: resized(next.spec.containers, old.spec.containers) ?? [],
    ...(next.spec.initContainers ? { initContainers: resized(next.spec.initContainers, old.spec.initContainers) } : {}),
    ...(next.spec.resources ? { resources: next.spec.resources } : {}),
  }
  return { ...kept, spec }
}

export const pods = defineResource({
  group: '',
  version: 'v1',
  kind: 'Pod',
  columns: podColumns,
  rowConditions: podRowConditions,
  hasGeneration: true,
  fieldSelectors: {
    'spec.nodeName': (pod) => pod.spec?.nodeName ?? '',
    'spec.restartPolicy': (pod) => pod.spec?.restartPolicy ?? '',
    'spec.schedulerName': (pod) => pod.spec?.schedulerName ?? '',
    'spec.serviceAccountName': (pod) => pod.spec?.serviceAccountName ?? '',
    'spec.hostNetwork': (pod) => String(pod.spec?.hostNetwork ?? false),
    'status.phase': (pod) => pod.status?.phase ?? '',
    'status.podIP': (pod) => pod.status?.podIPs?.[0]?.ip ?? pod.status?.podIP ?? '',
    'status.podIPs': (pod) => pod.status?.podIPs?.[0]?.ip ?? '',
    'status.nominatedNodeName': (pod) => pod.status?.nominatedNodeName ?? '',
    // The name that spec.nodeName had once.
    'spec.host': (pod) => pod.spec?.nodeName ?? '',
  },
  setDefaults: podDefaults,
  prepareForCreate: (pod, { runtime }) => prepareForCreate(pod, timestamp(runtime.clock)),
  prepareForUpdate(next, old, { subresource }) {
    if (subresource === 'status') return prepareStatus(next, old)
    if (subresource === 'resize' || subresource === 'ephemeralcontainers') return prepareSubresource(next, old, subresource)
    return isSemanticallyEqual(next.status, old.status) ? next : withField(next, 'status', old.status)
  },
  validate: validatePod,
  validateCreate: validateNewPod,
  validateUpdate: validatePodUpdate,
  validateStatusUpdate: validatePodStatusUpdate,
  warnings: podWarnings,
  gracePeriodSeconds(pod, requested) {
    const { phase } = pod.status ?? {}
    if (!pod.spec?.nodeName || phase === 'Failed' || phase === 'Succeeded') return 0
    const period = requested ?? pod.spec.terminationGracePeriodSeconds ?? 0
    return period < 0 ? 1 : period
  },
})
