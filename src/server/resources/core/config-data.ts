/** Keys and sizes of the data in ConfigMaps and Secrets, and what `immutable` forbids. */
import { configMapKeyFaults } from '../../../api/names.ts'
import { utf8Length } from '../object-meta.ts'
import { isEqual } from '../immutable.ts'
import { forbidden, invalid, tooLong, type FieldErrors } from '../rules.ts'

/** Of ConfigMaps and Secrets: what etcd takes well. */
const SIZE_LIMIT_BYTES = 1024 * 1024

/** How many bytes a base64 text stands for. */
export const base64Length = (text: string): number =>
  Math.floor((text.length * 3) / 4) - (text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0)

type Data = Readonly<Record<string, string>> | undefined

/** Checks the keys and adds up the bytes. */
export function validateKeys(errors: FieldErrors, path: string, data: Data, isBase64: boolean): number {
  let sizeBytes = 0
  for (const key in data) {
    for (const problem of configMapKeyFaults(key)) errors.push(invalid(`${path}[${key}]`, key, problem))
    sizeBytes += isBase64 ? base64Length(data[key] ?? '') : utf8Length(data[key] ?? '')
  }
  return sizeBytes
}

export function checkSize(errors: FieldErrors, path: string, sizeBytes: number): void {
  if (sizeBytes > SIZE_LIMIT_BYTES) errors.push(tooLong(path, SIZE_LIMIT_BYTES))
}

export function checkNotImmutable<T extends { readonly immutable?: boolean }>(
  errors: FieldErrors,
  next: T,
  old: T,
  fields: readonly (keyof T & string)[],
): void {
  if (!old.immutable) return
  const why = 'field is immutable when `immutable` is set'
  if (!next.immutable) errors.push(forbidden('immutable', why))
  for (const field of fields) if (!isEqual(next[field] ?? {}, old[field] ?? {})) errors.push(forbidden(field, why))
}
