/** Rules of paths inside a volume, which must not lead out of it. */
import { invalid, type FieldErrors } from '../rules.ts'

export const FILE_MODE_PROBLEM = 'must be a number between 0 and 0777 (octal), both inclusive'
export const isFileMode = (mode: number): boolean => mode >= 0 && mode <= 0o777

export function validateNoBacksteps(errors: FieldErrors, path: string, target: string): void {
  if (target.split('/').includes('..')) errors.push(invalid(path, target, "must not contain '..'"))
}

/** Relative, and with no ".." in it. */
export function validateDescendingPath(errors: FieldErrors, path: string, target: string): void {
  if (target.startsWith('/')) errors.push(invalid(path, target, 'must be a relative path'))
  validateNoBacksteps(errors, path, target)
}

/** Names that begin with ".." are how the node swaps the files of a volume at once. */
export function validateLocalPath(errors: FieldErrors, path: string, target: string): void {
  validateDescendingPath(errors, path, target)
  if (target.startsWith('..') && !target.startsWith('../')) errors.push(invalid(path, target, "must not start with '..'"))
}
