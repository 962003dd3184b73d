/**
 * A type as server-side apply sees it (KEP-555): what may be owned on its own and what only as a whole. Built-in kinds take theirs
 * from the generated table (apply-types.ts), custom resources from their structural schemas; the parts that no schema describes are
 * deduced: maps field by field, lists as a whole.
 */
import type { Json } from '../object.ts'

/** What a single value may be; `untyped` takes any of them. */
export type ApplyScalar = 'string' | 'numeric' | 'boolean' | 'untyped'

/** A value of a type is a scalar, a list or a map; where more than one is there, the value decides. */
export interface ApplyType {
  readonly scalar?: ApplyScalar
  readonly list?: ApplyList
  readonly map?: ApplyMap
}

export interface ApplyList {
  /** Owned as a whole. Otherwise it is a map of its items by their `keys`, or a set of scalars when there are none. */
  readonly isAtomic: boolean
  /** x-kubernetes-list-map-keys. */
  readonly keys: readonly string[]
  readonly element: ApplyType
}

export interface ApplyMap {
  /** Owned as a whole. */
  readonly isAtomic: boolean
  /** The fields of a struct; empty for a map. */
  readonly fields: ReadonlyMap<string, ApplyField>
  /** The type of whatever has no field. Undefined: nothing else may be there. */
  readonly element?: ApplyType
  /** Fields that Go writes as null when they are not given: in upstream's objects they are there with the struct, here absent. */
  readonly nulls?: ReadonlySet<string>
}

export interface ApplyField {
  readonly type: ApplyType
  /** The published default: stands in for a key of a list's item that is not given. */
  readonly default?: Json
}

const NO_FIELDS: ReadonlyMap<string, ApplyField> = new Map()

/** Anything, owned as a whole. */
export const ATOMIC: ApplyType = {
  scalar: 'untyped',
  get list() {
    return ATOMIC_LIST
  },
  map: {
    isAtomic: true,
    fields: NO_FIELDS,
    get element() {
      return ATOMIC
    },
  },
}

const ATOMIC_LIST: ApplyList = { isAtomic: true, keys: [], element: ATOMIC }

/** Anything, by what it is: maps field by field, lists as a whole. For what has no schema. */
export const DEDUCED: ApplyType = {
  scalar: 'untyped',
  list: ATOMIC_LIST,
  map: {
    isAtomic: false,
    fields: NO_FIELDS,
    get element() {
      return DEDUCED
    },
  },
}
