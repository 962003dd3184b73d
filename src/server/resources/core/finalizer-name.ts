/** Finalizers of namespaces and metadata: qualified names; those without a domain are Kubernetes' own few. */
import { qualifiedNameFaults } from '../../../api/names.ts'
import { checkFormat, invalid, type FieldErrors } from '../rules.ts'

const STANDARD = ['kubernetes', 'orphan', 'foregroundDeletion']

export function validateFinalizerName(errors: FieldErrors, path: string, finalizer: string): void {
  checkFormat(errors, path, finalizer, qualifiedNameFaults)
  if (!finalizer.includes('/') && !STANDARD.includes(finalizer)) {
    errors.push(invalid(path, finalizer, 'name is neither a standard finalizer name nor is it fully qualified'))
  }
}
