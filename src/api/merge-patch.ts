/** JSON merge patch (RFC 7386). The result shares with the original whatever the patch does not touch. */
import type { Json } from './object.ts'
import { badRequest } from './status.ts'

type JsonObject = { readonly [key: string]: Json | undefined }

const isObject = (value: Json | undefined): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

/** A value as a target that has nothing yet would take it: without its nulls. */
function withoutNulls(patch: Json): Json {
  return isObject(patch) ? merge({}, patch) : patch
}

function merge(target: JsonObject, patch: JsonObject): JsonObject {
  let result: Record<string, Json | undefined> | undefined
  for (const [key, value] of Object.entries(patch)) {
    const current = Object.hasOwn(target, key) ? target[key] : undefined
    if (value === null || value === undefined) {
      if (current !== undefined) delete (result ??= { ...target })[key]
      continue
    }
    const next = isObject(value) && isObject(current) ? merge(current, value) : withoutNulls(value)
    if (next === current) continue
    // A plain assignment to this name would change the prototype.
    if (key === '__proto__') throw badRequest('Invalid JSON Patch')
    ;(result ??= { ...target })[key] = next
  }
  return result ?? target
}

/** Applies a merge patch to an object. Throws a BadRequest when the patch is no object. */
export function applyMergePatch<T extends object>(original: T, patch: Json): T {
  if (!isObject(patch)) throw badRequest('Invalid JSON Patch')
  return merge(original as JsonObject, patch) as T
}
