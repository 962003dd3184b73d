/** The rules by which a Job decides what a failed pod means (KEP-3329). */
import type { ContainerStatus, Pod } from '../../api/generated/core/v1.ts'
import type { Job, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule } from '../../api/generated/batch/v1.ts'

export interface FailureVerdict {
  readonly action: 'FailJob' | 'FailIndex' | 'Ignore' | 'Count' | undefined
  /** Whether it counts towards the back-off limit. */
  readonly isCounted: boolean
  /** Why the Job fails, for FailJob. */
  readonly message?: string
}

const COUNTED: FailureVerdict = { action: undefined, isCounted: true }

export function judgeFailure(job: Job, pod: Pod): FailureVerdict {
  for (const [index, rule] of (job.spec?.podFailurePolicy?.rules ?? []).entries()) {
    const reason = matchRule(pod, rule)
    if (reason === undefined) continue
    const { action } = rule
    if (action === 'FailJob') return { action, isCounted: true, message: `${reason} matching ${action} rule at index ${index}` }
    if (action === 'Ignore') return { action, isCounted: false }
    if (action === 'FailIndex' || action === 'Count') return { action, isCounted: true }
  }
  return COUNTED
}

function matchRule(pod: Pod, { onExitCodes, onPodConditions }: PodFailurePolicyRule): string | undefined {
  const { namespace, name } = pod.metadata!
  if (onExitCodes) {
    const container =
      matchExitCode(pod.status?.containerStatuses, onExitCodes) ?? matchExitCode(pod.status?.initContainerStatuses, onExitCodes)
    return (
      container && `Container ${container.name} for pod ${namespace}/${name} failed with exit code ${container.state?.terminated?.exitCode}`
    )
  }
  const condition = pod.status?.conditions?.find(({ type, status }) =>
    onPodConditions?.some((pattern) => pattern.type === type && (pattern.status ?? 'True') === status),
  )
  return condition && `Pod ${namespace}/${name} has condition ${condition.type}`
}

function matchExitCode(
  statuses: readonly ContainerStatus[] | undefined,
  { containerName, operator, values }: PodFailurePolicyOnExitCodesRequirement,
): ContainerStatus | undefined {
  return statuses?.find(({ name, state }) => {
    const exitCode = state?.terminated?.exitCode
    if (!exitCode || (containerName !== undefined && containerName !== name)) return false
    return operator === 'In' ? values.includes(exitCode) : operator === 'NotIn' && !values.includes(exitCode)
  })
}
