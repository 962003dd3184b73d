/**
 * The type checker of langdef.md ("Type checking") with cel-go's texts: every name must be declared, every call must have an
 * overload for its arguments, and `dyn` fits everywhere. What it finds out (types, overloads, which names are types) is what
 * the evaluator is built from.
 */
import type { Call, Expr, Fold, Issue, StructLiteral } from './ast.ts'
import type { Functions, Overload } from './function.ts'
import { dottedName } from './parser.ts'
import {
  BOOL,
  DOUBLE,
  DYN,
  ERROR,
  INT,
  NULL,
  STRING,
  BYTES,
  UINT,
  formatType,
  isAssignable,
  isDynamic,
  isOptional,
  isSameType,
  listOf,
  mapOf,
  objectOf,
  optionalOf,
  paramOf,
  substitute,
  typeOf,
  type Substitution,
  type Type,
} from './types.ts'
import { Uint, type Value } from './values.ts'

/** Where the fields of declared object types are looked up. */
export interface TypeProvider {
  /** The type of a field; undefined when the type has no such field. */
  fieldOf(typeName: string, field: string): Type | undefined
  hasType(typeName: string): boolean
}

export interface Environment {
  readonly variables: Readonly<Record<string, Type>>
  readonly functions: Functions
  readonly types: TypeProvider
}

/** What a name or a call means. */
export type Reference =
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'type'; readonly name: string }
  /** Those whose declared arguments fit; `isGlobal` when the receiver was part of the function's name. */
  | { readonly kind: 'function'; readonly overloads: readonly Overload[]; readonly isGlobal: boolean }

export interface Checked {
  readonly type: Type
  readonly references: ReadonlyMap<Expr, Reference>
  /** What every part of the tree is. */
  typeOf(expr: Expr): Type
}

/** Names that stand for the types themselves, as in `type(x) == int`. */
const TYPE_NAMES: Readonly<Record<string, Type>> = {
  bool: BOOL,
  int: INT,
  uint: UINT,
  double: DOUBLE,
  string: STRING,
  bytes: BYTES,
  list: listOf(DYN),
  map: mapOf(DYN, DYN),
  null_type: NULL,
  type: typeOf(DYN),
  optional_type: optionalOf(DYN),
  'google.protobuf.Timestamp': { kind: 'timestamp', name: 'timestamp', params: [] },
  'google.protobuf.Duration': { kind: 'duration', name: 'duration', params: [] },
  ...Object.fromEntries(
    ['net.IP', 'net.CIDR', 'kubernetes.Quantity', 'kubernetes.URL', 'kubernetes.Semver'].map((name) => [name, objectOf(name)]),
  ),
}

export function check(expr: Expr, environment: Environment): Checked | { readonly issues: readonly Issue[] } {
  const checker = new Checker(environment)
  const type = checker.check(expr)
  if (checker.issues.length === 0) checker.checkLiterals()
  if (checker.issues.length > 0) return { issues: checker.issues.toSorted((a, b) => a.at - b.at) }
  const { known, types, references } = checker
  return { type: substitute(known, type, true), references, typeOf: (part) => substitute(known, types.get(part) ?? DYN, true) }
}

class Checker {
  readonly issues: Issue[] = []
  readonly references = new Map<Expr, Reference>()
  readonly types = new Map<Expr, Type>()
  known: Substitution = new Map()
  readonly #environment: Environment
  /** Variables of the folds around, innermost last. */
  readonly #scopes: ReadonlyMap<string, Type>[] = []
  #fresh = 0
  /** How many format() calls are around. */
  #formatDepth = 0
  readonly #literals: { readonly parts: readonly Expr[]; readonly types: readonly Type[]; readonly isList: boolean }[] = []

  constructor(environment: Environment) {
    this.#environment = environment
  }

  check(expr: Expr): Type {
    const type = this.#check(expr)
    this.types.set(expr, type)
    return type
  }

  #check(expr: Expr): Type {
    switch (expr.kind) {
      case 'constant':
        return typeOfConstant(expr.value)
      case 'ident':
        return this.#resolveName(expr, expr.name) ?? this.#undeclared(expr.at, expr.name)
      case 'select': {
        const name = expr.isTest ? undefined : dottedName(expr)
        const qualified = name !== undefined && !this.#isLocal(name) ? this.#resolveName(expr, name) : undefined
        if (qualified) return qualified
        const field = this.#select(expr.at, this.check(expr.operand), expr.field)
        return expr.isTest ? BOOL : field
      }
      case 'call': {
        const isFormat = expr.name === 'format'
        if (isFormat) this.#formatDepth++
        const type = this.#call(expr)
        if (isFormat) this.#formatDepth--
        return type
      }
      case 'list': {
        const types = expr.elements.map((element, i) => this.#element(element, expr.optional.has(i)))
        this.#mustBeAlike(expr.elements, types, true)
        return listOf(this.#join(types))
      }
      case 'map': {
        const keys = expr.entries.map(({ key }) => key)
        const values = expr.entries.map(({ value }) => value)
        const keyTypes = keys.map((key) => this.check(key))
        const valueTypes = expr.entries.map(({ value, isOptional: maybe }) => this.#element(value, maybe))
        this.#mustBeAlike(keys, keyTypes, false)
        this.#mustBeAlike(values, valueTypes, false)
        return mapOf(this.#join(keyTypes), this.#join(valueTypes))
      }
      case 'struct':
        return this.#struct(expr)
      case 'fold':
        return this.#fold(expr)
    }
  }

  #report(at: number, message: string): Type {
    this.issues.push({ at, message })
    return ERROR
  }

  #undeclared(at: number, name: string): Type {
    return this.#report(at, `undeclared reference to '${name}' (in container '')`)
  }

  #mismatch(at: number, expected: Type, found: Type): Type {
    return this.#report(at, `expected type '${this.#format(expected)}' but found '${this.#format(found)}'`)
  }

