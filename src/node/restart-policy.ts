/** Whether a container that ended is started again: the pod's policy, the container's own, and its rules by exit code. */
import type { Container, Pod, PodSpec } from '../api/generated/core/v1.ts'
import { newestContainer, type PodObservation } from './observation.ts'

/** A sidecar: an init container that keeps running beside the others. */
export const isSidecar = (container: Container): boolean => container.restartPolicy === 'Always'

const ruleMatches = (
  rule: { readonly exitCodes?: { readonly operator: string; readonly values?: readonly number[] } },
  exitCode: number,
): boolean => {
  const { operator, values } = rule.exitCodes ?? { operator: '', values: [] }
  const isListed = (values ?? []).includes(exitCode)
  return operator === 'In' ? isListed : operator === 'NotIn' ? !isListed : false
}

/**
 * Rules with action Restart win over the container's policy, and that over the pod's. The action RestartAllContainers
 * (KEP-5532) is not built: such a rule restarts its own container alone.
 */
export function restartsAfterExit(container: Container, spec: PodSpec, exitCode: number): boolean {
  if (container.restartPolicyRules?.some((rule) => ruleMatches(rule, exitCode))) return true
  const policy = container.restartPolicy ?? spec.restartPolicy ?? 'Always'
  return policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0)
}

/** Whether the pod still wants this container to be started, going by what the runtime says of it. */
export function wantsStart(container: Container, pod: Pod, observed: PodObservation): boolean {
  if (pod.metadata?.deletionTimestamp) return false
  const status = newestContainer(observed, container.name)
  if (!status) return true
  if (status.state === 'RUNNING') return false
  if (status.state === 'CREATED' || status.state === 'UNKNOWN') return true
  return restartsAfterExit(container, pod.spec!, status.exitCode)
}
