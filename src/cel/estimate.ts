/**
 * What an expression may cost at most, before it ever runs (cel-go checker/cost.go): by the sizes of what it names, which a schema
 * bounds, and those of what it makes of that. CustomResourceDefinitions are refused by it, so it is as exact as upstream's, in its
 * oddities too.
 */
import type { Call, Expr, Fold, Select } from './ast.ts'
import type { Checked } from './checker.ts'
import { LIST_COST, MAP_COST, STRUCT_COST } from './cost.ts'
import { ACCUMULATOR } from './macros.ts'
import { fixed, MOST, ONE, plus, times, union, UNKNOWN, type Operand, type Range } from './ranges.ts'
import { isOptional, type Type } from './types.ts'
import { lengthOf } from './values.ts'

/** Where a value comes from: a variable, then fields, `@items`, `@indices`, `@keys` and `@values`. */
export type Path = readonly string[]

/** The most that the value at a path may hold; undefined when nothing is known of it. */
export type Sizes = (path: Path) => number | undefined

/** The sizes of what a list or a map holds. */
interface Entries {
  readonly kind: 'list' | 'map'
  readonly key: Range
  readonly value: Range
}

interface Local {
  readonly path: Path
  readonly size?: Range | undefined
  readonly entries?: Entries | undefined
}

const NOTHING = fixed(0)
const NONE_YET: Range = { min: MOST, max: 0 }
const SCALARS: readonly Type['kind'][] = ['bool', 'double', 'duration', 'int', 'timestamp', 'uint']
const isScalar = (type: Type): boolean => SCALARS.includes(type.kind) || (isOptional(type) && isScalar(type.params[0]!))

export const estimateCost = (expr: Expr, checked: Checked, sizes: Sizes): Range => new Estimator(checked, sizes).cost(expr)

class Estimator {
  readonly #checked: Checked
  readonly #bounds: Sizes
  readonly #paths = new Map<Expr, Path>()
  readonly #sizes = new Map<Expr, Range>()
  readonly #entries = new Map<Expr, Entries>()
  readonly #locals: (readonly [name: string, local: Local])[] = []

  constructor(checked: Checked, bounds: Sizes) {
    this.#checked = checked
    this.#bounds = bounds
  }

  cost(expr: Expr): Range {
    switch (expr.kind) {
      case 'constant':
        return NOTHING
      case 'ident':
        this.#paths.set(expr, this.#local(expr.name)?.path ?? [expr.name])
        return ONE
      case 'select':
        return this.#select(expr)
      case 'call':
        return this.#call(expr)
      case 'list': {
        const cost = plus(fixed(LIST_COST), ...expr.elements.map((element) => this.cost(element)))
        this.#entries.set(expr, { kind: 'list', key: ONE, value: this.#sizeOfAll(expr.elements) })
        return cost
      }
      case 'map': {
        const cost = plus(fixed(MAP_COST), ...expr.entries.flatMap(({ key, value }) => [this.cost(key), this.cost(value)]))
        const [keys, values] = [expr.entries.map(({ key }) => key), expr.entries.map(({ value }) => value)]
        this.#entries.set(expr, { kind: 'map', key: this.#sizeOfAll(keys), value: this.#sizeOfAll(values) })
        return cost
      }
      case 'struct':
        return plus(fixed(STRUCT_COST), ...expr.fields.map(({ value }) => this.cost(value)))
      case 'fold': {
        const { range, condition } = expr
        const isBinding = range.kind === 'list' && range.elements.length === 0 && condition.kind === 'constant' && condition.value === false
        return isBinding && expr.accumulator !== ACCUMULATOR ? this.#binding(expr) : this.#loop(expr)
      }
    }
  }

