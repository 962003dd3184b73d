/**
 * A checked tree becomes closures, once; running them allocates only what the expression itself makes. `&&` and `||` are
 * commutative over errors: a side that decides wins over a side that failed (langdef.md, "Logical operators").
 */
import type { Call, Expr, Fold, ListLiteral, MapLiteral, Select, StructLiteral } from './ast.ts'
import type { Checked, Reference } from './checker.ts'
import { charge, comparing, equating, LIST_COST, MAP_COST, STRUCT_COST, surveying, type Frame } from './cost.ts'
import { isOfType, type Overload } from './function.ts'
import { ACCUMULATOR } from './macros.ts'
import {
  CelMap,
  EntryMap,
  equalValues,
  EvaluationError,
  formatKey,
  fromJson,
  isList,
  isNumeric,
  Opaque,
  Optional,
  TypeValue,
  typeNameOf,
  Uint,
  type Value,
} from './values.ts'

export type Compiled = (frame: Frame) => Value

const noOverload = (): EvaluationError => new EvaluationError('no such overload')

export function compileTree(expr: Expr, checked: Checked): Compiled {
  return new Compiler(checked).compile(expr)
}

const isAttribute = (expr: Expr): boolean =>
  expr.kind === 'ident' || expr.kind === 'select' || (expr.kind === 'call' && ['_[_]', '_?._', '_[?_]'].includes(expr.name))
const isConditional = (expr: Expr): boolean => expr.kind === 'call' && expr.name === '_?_:_'

/** What a selection reads from is charged once more when it is no name. */
const stepCost = (operand: Expr): number => (isAttribute(operand) || isConditional(operand) ? 1 : 2)

/** Of what is written out they are computed at once. */
const CONVERSIONS: ReadonlySet<string> = new Set('bool bytes double dyn duration int string timestamp type uint'.split(' '))

class Compiler {
  readonly #references: ReadonlyMap<Expr, Reference>
  /** Names of the folds' variables; a variable's slot is its index. */
  readonly #locals: string[] = []
  /** What is known before it runs: it is computed once, and is free of charge, as upstream has it. */
  readonly #constants = new Map<Compiled, Value>()

  constructor({ references }: Checked) {
    this.#references = references
  }

  compile(expr: Expr): Compiled {
    switch (expr.kind) {
      case 'constant':
        return this.#constant(expr.value)
      case 'ident':
        return this.#name(expr)!
      case 'select':
        return this.#name(expr) ?? this.#select(expr)
      case 'call':
        return this.#call(expr)
      case 'list':
        return this.#list(expr)
      case 'map':
        return this.#map(expr)
      case 'struct':
        return this.#struct(expr)
      case 'fold':
        return this.#fold(expr)
    }
  }

