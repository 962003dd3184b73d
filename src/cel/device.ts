/**
 * Expressions that select devices (KEP-4381). They see one variable, `device`: its driver, and attributes and capacities by the
 * domain that defines them. Upstream: dynamic-resource-allocation/cel.
 */
import { compile, type CompileFailure, type Program } from './compile.ts'
import type { Sizes } from './estimate.ts'
import { BOOL, DYN, formatType, mapOf, objectOf, STRING, type Type } from './types.ts'

const TYPE = 'kubernetes.DRADevice'
const FIELDS: Readonly<Record<string, Type>> = {
  driver: STRING,
  allowMultipleAllocations: BOOL,
  attributes: mapOf(STRING, mapOf(STRING, DYN)),
  capacity: mapOf(STRING, mapOf(STRING, objectOf('kubernetes.Quantity'))),
}
const TYPES = {
  fieldOf: (name: string, field: string) => (name === TYPE ? FIELDS[field] : undefined),
  hasType: (name: string) => name === TYPE,
}

const MAX_DOMAIN = 63
const MAX_ID = 32
const MAX_ENTRIES = 32
const MAX_VALUE = 64

/** What a device may hold at most, by the path to it: a domain's map, then what stands under a name there. */
const sizes: Sizes = ([, field, ...steps]) => {
  if (field === undefined) return 0
  if (field === 'driver') return MAX_DOMAIN
  if (field === 'allowMultipleAllocations') return 1
  const [domain, id] = steps
  if (domain === undefined) return MAX_ENTRIES
  if (domain === '@keys') return MAX_DOMAIN
  if (id === undefined) return MAX_ENTRIES
  if (id === '@keys') return MAX_ID
  return field === 'attributes' ? MAX_VALUE : id === '@values' || id === '@items' ? 0 : undefined
}

/** A selector that compiles; its estimated cost is always told. */
export function compileDeviceExpression(expression: string): Program | CompileFailure | { readonly errors: string; readonly isType: true } {
  const program = compile(expression, { device: objectOf(TYPE) }, TYPES, { sizes, hasBindings: true })
  if ('errors' in program || program.type.kind === 'bool' || program.type.kind === 'dyn') return program
  return { errors: `must evaluate to bool or the unknown type, not ${formatType(program.type)}`, isType: true }
}