  #local(name: string): Local | undefined {
    return this.#locals.findLast(([known]) => known === name)?.[1]
  }

  #path(expr: Expr): Path {
    return (expr.kind === 'ident' ? this.#local(expr.name)?.path : undefined) ?? this.#paths.get(expr) ?? []
  }

  #sizeOfAll(parts: readonly Expr[]): Range {
    return parts.map((part) => this.#sizeOrUnknown(part)).reduce(union, parts.length === 0 ? NOTHING : NONE_YET)
  }

  #select(expr: Select): Range {
    const reference = this.#checked.references.get(expr)
    if (reference && reference.kind !== 'function') {
      this.#paths.set(expr, [reference.name])
      return ONE
    }
    const operand = this.cost(expr.operand)
    // has() is free of charge.
    if (expr.isTest) return operand
    const type = this.#checked.typeOf(expr.operand)
    this.#paths.set(expr, [...this.#path(expr.operand), expr.field])
    const isCharged = type.kind === 'map' || type.kind === 'param' || (type.kind === 'object' && !isOptional(type))
    return isCharged ? plus(operand, ONE) : operand
  }

  #call(expr: Call): Range {
    const reference = this.#checked.references.get(expr)
    const { name, args } = expr
    if (name === 'dyn') {
      const cost = plus(this.cost(args[0]!), ONE)
      this.#copySizes(expr, args[0]!)
      return cost
    }
    const target = reference?.kind === 'function' && reference.isGlobal ? undefined : expr.target
    const argCosts = args.map((arg) => this.cost(arg))
    const targetCost = target ? this.cost(target) : NOTHING
    if (name === '_&&_' || name === '_||_') return { min: argCosts[0]!.min, max: plus(...argCosts).max }
    if (name === '_?_:_') return this.#conditional(expr, argCosts)
    // Selecting by `.?` is no function for the checker.
    if (reference?.kind !== 'function') return plus(ONE, targetCost, ...argCosts)
    const operands = (target ? [target, ...args] : args).map((arg) => this.#operand(arg))
    let cost = NONE_YET
    let size: Range | undefined
    for (const { id, cost: counted } of reference.overloads) {
      const estimate = counted?.estimate(operands) ?? { cost: ONE }
      cost = union(cost, estimate.cost)
      if (estimate.size) size = size ? union(size, estimate.size) : estimate.size
      if (name === '_+_' && estimate.size) this.#joinEntries(expr, args[0]!, args[1]!)
      if (id === 'index_list' || id === 'index_map') {
        size = this.#entriesOf(args[0]!)?.value
        this.#paths.set(expr, [...this.#path(args[0]!), id === 'index_list' ? '@items' : '@values'])
      }
      size ??= this.#size(expr)
    }
    if (size) this.#sizes.set(expr, size)
    return plus(cost, targetCost, ...argCosts)
  }

  #conditional(expr: Call, [condition, whenTrue, whenFalse]: readonly Range[]): Range {
    const [, first, second] = expr.args
    this.#joinEntries(expr, first!, second!)
    this.#sizes.set(expr, union(this.#sizeOrUnknown(first!), this.#sizeOrUnknown(second!)))
    return plus(condition!, union(whenTrue!, whenFalse!))
  }

  #loop(fold: Fold): Range {
    const { range, variables, init } = fold
    const outside = plus(this.cost(range), this.cost(init))
    const depth = this.#locals.push([fold.accumulator, this.#bound(init)])
    const entries = this.#entriesOf(range)
    const isList = (entries?.kind ?? this.#checked.typeOf(range).kind) === 'list'
    const at = (step: string): Path => [...this.#path(range), step]
    const key: Local = { path: at(isList ? '@indices' : '@keys'), size: entries?.key }
    const value: Local = { path: at(isList ? '@items' : '@values'), size: entries?.value }
    const [first, second] = variables
    if (second !== undefined) this.#locals.push([first, key], [second, value])
    else this.#locals.push([first, isList ? value : key])
    const inside = plus(this.cost(fold.condition), this.cost(fold.step))
    this.#locals.length = depth
    const result = this.cost(fold.result)
    this.#locals.length = depth - 1
    const count = this.#sizeOrUnknown(range)
    if (init.kind === 'constant') this.#copySize(fold, this.#size(init))
    else if (init.kind === 'list' || init.kind === 'map') {
      this.#sizes.set(fold, count)
      const made = this.#entriesOf(fold.step)
      if (made) this.#entries.set(fold, made)
    }
    return plus(outside, result, times(count, inside))
  }

  #binding(fold: Fold): Range {
    const cost = plus(this.cost(fold.range), this.cost(fold.init))
    const depth = this.#locals.push([fold.accumulator, this.#bound(fold.init)])
    const result = this.cost(fold.result)
    this.#locals.length = depth - 1
    this.#copySizes(fold, fold.result)
    return plus(cost, result)
  }

  #bound(expr: Expr): Local {
    return { path: this.#path(expr), size: this.#size(expr), entries: this.#entriesOf(expr) }
  }

  #copySize(to: Expr, size: Range | undefined): void {
    if (size) this.#sizes.set(to, size)
  }

  #copySizes(to: Expr, from: Expr): void {
    this.#copySize(to, this.#size(from))
    const entries = this.#entriesOf(from)
    if (entries) this.#entries.set(to, entries)
  }

  #joinEntries(to: Expr, a: Expr, b: Expr): void {
    const [first, second] = [this.#entriesOf(a), this.#entriesOf(b)]
    if (!first || !second) return
    this.#entries.set(to, { kind: first.kind, key: union(first.key, second.key), value: union(first.value, second.value) })
  }

  #entriesOf(expr: Expr): Entries | undefined {
    return this.#entries.get(expr) ?? (expr.kind === 'ident' ? this.#local(expr.name)?.entries : undefined)
  }

  #operand(expr: Expr): Operand {
    const type = this.#checked.typeOf(expr)
    const path = this.#path(expr)
    return {
      type,
      size: this.#sizeOrUnknown(expr),
      literal: expr.kind === 'constant' ? expr.value : undefined,
      elements: () => {
        const [element] = type.params
        if (!element) return undefined
        const most = path.length > 0 ? this.#bounds([...path, '@items']) : undefined
        return { type: element, size: most === undefined ? UNKNOWN : { min: 0, max: most } }
      },
    }
  }

  #sizeOrUnknown(expr: Expr): Range {
    return this.#size(expr) ?? UNKNOWN
  }

  #size(expr: Expr): Range | undefined {
    const known = this.#sizes.get(expr) ?? literalSize(expr)
    if (known) return known
    const path = this.#path(expr)
    const most = path.length > 0 ? this.#bounds(path) : undefined
    if (most !== undefined) {
      const size = { min: 0, max: most }
      this.#sizes.set(expr, size)
      return size
    }
    if (isScalar(this.#checked.typeOf(expr))) return ONE
    return expr.kind === 'ident' ? this.#local(expr.name)?.size : undefined
  }
}

function literalSize(expr: Expr): Range | undefined {
  switch (expr.kind) {
    case 'list':
      return fixed(expr.elements.length)
    case 'map':
      return fixed(expr.entries.length)
    case 'constant': {
      const { value } = expr
      return fixed(typeof value === 'string' ? lengthOf(value) : value instanceof Uint8Array ? value.length : 1)
    }
    default:
      return undefined
  }
}