  #constant(value: Value): Compiled {
    const compiled = (): Value => value
    this.#constants.set(compiled, value)
    return compiled
  }

  /** What is made of constants only is one. */
  #folded(compiled: Compiled, parts: readonly Compiled[]): Compiled {
    if (!parts.every((part) => this.#constants.has(part))) return compiled
    return this.#constant(compiled({ activation: {}, locals: [], cost: 0, limit: Infinity }))
  }

  #name(expr: Expr): Compiled | undefined {
    const reference = this.#references.get(expr)
    if (!reference || reference.kind === 'function') return undefined
    const { kind, name } = reference
    if (kind === 'type') return this.#constant(new TypeValue(name))
    const slot = this.#locals.lastIndexOf(name)
    if (slot >= 0) {
      return (frame) => {
        charge(frame, 1)
        return frame.locals[slot]!
      }
    }
    return (frame) => {
      charge(frame, 1)
      const value = frame.activation[name]
      if (value === undefined) throw new EvaluationError(`no such attribute(s): ${name}`)
      return fromJson(value)
    }
  }

  #select({ operand, field, isTest }: Select): Compiled {
    const read = this.compile(operand)
    // Asking counts as the last step, and the name or value it starts from is free of charge.
    if (isTest) {
      return (frame) => {
        const value = read(frame)
        charge(frame, stepCost(operand) - 1)
        return hasField(value, field)
      }
    }
    const cost = stepCost(operand)
    return (frame) => {
      const value = read(frame)
      charge(frame, cost)
      return selectField(value, field)
    }
  }

  #list({ elements, optional }: ListLiteral): Compiled {
    const parts = elements.map((element) => this.compile(element))
    return this.#folded((frame) => {
      const list: Value[] = []
      for (const [i, part] of parts.entries()) {
        const value = part(frame)
        if (!optional.has(i)) list.push(value)
        else if (!(value instanceof Optional)) throw noOverload()
        else if (value.value !== undefined) list.push(value.value)
      }
      charge(frame, LIST_COST)
      return list
    }, parts)
  }

  #map({ entries }: MapLiteral): Compiled {
    const parts = entries.map(({ key, value, isOptional }) => ({ key: this.compile(key), value: this.compile(value), isOptional }))
    const make: Compiled = (frame) => {
      const found: [Value, Value][] = []
      for (const { key, value, isOptional } of parts) addEntry(found, key(frame), value(frame), isOptional)
      charge(frame, MAP_COST)
      return new EntryMap(found)
    }
    try {
      return this.#folded(make, parts.flatMap(({ key, value }) => [key, value])) // prettier-ignore
    } catch (error) {
      // Keys that repeat fail when the map is reached.
      if (error instanceof EvaluationError) return make
      throw error
    }
  }

  #struct({ type, fields }: StructLiteral): Compiled {
    const parts = fields.map(({ name, value, isOptional }) => ({ name, value: this.compile(value), isOptional }))
    return (frame) => {
      const found: [Value, Value][] = []
      for (const { name, value, isOptional } of parts) addEntry(found, name, value(frame), isOptional)
      charge(frame, STRUCT_COST)
      return new EntryMap(found, type)
    }
  }

  #call(expr: Call): Compiled {
    const special = this.#special(expr)
    if (special) return special
    const reference = this.#references.get(expr)
    if (reference?.kind !== 'function') throw new Error(`call of ${expr.name} was not checked`)
    const { overloads, isGlobal } = reference
    const args = (expr.target && !isGlobal ? [expr.target, ...expr.args] : expr.args).map((arg) => this.compile(arg))
    const membership = expr.name === '@in' && overloads.length === 1 ? this.#membership(args[0]!, args[1]!) : undefined
    if (membership) return membership
    // Which of several it will be is not known when it is planned: upstream then counts one.
    const counted = overloads.length === 1 || overloads[0]!.cost === surveying
    const costOf = ({ cost }: Overload, values: readonly Value[], result: Value): number => (counted && cost ? cost.of(values, result) : 1)
    const call: Compiled = (frame) => {
      const values = args.map((arg) => arg(frame))
      const chosen = choose(expr.name, overloads, values)
      let result: Value
      try {
        result = chosen.call(...values)
      } catch (error) {
        if (error instanceof EvaluationError) charge(frame, costOf(chosen, values, null))
        throw error
      }
      charge(frame, costOf(chosen, values, result))
      return result
    }
    return CONVERSIONS.has(expr.name) && args.length === 1 ? this.#folded(call, args) : call
  }

  /** Looking for something in a list that is written out is free of charge. */
  #membership(item: Compiled, list: Compiled): Compiled | undefined {
    const known = this.#constants.get(list)
    if (known === undefined || !isList(known)) return undefined
    if (known.length === 0) return this.#constant(false)
    if (!known.every((one) => isNumeric(one) || typeof one === 'string' || typeof one === 'boolean')) return undefined
    return (frame) => {
      const wanted = item(frame)
      return known.some((one) => equalValues(wanted, one))
    }
  }

  /** What evaluates its arguments in its own way, or is worth a way of its own. */
  #special({ name, target, args }: Call): Compiled | undefined {
    const [first, second, third] = args
    if (target) return name === 'or' || name === 'orValue' ? this.#orElse(target, first!, name === 'orValue') : undefined
    switch (name) {
      case '_&&_':
        return decide(this.compile(first!), this.compile(second!), false)
      case '_||_':
        return decide(this.compile(first!), this.compile(second!), true)
      case '_?_:_':
        return conditional(this.compile(first!), this.#branch(second!), this.#branch(third!))
      case '@not_strictly_false':
        return notStrictlyFalse(this.compile(first!))
      case '_==_':
        return equality(this.compile(first!), this.compile(second!), true)
      case '_!=_':
        return equality(this.compile(first!), this.compile(second!), false)
      case '_[_]':
        return this.#index(first!, second!, indexValue)
      case '_[?_]':
      case '_?._':
        return this.#index(first!, second!, indexOptional)
      case '_+_':
        return first?.kind === 'ident' && first.name === ACCUMULATOR && second?.kind === 'list' ? this.#append(first, second) : undefined
      default:
        return undefined
    }
  }

  /** A name that is one side of a conditional is free of charge, but for what is selected from it. */
  #branch(expr: Expr): Compiled {
    const side = this.compile(expr)
    if (!isAttribute(expr) || this.#constants.has(side)) return side
    return (frame) => {
      frame.cost--
      return side(frame)
    }
  }

  #index(operand: Expr, key: Expr, read: (value: Value, key: Value) => Value): Compiled {
    const [readOperand, readKey] = [this.compile(operand), this.compile(key)]
    // A name as the key is the step itself.
    const cost = stepCost(operand) - (isAttribute(key) && !this.#constants.has(readKey) ? 1 : 0)
    const isOptional = read === indexOptional
    return (frame) => {
      const value = readOperand(frame)
      const at = readKey(frame)
      const found = read(value, at)
      charge(frame, isOptional && found instanceof Optional && found.value === undefined ? cost - 1 : cost)
      return found
    }
  }

  /** The list that a macro gathers is its own: it grows in place. */
  #append(accumulator: Expr, list: ListLiteral): Compiled {
    const [readList, readItems] = [this.compile(accumulator), this.compile(list)]
    return (frame) => {
      const gathered = readList(frame) as Value[]
      gathered.push(...(readItems(frame) as readonly Value[]))
      charge(frame, 1)
      return gathered
    }
  }

  #orElse(target: Expr, other: Expr, isValue: boolean): Compiled {
    const [readOptional, readOther] = [this.compile(target), this.compile(other)]
    return (frame) => {
      const optional = readOptional(frame)
      if (!(optional instanceof Optional)) throw noOverload()
      if (optional.value === undefined) return readOther(frame)
      return isValue ? optional.value : optional
    }
  }

  #fold({ range, variables, accumulator, init, condition, step, result }: Fold): Compiled {
    const mayHold = init.kind === 'constant' && typeof init.value === 'boolean'
    const readRange = this.compile(range)
    // What is gathered grows in place: each time anew.
    const start = init.kind === 'list' && init.elements.length === 0 ? (): Value => [] : this.compile(init)
    const slot = this.#locals.push(accumulator) - 1
    const first = this.#locals.push(variables[0]) - 1
    const second = variables.length === 2 ? this.#locals.push(variables[1]) - 1 : undefined
    const [goOn, advance] = [this.compile(condition), this.compile(step)]
    this.#locals.length = slot + 1
    const finish = this.compile(result)
    this.#locals.length = slot
    return (frame) => {
      const over = readRange(frame)
      const { locals } = frame
      let keys: readonly Value[]
      if (isList(over)) keys = over
      else if (over instanceof CelMap) keys = over.keys()
      else throw new EvaluationError(`got '${typeNameOf(over)}', expected iterable type`)
      locals[slot] = start(frame)
      for (const [i, key] of keys.entries()) {
        locals[first] = second === undefined || !isList(over) ? key : BigInt(i)
        if (second !== undefined) locals[second] = isList(over) ? key : over.get(key)!
        if (goOn(frame) !== true) break
        locals[slot] = mayHold ? holdingErrors(advance, frame) : advance(frame)
      }
      const outcome = locals[slot]
      if (outcome instanceof Held) throw outcome.error
      return finish(frame)
    }
  }
}

