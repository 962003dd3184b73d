/** A pod's priority is the number behind its priority class; only the class may be asked for. */
import type { Pod } from '../../api/generated/core/v1.ts'
import type { PriorityClass } from '../../api/generated/scheduling/v1.ts'
import { admissionDenied, type AdmissionAttributes, type AdmissionPlugin } from '../admission.ts'
import { changeSpec, isPodWrite, isWriteOf, podOf } from './pods.ts'

/** The built-in classes, which exist before anyone has made objects of them. */
export const SYSTEM_PRIORITY_CLASSES: readonly PriorityClass[] = [
  {
    metadata: { name: 'system-node-critical' },
    value: 2000001000,
    description: 'Used for system critical pods that must not be moved from their current node.',
  },
  {
    metadata: { name: 'system-cluster-critical' },
    value: 2000000000,
    description: 'Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.',
  },
]

interface Resolved {
  readonly name: string
  readonly value: number
  readonly preemptionPolicy: string | undefined
}

const valueOf = ({ value }: PriorityClass): number => value ?? 0

/** Should two classes be marked as default, the lower one is. */
function defaultClass(attributes: AdmissionAttributes): PriorityClass | undefined {
  let found: PriorityClass | undefined
  for (const candidate of attributes.context.read.list('scheduling.k8s.io/v1/PriorityClass')) {
    if (candidate.globalDefault && (!found || valueOf(found) > valueOf(candidate))) found = candidate
  }
  return found
}

function resolve(attributes: AdmissionAttributes, name: string | undefined): Resolved {
  if (!name) {
    const fallback = defaultClass(attributes)
    return fallback
      ? { name: fallback.metadata?.name ?? '', value: valueOf(fallback), preemptionPolicy: fallback.preemptionPolicy }
      : { name: '', value: 0, preemptionPolicy: 'PreemptLowerPriority' }
  }
  const found =
    attributes.context.read.get('scheduling.k8s.io/v1/PriorityClass', undefined, name) ??
    SYSTEM_PRIORITY_CLASSES.find((candidate) => candidate.metadata?.name === name)
  if (!found) throw admissionDenied(attributes, `no PriorityClass with name ${name} was found`)
  return { name, value: valueOf(found), preemptionPolicy: found.preemptionPolicy ?? 'PreemptLowerPriority' }
}

function admitNew(attributes: AdmissionAttributes, pod: Pod): Pod {
  return changeSpec(pod, (spec) => {
    const { name, value, preemptionPolicy } = resolve(attributes, spec.priorityClassName)
    if (spec.priority !== undefined && spec.priority !== value) {
      throw admissionDenied(
        attributes,
        `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`,
      )
    }
    if (preemptionPolicy !== undefined && spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== preemptionPolicy) {
      throw admissionDenied(
        attributes,
        `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${preemptionPolicy} from the given PriorityClass name`,
      )
    }
    return {
      ...spec,
      ...(name ? { priorityClassName: name } : {}),
      priority: value,
      ...(preemptionPolicy === undefined ? {} : { preemptionPolicy }),
    }
  })
}

/** A client that sends a pod back without what was resolved keeps it. */
const admitUpdate = (pod: Pod, old: Pod): Pod =>
  changeSpec(pod, (spec) => {
    let next = spec
    if (next.priority === undefined && old.spec?.priority !== undefined) next = { ...next, priority: old.spec.priority }
    if (next.preemptionPolicy === undefined && old.spec?.preemptionPolicy !== undefined)
      next = { ...next, preemptionPolicy: old.spec.preemptionPolicy }
    return next
  })

export const priority: AdmissionPlugin = {
  name: 'Priority',
  handles: (attributes) =>
    (attributes.operation === 'CREATE' || attributes.operation === 'UPDATE') &&
    (isPodWrite(attributes) || isWriteOf(attributes, 'scheduling.k8s.io', 'priorityclasses')),
  admit(attributes) {
    const pod = podOf(attributes)
    if (!pod || !isPodWrite(attributes)) return attributes.object
    return attributes.operation === 'CREATE' ? admitNew(attributes, pod) : admitUpdate(pod, attributes.oldObject as Pod)
  },
  validate(attributes) {
    if (isPodWrite(attributes)) return
    const next = attributes.object as PriorityClass | undefined
    if (!next?.globalDefault) return
    const current = defaultClass(attributes)?.metadata?.name
    if (current === undefined || (attributes.operation === 'UPDATE' && current === next.metadata?.name)) return
    throw admissionDenied(attributes, `PriorityClass ${current} is already marked as default. Only one default can exist`)
  },
}
