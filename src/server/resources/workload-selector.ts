/** What workloads have in common: a selector that must match the labels of their own template. */
import type { PodTemplateSpec } from '../../api/generated/core/v1.ts'
import type { LabelSelector } from '../../api/generated/meta/v1.ts'
import { compileLabelSelector } from '../../api/selectors.ts'
import { isEmptySelector, validateLabelSelector } from './object-meta.ts'
import { invalid, required, type FieldErrors } from './rules.ts'

export function validateSelector(errors: FieldErrors, path: string, selector: LabelSelector | undefined, kind: string): void {
  if (!selector) {
    errors.push(required(path))
    return
  }
  validateLabelSelector(errors, path, selector)
  if (isEmptySelector(selector)) errors.push(invalid(path, selector, `empty selector is invalid for ${kind}`))
}

/** `path` is the template's. Says nothing about a selector that is wrong in itself. */
export function checkSelectsTemplate(
  errors: FieldErrors,
  path: string,
  selector: LabelSelector | undefined,
  template: PodTemplateSpec,
): void {
  if (!selector || isEmptySelector(selector)) return
  const faults: FieldErrors = []
  validateLabelSelector(faults, 'spec.selector', selector)
  const labels = template.metadata?.labels ?? {}
  if (faults.length === 0 && !compileLabelSelector(selector)(labels)) {
    errors.push(invalid(`${path}.metadata.labels`, labels, '`selector` does not match template `labels`'))
  }
}