/**
 * An error inside a quantifier waits for the other elements, one of which may still decide. It sits in the accumulator, where
 * `&&`, `||` and the condition meet it as they would meet any error.
 */
class Held extends Opaque {
  readonly typeName = 'error'
  readonly error: EvaluationError
  constructor(error: EvaluationError) {
    super()
    this.error = error
  }
}

function holdingErrors(advance: Compiled, frame: Frame): Value {
  try {
    return advance(frame)
  } catch (error) {
    if (error instanceof EvaluationError) return new Held(error)
    throw error
  }
}

function choose(name: string, overloads: readonly Overload[], values: readonly Value[]): Overload {
  for (const overload of overloads) if (overload.args.every((type, i) => isOfType(values[i]!, type))) return overload
  const [first] = values
  const isNamed = name === 'size' || (OPERATORS.has(name) && (first === null || first instanceof CelMap || first instanceof Opaque))
  throw isNamed ? new EvaluationError(`no such overload: ${name}`) : noOverload()
}

/** They are named when what comes first knows none of them. */
const OPERATORS: ReadonlySet<string> = new Set(['_+_', '_-_', '_*_', '_/_', '_%_', '_<_', '_<=_', '_>_', '_>=_', '-_'])

/** The value, or the error that it stands for or that getting it threw. */
function attempt(side: Compiled, frame: Frame): Value | EvaluationError {
  try {
    const value = side(frame)
    if (typeof value === 'boolean') return value
    return value instanceof Held ? value.error : noOverload()
  } catch (error) {
    if (error instanceof EvaluationError) return error
    throw error
  }
}

