/** A pod's runtime class says what running it costs on top and where that can be. */
import type { Toleration } from '../../api/generated/core/v1.ts'
import type { RuntimeClass } from '../../api/generated/node/v1.ts'
import { plainFailure } from '../../api/status.ts'
import { admissionDenied, type AdmissionAttributes, type AdmissionPlugin } from '../admission.ts'
import { isEqual } from '../resources/immutable.ts'
import { changeSpec, isPodWrite, podOf } from './pods.ts'

function classOf(attributes: AdmissionAttributes): RuntimeClass | undefined {
  const name = podOf(attributes)?.spec?.runtimeClassName
  if (name === undefined) return undefined
  if (name === '') throw plainFailure('resource name may not be empty')
  const found = attributes.context.read.get('node.k8s.io/v1/RuntimeClass', undefined, name)
  if (!found) throw admissionDenied(attributes, `pod rejected: RuntimeClass "${name}" not found`)
  return found
}

const MISMATCH = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"

export const runtimeClass: AdmissionPlugin = {
  name: 'RuntimeClass',
  handles: (attributes) => attributes.operation === 'CREATE' && isPodWrite(attributes),
  admit(attributes) {
    const pod = podOf(attributes)
    const found = classOf(attributes)
    if (!pod || !found) return pod
    return changeSpec(pod, (spec) => {
      let next = spec
      const overhead = found.overhead?.podFixed
      if (found.overhead) {
        if (Object.keys(next.overhead ?? {}).length > 0 && !isEqual(next.overhead, overhead)) throw admissionDenied(attributes, MISMATCH)
        if (overhead) next = { ...next, overhead }
      }
      if (!found.scheduling) return next
      const { nodeSelector = {}, tolerations = [] } = found.scheduling
      for (const key in nodeSelector) {
        const own = next.nodeSelector?.[key]
        if (own !== undefined && own !== nodeSelector[key]) {
          throw admissionDenied(
            attributes,
            `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${nodeSelector[key]}; pod.spec.nodeSelector[${key}] = ${own}`,
          )
        }
      }
      const missing = tolerations.filter((toleration) => !next.tolerations?.some((own) => isEqual(own, toleration)))
      const merged: readonly Toleration[] = [...(next.tolerations ?? []), ...missing]
      return {
        ...next,
        ...(Object.keys(nodeSelector).length > 0 ? { nodeSelector: { ...next.nodeSelector, ...nodeSelector } } : {}),
        ...(missing.length > 0 ? { tolerations: merged } : {}),
      }
    })
  },
  validate(attributes) {
    const overhead = podOf(attributes)?.spec?.overhead
    const found = classOf(attributes)
    if (found?.overhead) {
      if (!isEqual(found.overhead.podFixed, overhead)) throw admissionDenied(attributes, MISMATCH)
    } else if (overhead !== undefined) {
      throw admissionDenied(attributes, 'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead')
    }
  },
}
