/** What workloads have in common: a selector that must match the labels of their own template. */
import type { PodTemplateSpec } from '../../api/generated/core/v1.ts'
import type { LabelSelector } from '../../api/generated/meta/v1.ts'
import { asGiven } from '../../api/given-empty.ts'
import { compileLabelSelector } from '../../api/selectors.ts'
import { isEmptySelector, validateLabelSelector } from './object-meta.ts'
import { invalid, required, type FieldErrors } from './rules.ts'

export const LABEL_SELECTOR = 'meta/v1.LabelSelector'

/** False when the selector cannot be read; `detail` is how upstream says so. */
export function validateSelector(
  errors: FieldErrors,
  path: string,
  selector: LabelSelector | undefined,
  kind: string,
  detail = 'invalid label selector',
): boolean {
  if (!selector) {
    errors.push(required(path))
    return true
  }
  const before = errors.length
  validateLabelSelector(errors, path, selector)
  const isReadable = errors.length === before
  if (isEmptySelector(selector)) errors.push(invalid(path, selector, `empty selector is invalid for ${kind}`, LABEL_SELECTOR))
  if (!isReadable) errors.push(invalid(path, selector, detail, LABEL_SELECTOR))
  return isReadable
}

/** `path` is the template's. An empty selector picks everything, none nothing. */
export function checkSelectsTemplate(
  errors: FieldErrors,
  path: string,
  selector: LabelSelector | undefined,
  template: PodTemplateSpec,
): void {
  if (selector && isEmptySelector(selector)) return
  const labels = template.metadata?.labels
  if (!selector || !compileLabelSelector(selector)(labels ?? {}))
    errors.push(invalid(`${path}.metadata.labels`, asGiven(template.metadata, 'labels'), '`selector` does not match template `labels`'))
}
