/**
 * JSON patch (RFC 6902) as upstream's library (evanphx/json-patch v4) applies it: all operations or none, at most 10,000 of them,
 * negative indexes count from the end.
 * The original stays as it is; the result shares with it what no operation touched.
 */
import type { Json } from './object.ts'
import { badRequest, failure, isApiError, unprocessable } from './status.ts'

const MAX_OPERATIONS = 10_000
/** What all `copy` operations of one patch may add, roughly in bytes: a few of them could double an object without end. */
const MAX_COPIED = 3 * 1024 * 1024

type Container = Record<string, Json | undefined> | Json[]

interface Operation {
  readonly op: string
  readonly path: string
  readonly from?: string
  readonly value?: Json
}

const isContainer = (value: Json | undefined): value is Json & object => typeof value === 'object' && value !== null

/** Any failure of applying is the same answer; upstream logs the rest. */
const fail = (): never => {
  throw unprocessable()
}

/** Whatever stands before the first slash upstream's library does not look at. */
function parsePointer(pointer: string): string[] {
  const slash = pointer.indexOf('/')
  if (slash < 0) return pointer === '' ? [] : fail()
  return pointer
    .slice(slash + 1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** The index of a part in a list; `end` allows one past the last. */
function indexOf(list: readonly unknown[], part: string, end: boolean): number {
  if (end && part === '-') return list.length
  if (!/^-?\d+$/.test(part)) return fail()
  const number = Number(part)
  const index = number < 0 ? number + list.length + (end ? 1 : 0) : number
  return index < 0 || index > list.length - (end ? 0 : 1) ? fail() : index
}

/** Numbers of keys and characters of strings, stopping when the budget is spent. */
function sizeOf(value: Json | undefined, budget: number): number {
  if (typeof value === 'string') return value.length + 2
  if (!isContainer(value)) return 5
  let size = 2
  for (const [key, item] of Object.entries(value)) {
    size += key.length + 3 + sizeOf(item, budget - size)
    if (size > budget) return size
  }
  return size
}

export function deepEqual(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true
  if (!isContainer(a) || !isContainer(b) || Array.isArray(a) !== Array.isArray(b)) return false
  const keys = Object.keys(a)
  const [left, right] = [a as Record<string, Json>, b as Record<string, Json>]
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(right, key) && deepEqual(left[key], right[key]))
}

class Patcher {
  #root: Json | undefined
  /** Containers made by this patch: they may be changed in place. */
  #owned = new WeakSet<object>()
  #copied = 0

  constructor(root: Json) {
    this.#root = root
  }

  get result(): Json {
    return this.#root ?? fail()
  }

  apply({ op, path, from, value }: Operation): void {
    switch (op) {
      case 'add':
        return this.#add(path, value ?? null)
      case 'remove':
        this.#remove(path)
        return
      case 'replace':
        return this.#replace(path, value ?? null)
      case 'move':
        return this.#add(path, this.#remove(from ?? fail()))
      case 'copy':
        return this.#copy(path, from ?? fail())
      case 'test':
        // A test for null passes on what is absent, as upstream's does.
        if (!deepEqual(this.#read(path) ?? null, value ?? null)) fail()
        return
      default:
        fail()
    }
  }

  /** Undefined when an object lacks the last part: a test sees null there, and a copy takes it. */
  #read(pointer: string): Json | undefined {
    const parts = parsePointer(pointer)
    let value = this.#root
    for (const [index, part] of parts.entries()) {
      if (!isContainer(value)) return fail()
      const isLast = index === parts.length - 1
      if (Array.isArray(value)) value = value[indexOf(value, part, false)] as Json
      else if (Object.hasOwn(value, part)) value = (value as Record<string, Json>)[part]
      else return isLast ? undefined : fail()
    }
    return value
  }

  #own(value: Json | undefined): Container {
    if (!isContainer(value)) return fail()
    if (this.#owned.has(value)) return value as Container
    const copy: Container = Array.isArray(value) ? [...(value as Json[])] : { ...(value as Record<string, Json>) }
    this.#owned.add(copy)
    return copy
  }

  /** The container of the last part, copied all the way down so that it may be changed. */
  #parentOf(parts: readonly string[]): Container {
    let container = this.#own(this.#root)
    this.#root = container as Json
    for (const part of parts.slice(0, -1)) {
      const key = Array.isArray(container) ? indexOf(container, part, false) : part
      if (!Object.hasOwn(container, key)) return fail()
      const inner = this.#own((container as Record<string | number, Json>)[key])
      ;(container as Record<string | number, Json>)[key] = inner as Json
      container = inner
    }
    return container
  }

  #split(pointer: string): { parts: string[]; last: string } {
    const parts = parsePointer(pointer)
    const last = parts.at(-1) ?? fail()
    if (parts.includes('__proto__')) fail()
    return { parts, last }
  }

  #add(pointer: string, value: Json): void {
    const { parts, last } = this.#split(pointer)
    const parent = this.#parentOf(parts)
    if (Array.isArray(parent)) parent.splice(indexOf(parent, last, true), 0, value)
    else parent[last] = value
  }

  #remove(pointer: string): Json {
    const { parts, last } = this.#split(pointer)
    const parent = this.#parentOf(parts)
    if (Array.isArray(parent)) return parent.splice(indexOf(parent, last, false), 1)[0] ?? null
    if (!Object.hasOwn(parent, last)) return fail()
    const value = parent[last] ?? null
    delete parent[last]
    return value
  }

  #replace(pointer: string, value: Json): void {
    if (pointer === '') {
      this.#root = value
      return
    }
    const { parts, last } = this.#split(pointer)
    const parent = this.#parentOf(parts)
    if (Array.isArray(parent)) parent[indexOf(parent, last, false)] = value
    // As upstream's library has it, not RFC 6902: what an object lacks is set.
    else parent[last] = value
  }

  #copy(pointer: string, from: string): void {
    const value = (from === '' ? fail() : this.#read(from)) ?? null
    this.#copied += sizeOf(value, MAX_COPIED - this.#copied)
    if (this.#copied > MAX_COPIED) fail()
    // Now two places hold the value: neither may be changed in place.
    this.#owned = new WeakSet()
    this.#add(pointer, value)
  }
}