/** `&&` with false as what decides, `||` with true. */
function decide(left: Compiled, right: Compiled, decisive: boolean): Compiled {
  return (frame) => {
    const first = attempt(left, frame)
    if (first === decisive) return decisive
    const second = attempt(right, frame)
    if (second === decisive) return decisive
    if (first instanceof EvaluationError) throw first
    if (second instanceof EvaluationError) throw second
    return !decisive
  }
}

function conditional(condition: Compiled, whenTrue: Compiled, whenFalse: Compiled): Compiled {
  return (frame) => {
    const verdict = condition(frame)
    if (verdict === true) return whenTrue(frame)
    if (verdict === false) return whenFalse(frame)
    throw noOverload()
  }
}

function notStrictlyFalse(inner: Compiled): Compiled {
  return (frame) => {
    const value = attempt(inner, frame)
    charge(frame, 1)
    return value !== false
  }
}

function equality(left: Compiled, right: Compiled, wanted: boolean): Compiled {
  const cost = wanted ? equating : comparing
  return (frame) => {
    const [a, b] = [left(frame), right(frame)]
    charge(frame, cost.of([a, b], null))
    return equalValues(a, b) === wanted
  }
}

function addEntry(entries: [Value, Value][], key: Value, value: Value, isOptional: boolean): void {
  if (!isOptional) entries.push([key, value])
  else if (!(value instanceof Optional)) throw noOverload()
  else if (value.value !== undefined) entries.push([key, value.value])
}

function hasField(value: Value, field: string): boolean {
  if (value instanceof Optional) return value.value !== undefined && hasField(value.value, field)
  if (value instanceof CelMap) return value.get(field) !== undefined
  if (isList(value)) throw new EvaluationError(`unsupported index type 'string' in list`)
  if (value === null) throw new EvaluationError(`no such key: ${field}`)
  if (value instanceof Opaque) throw noOverload()
  return false
}

function selectField(value: Value, field: string): Value {
  if (value instanceof CelMap) {
    const found = value.get(field)
    if (found === undefined) throw new EvaluationError(`no such key: ${field}`)
    return found
  }
  if (value instanceof Optional) {
    const { value: held } = value
    if (held === undefined || held instanceof CelMap || held instanceof Optional) return indexOptional(value, field)
  }
  throw noOverload()
}

function positionOf(key: Value): number | undefined {
  if (!isNumeric(key)) return undefined
  const position = Number(key instanceof Uint ? key.value : key)
  return Number.isInteger(position) ? position : undefined
}

function indexValue(value: Value, key: Value): Value {
  if (isList(value)) {
    const position = positionOf(key)
    if (position === undefined) throw new EvaluationError(`unsupported index type '${typeNameOf(key)}' in list`)
    if (position < 0 || position >= value.length) throw new EvaluationError(`index out of bounds: ${position}`)
    return value[position]!
  }
  if (value instanceof CelMap) {
    const found = value.get(key)
    if (found === undefined) throw new EvaluationError(`no such key: ${formatKey(key)}`)
    return found
  }
  if (value instanceof Optional) {
    const { value: held } = value
    if (held === undefined || held instanceof CelMap || held instanceof Optional || isList(held)) return indexOptional(value, key)
  }
  throw noOverload()
}

/** What is not there is an empty optional; so is whatever is read from one. */
function indexOptional(value: Value, key: Value): Value {
  if (value instanceof Optional) return value.value === undefined ? value : indexOptional(value.value, key)
  if (value instanceof CelMap) return optional(value.get(key))
  if (!isList(value)) return Optional.none
  const position = positionOf(key)
  if (position === undefined) throw new EvaluationError(`unsupported index type '${typeNameOf(key)}' in list`)
  return optional(value[position])
}

const optional = (value: Value | undefined): Optional => (value === undefined ? Optional.none : new Optional(value))
