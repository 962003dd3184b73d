/** What workloads that count replicas have in common in their statuses (upstream's validation of them is the same, but for names). */
import type { FieldError } from '../../api/status.ts'
import { checkNotNegative, invalid, type FieldErrors } from './rules.ts'

interface ReplicaStatus {
  readonly replicas?: number
  readonly readyReplicas?: number
  readonly availableReplicas?: number
  readonly observedGeneration?: number
}

/**
 * `counted` are the fields that may not exceed replicas, in upstream's order; `others` only must not be negative. `ready` is how the
 * error names what available replicas may not exceed.
 */
export function replicaStatusFaults<T extends ReplicaStatus>(
  status: T | undefined,
  counted: readonly (keyof T & string)[],
  {
    others = ['observedGeneration'],
    ready = 'readyReplicas',
  }: { readonly others?: readonly (keyof T & string)[]; readonly ready?: string } = {},
): FieldErrors {
  const errors: FieldError[] = []
  const count = (field: keyof T): number => (status?.[field] as number | undefined) ?? 0
  for (const field of ['replicas', ...counted, ...others] as const) checkNotNegative(errors, `status.${field}`, count(field))
  for (const field of counted) {
    if (count(field) > count('replicas')) errors.push(invalid(`status.${field}`, count(field), 'cannot be greater than status.replicas'))
  }
  if (count('availableReplicas') > count('readyReplicas')) {
    errors.push(invalid('status.availableReplicas', count('availableReplicas'), `cannot be greater than ${ready}`))
  }
  return errors
}