function readOperations(patch: Json): readonly Operation[] {
  if (!Array.isArray(patch)) throw badRequest('json: cannot unmarshal object into Go value of type jsonpatch.Patch')
  if (patch.length > MAX_OPERATIONS) {
    throw failure(
      'RequestEntityTooLarge',
      `Request entity too large: The allowed maximum operations in a JSON patch is ${MAX_OPERATIONS}, got ${patch.length}`,
    )
  }
  return patch as readonly Operation[]
}

/** Applies a JSON patch to an object. Throws BadRequest, RequestEntityTooLarge or, when an operation does not fit, Invalid. */
export function applyJsonPatch<T extends object>(original: T, patch: Json): T {
  const patcher = new Patcher(original as Json)
  for (const operation of readOperations(patch)) {
    if (!isContainer(operation as unknown as Json) || typeof operation.path !== 'string') fail()
    patcher.apply(operation)
  }
  return patcher.result as T
}

/** Why a patch does not fit, in the words of upstream's library, for those who tell; the first operation that fails. */
export function patchFault(original: object, patch: Json): string | undefined {
  const patcher = new Patcher(original as Json)
  for (const operation of readOperations(patch)) {
    try {
      patcher.apply(operation)
    } catch (error) {
      if (!isApiError(error, 'Invalid')) throw error
      return faultOf(operation)
    }
  }
  return undefined
}

function faultOf({ op, path }: Operation): string {
  switch (op) {
    case 'remove':
      return `error in remove for path: '${path}': Unable to remove nonexistent key: ${path.split('/').at(-1)}: missing value`
    case 'replace':
      return `replace operation does not apply: doc is missing key: ${path}: missing value`
    case 'test':
      return `testing value ${path} failed: test failed`
    case 'add':
      return `add operation does not apply: doc is missing path: "${path}": missing value`
    default:
      return `Unexpected kind: ${op}`
  }
}