  #format(type: Type): string {
    return formatType(substitute(this.known, type, false))
  }

  #freshParam(): Type {
    return paramOf(`_var${this.#fresh++}`)
  }

  #isLocal(name: string): boolean {
    const root = name.slice(0, name.indexOf('.'))
    return this.#scopes.some((scope) => scope.has(root))
  }

  #resolveName(expr: Expr, name: string): Type | undefined {
    for (let i = this.#scopes.length - 1; i >= 0; i--) {
      const local = this.#scopes[i]!.get(name)
      if (local) {
        this.references.set(expr, { kind: 'variable', name })
        return local
      }
    }
    const plain = name.startsWith('.') ? name.slice(1) : name
    const { variables } = this.#environment
    if (Object.hasOwn(variables, plain)) {
      this.references.set(expr, { kind: 'variable', name: plain })
      return variables[plain]!
    }
    const type = Object.hasOwn(TYPE_NAMES, plain) ? TYPE_NAMES[plain] : this.#environment.types.hasType(plain) ? objectOf(plain) : undefined
    if (!type) return undefined
    this.references.set(expr, { kind: 'type', name: plain })
    return typeOf(type)
  }

  #select(at: number, operand: Type, field: string): Type {
    const type = substitute(this.known, operand)
    if (isOptional(type)) return optionalOf(this.#select(at, type.params[0]!, field))
    switch (type.kind) {
      case 'map':
        return type.params[1]!
      case 'object': {
        const found = this.#environment.types.fieldOf(type.name, field)
        if (found) return found
        const isKnown = this.#environment.types.hasType(type.name)
        return this.#report(at, isKnown ? `undefined field '${field}'` : `unexpected failed resolution of '${type.name}'`)
      }
      case 'param':
        // What nothing is known of is taken to be anything.
        this.known.set(type.name, DYN)
        return DYN
      default:
        if (isDynamic(type)) return DYN
        return this.#report(at, `type '${this.#format(type)}' does not support field selection`)
    }
  }

  #element(expr: Expr, isOptionalElement: boolean): Type {
    const type = this.check(expr)
    if (!isOptionalElement) return type
    const resolved = substitute(this.known, type)
    if (isOptional(resolved)) return resolved.params[0]!
    return isDynamic(resolved) ? DYN : this.#mismatch(expr.at, optionalOf(type), type)
  }

  /** The one type of all, or dyn. */
  #join(types: readonly Type[]): Type {
    let joined: Type | undefined
    for (const type of types) {
      if (joined === undefined || (joined.kind === 'null' && this.#isAssignable(joined, type))) joined = type
      else if (!this.#isAssignable(joined, type)) joined = DYN
    }
    return joined ?? this.#freshParam()
  }

  /**
   * Kubernetes has the parts of a literal be of one type (cel.HomogeneousAggregateLiterals), but for the arguments of format().
   * Asked at the end, when all types are known.
   */
  #mustBeAlike(parts: readonly Expr[], types: readonly Type[], isList: boolean): void {
    if (this.#formatDepth === 0 && parts.length > 1) this.#literals.push({ parts, types, isList })
  }

  checkLiterals(): void {
    for (const { parts, types, isList } of this.#literals) {
      const [first, ...rest] = types.map((type) => substitute(this.known, type, true))
      for (const [i, type] of rest.entries()) {
        if (isSameType(first!, type)) continue
        this.#mismatch(parts[i + 1]!.at, first!, type)
        // Of a list one is told, of a map all.
        if (isList) break
      }
    }
  }

  /** Keeps what it learns only when the types fit. */
  #isAssignable(a: Type, b: Type): boolean {
    const attempt = new Map(this.known)
    if (!isAssignable(attempt, a, b)) return false
    this.known = attempt
    return true
  }

  #call(expr: Call): Type {
    const { name, target, args } = expr
    if (name === '_?._') return this.#optionalSelect(expr)
    if (name === '_&&_' || name === '_||_') {
      for (const arg of args) this.#mustBe(arg, BOOL)
      return BOOL
    }
    const { functions } = this.#environment
    if (!target) {
      const overloads = functions.get(name.startsWith('.') ? name.slice(1) : name)
      const types = args.map((arg) => this.check(arg))
      return overloads ? this.#resolveCall(expr, name.replace(/^\./, ''), overloads, types, false) : this.#undeclared(expr.at, name)
    }
    const prefix = dottedName(target)
    const global = prefix === undefined ? undefined : functions.get(`${prefix}.${name}`)
    if (global) {
      const types = args.map((arg) => this.check(arg))
      return this.#resolveCall(expr, `${prefix}.${name}`, global, types, false)
    }
    const types = [target, ...args].map((arg) => this.check(arg))
    const overloads = functions.get(name)
    return overloads ? this.#resolveCall(expr, name, overloads, types, true) : this.#undeclared(expr.at, name)
  }

  #optionalSelect({ at, args }: Call): Type {
    const [operand, field] = args
    if (field?.kind !== 'constant' || typeof field.value !== 'string') return this.#report(at, 'unsupported optional field selection')
    const type = this.check(operand!)
    const selected = substitute(this.known, this.#select(at, type, field.value))
    return isOptional(substitute(this.known, type)) ? selected : optionalOf(selected)
  }

  #resolveCall(expr: Call, name: string, overloads: readonly Overload[], args: readonly Type[], isMember: boolean): Type {
    const fitting: Overload[] = []
    let result: Type | undefined
    for (const overload of overloads) {
      if (overload.isMember !== isMember || overload.args.length !== args.length) continue
      const fresh = new Map<string, Type>()
      const declared = overload.args.map((type) => this.#instantiate(type, fresh))
      const attempt = new Map(this.known)
      if (!declared.every((type, i) => isAssignable(attempt, type, args[i]!))) continue
      this.known = attempt
      fitting.push(overload)
      const own = substitute(this.known, this.#instantiate(overload.result, fresh))
      result = result === undefined || isSameType(result, own) ? own : DYN
    }
    if (result === undefined) {
      const formatted = args.map((type) => formatType(substitute(this.known, type, true)))
      const signature = isMember ? `${formatted[0]}.(${formatted.slice(1).join(', ')})` : `(${formatted.join(', ')})`
      return this.#report(expr.at, `found no matching overload for '${name}' applied to '${signature}'`)
    }
    this.references.set(expr, { kind: 'function', overloads: fitting, isGlobal: !isMember })
    return result
  }

  /** Parameters of a declaration are its own at each use. */
  #instantiate(type: Type, fresh: Map<string, Type>): Type {
    if (type.kind === 'param') {
      const known = fresh.get(type.name)
      if (known) return known
      const made = this.#freshParam()
      fresh.set(type.name, made)
      return made
    }
    return type.params.length === 0 ? type : { ...type, params: type.params.map((param) => this.#instantiate(param, fresh)) }
  }

  #struct({ at, type, fields }: StructLiteral): Type {
    const { types } = this.#environment
    if (!types.hasType(type)) return this.#undeclared(at, type)
    for (const field of fields) {
      const found = this.#element(field.value, field.isOptional)
      const declared = types.fieldOf(type, field.name)
      if (!declared) this.#report(field.at, `undefined field '${field.name}'`)
      else if (!this.#isAssignable(declared, found)) {
        const [expected, provided] = [this.#format(declared), this.#format(found)]
        this.#report(field.at, `expected type of field '${field.name}' is '${expected}' but provided type is '${provided}'`)
      }
    }
    return objectOf(type)
  }

  #fold({ range, variables, accumulator, init, condition, step, result }: Fold): Type {
    const rangeType = substitute(this.known, this.check(range))
    const accumulatorType = this.check(init)
    const types = this.#variableTypes(range.at, rangeType, variables.length === 2)
    this.#scopes.push(new Map([[accumulator, accumulatorType]]))
    this.#scopes.push(new Map(variables.map((name, i) => [name, types[i]!])))
    this.#mustBe(condition, BOOL)
    this.#mustBe(step, accumulatorType)
    this.#scopes.pop()
    const type = this.check(result)
    this.#scopes.pop()
    return substitute(this.known, type)
  }

  #mustBe(expr: Expr, expected: Type): void {
    const found = this.check(expr)
    if (!this.#isAssignable(expected, found)) this.#mismatch(expr.at, expected, found)
  }

  #variableTypes(at: number, range: Type, isPair: boolean): readonly Type[] {
    if (range.kind === 'list') return isPair ? [INT, range.params[0]!] : [range.params[0]!]
    if (range.kind === 'map') return range.params
    if (range.kind === 'param') this.known.set(range.name, DYN)
    else if (!isDynamic(range)) {
      const text = `expression of type '${this.#format(range)}' cannot be range of a comprehension (must be list, map, or dynamic)`
      return [this.#report(at, text), ERROR]
    }
    return [DYN, DYN]
  }
}

function typeOfConstant(value: Value): Type {
  switch (typeof value) {
    case 'bigint':
      return INT
    case 'number':
      return DOUBLE
    case 'string':
      return STRING
    case 'boolean':
      return BOOL
    default:
      if (value === null) return NULL
      return value instanceof Uint ? UINT : BYTES
  }
}
