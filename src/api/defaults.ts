/**
 * Fills what the schema says is always there: published defaults, and the empty values that upstream's JSON always holds (`spec: {}`,
 * `name: ""`). Defaults that depend on other fields are each kind's own business.
 *
 * A type's plan is made once; parts of an object that have nothing to fill are not visited, and filled-in values are shared.
 */
import { ZEROS, type Field, type TypeSchema } from './schema.ts'
import { builtInSchemas, type Schemas } from './schema-table.ts'

type Value = Readonly<Record<string, unknown>>

interface Visit {
  readonly field: Field
  readonly plan: Plan
}

interface Plan {
  /** Fields to set when absent. */
  readonly fills: (readonly [name: string, value: unknown])[]
  /** Fields whose values may lack something. */
  readonly visits: Visit[]
}

class Planner {
  readonly #schemas: Schemas
  readonly #plans = new WeakMap<TypeSchema, Plan>()

  constructor(schemas: Schemas) {
    this.#schemas = schemas
  }

  planOf(type: TypeSchema): Plan {
    const known = this.#plans.get(type)
    if (known) return known
    const plan: Plan = { fills: [], visits: [] }
    // Known before its fields are looked at: types refer to themselves.
    this.#plans.set(type, plan)
    for (const field of type.fields.values()) {
      const inner = field.type === 'message' ? this.#schemas.schemaOf(field.ref ?? '') : undefined
      const innerPlan = inner && this.planOf(inner)
      if (innerPlan && (innerPlan.fills.length > 0 || innerPlan.visits.length > 0 || inner === type))
        plan.visits.push({ field, plan: innerPlan })
      // A zero that is no pointer's would be left out again.
      if (field.default && typeof field.default !== 'object') plan.fills.push([field.name, field.default])
      else if (field.default !== undefined && field.isPointer) plan.fills.push([field.name, field.default])
      else if (field.isAlwaysWritten) plan.fills.push([field.name, innerPlan ? fill({}, innerPlan) : ZEROS[field.type]])
    }
    return plan
  }
}

function fill(object: Value, plan: Plan): Value {
  let copy: Record<string, unknown> | undefined
  for (const [name, value] of plan.fills) if (object[name] === undefined) (copy ??= { ...object })[name] = value
  for (const { field, plan: inner } of plan.visits) {
    const value = object[field.name]
    if (value === undefined || value === null) continue
    const filled = fillContained(value, field, inner)
    if (filled !== value) (copy ??= { ...object })[field.name] = filled
  }
  return copy ?? object
}

function fillContained(value: unknown, field: Field, plan: Plan): unknown {
  if (field.container === undefined) return fill(value as Value, plan)
  if (field.container === 'list') return mapChanged(value as readonly Value[], (item) => fill(item, plan))
  const entries = Object.entries(value as Readonly<Record<string, Value>>)
  const filled = entries.map(([key, item]) => [key, fill(item, plan)] as const)
  return filled.some(([, item], index) => item !== entries[index]?.[1]) ? Object.fromEntries(filled) : value
}

/** Array.map that returns the same array when nothing changed. */
function mapChanged<T>(items: readonly T[], change: (item: T) => T): readonly T[] {
  let copy: T[] | undefined
  for (const [index, item] of items.entries()) {
    const changed = change(item)
    if (changed !== item) copy ??= [...items]
    if (copy) copy[index] = changed
  }
  return copy ?? items
}

const planners = new WeakMap<Schemas, Planner>()

/** The object with everything filled that its type always has; the same object when it lacks nothing. */
export function applyDefaults<T extends object>(object: T, type: TypeSchema, schemas: Schemas = builtInSchemas): T {
  const planner = planners.get(schemas) ?? new Planner(schemas)
  planners.set(schemas, planner)
  return fill(object as Value, planner.planOf(type)) as T
}
