/** Rules that the workloads of the apps group share. */
import type { PodTemplateSpec } from '../../../api/generated/core/v1.ts'
import type { LabelSelector } from '../../../api/generated/meta/v1.ts'
import { percentFaults } from '../../../api/names.ts'
import { validatePodTemplate } from '../core/pod-validation.ts'
import { checkNotNegative, forbidden, invalid, notSupported, required, type FieldErrors } from '../rules.ts'
import { checkSelectsTemplate } from '../workload-selector.ts'

/** A count, or a share of the replicas. */
export function validateIntOrPercent(
  errors: FieldErrors,
  path: string,
  value: number | string | undefined,
  options: { readonly atMost100?: boolean } = {},
): void {
  if (value === undefined) return
  if (typeof value === 'number') checkNotNegative(errors, path, value)
  else {
    const faults = percentFaults(value)
    for (const fault of faults) errors.push(invalid(path, value, fault))
    if (options.atMost100 && faults.length === 0 && Number.parseInt(value, 10) > 100)
      errors.push(invalid(path, value, 'must not be greater than 100%'))
  }
}

/** The number of a count or percentage; nothing, where it is neither. */
export function amountOf(value: number | string | undefined): number {
  if (typeof value !== 'string') return value ?? 0
  return percentFaults(value).length === 0 ? Number.parseInt(value, 10) : 0
}

/** A template that the selector matches, whose pods run for ever. */
export function validateWorkloadTemplate(
  errors: FieldErrors,
  template: PodTemplateSpec | undefined,
  selector: LabelSelector | undefined,
): void {
  if (!template) {
    errors.push(required('spec.template'))
    return
  }
  checkSelectsTemplate(errors, 'spec.template', selector, template)
  validatePodTemplate(errors, 'spec.template', template)
  const policy = template.spec?.restartPolicy
  if (policy !== undefined && policy !== 'Always') errors.push(notSupported('spec.template.spec.restartPolicy', policy, ['Always']))
  if (template.spec?.activeDeadlineSeconds !== undefined) {
    errors.push(forbidden('spec.template.spec.activeDeadlineSeconds', 'activeDeadlineSeconds in ReplicaSet is not Supported'))
  }
}

interface Collisions {
  readonly collisionCount?: number
}

/** How often a name was taken already: never less often than before. */
export function checkCollisions(errors: FieldErrors, next: Collisions | undefined, old: Collisions | undefined): void {
  const before = old?.collisionCount
  if (before !== undefined && (next?.collisionCount ?? -1) < before)
    errors.push(invalid('status.collisionCount', next?.collisionCount ?? 0, 'cannot be decremented'))
}
