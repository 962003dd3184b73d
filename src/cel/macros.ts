/**
 * The macros of langdef.md and of cel-go's optional and two-variable comprehension libraries: rewritten to folds while parsing.
 * The shapes of the folds are cel-go's own, because their parts are what an evaluation is charged for.
 */
import type { Call, Constant, Expr, Fold, Ident, Issue, ListLiteral } from './ast.ts'
import type { Value } from './values.ts'

/** No identifier of a source can have this name. */
export const ACCUMULATOR = '@result'

interface Expansion {
  readonly at: number
  readonly target: Expr
  readonly args: readonly Expr[]
}

const constant = (at: number, value: Value): Constant => ({ kind: 'constant', at, value })
const ident = (at: number, name: string): Ident => ({ kind: 'ident', at, name })
const call = (at: number, name: string, ...args: Expr[]): Call => ({ kind: 'call', at, name, target: undefined, args })
const list = (at: number, ...elements: Expr[]): ListLiteral => ({ kind: 'list', at, elements, optional: new Set() })
const accumulated = (at: number): Ident => ident(at, ACCUMULATOR)

export interface ParseOptions {
  /** Whether there is cel.bind(name, value, expression), which cel-go has as an extension. */
  readonly hasBindings?: boolean
}

class MacroFault extends Error {
  readonly issue: Issue
  constructor(at: number, message: string) {
    super(message)
    this.issue = { at, message }
  }
}

function variableOf(expr: Expr, message: string): string {
  if (expr.kind !== 'ident') throw new MacroFault(expr.at, message)
  if (expr.name === ACCUMULATOR || expr.name === '__result__')
    throw new MacroFault(expr.at, 'iteration variable overwrites accumulator variable')
  return expr.name
}

/** The variables of a comprehension: every argument but the last `bodies`. */
function variablesOf(args: readonly Expr[], isPair: boolean): Fold['variables'] {
  if (!isPair) return [variableOf(args[0]!, 'argument must be a simple name')]
  const first = variableOf(args[0]!, 'argument must be a simple name')
  const second = variableOf(args[1]!, 'argument must be a simple name')
  if (first === second) throw new MacroFault(args[1]!.at, `duplicate variable name: ${first}`)
  return [first, second]
}

interface Loop {
  readonly init: Expr
  readonly condition?: Expr
  readonly step: Expr
  readonly result?: Expr
}

const fold = ({ at, target }: Expansion, variables: Fold['variables'], loop: Loop): Fold => ({
  kind: 'fold',
  at,
  range: target,
  variables,
  accumulator: ACCUMULATOR,
  condition: constant(at, true),
  result: accumulated(at),
  ...loop,
})

function all(use: Expansion, isPair: boolean): Expr {
  const { at, args } = use
  return fold(use, variablesOf(args, isPair), {
    init: constant(at, true),
    condition: call(at, '@not_strictly_false', accumulated(at)),
    step: call(at, '_&&_', accumulated(at), args.at(-1)!),
  })
}

function exists(use: Expansion, isPair: boolean): Expr {
  const { at, args } = use
  return fold(use, variablesOf(args, isPair), {
    init: constant(at, false),
    condition: call(at, '@not_strictly_false', call(at, '!_', accumulated(at))),
    step: call(at, '_||_', accumulated(at), args.at(-1)!),
  })
}

function existsOne(use: Expansion, isPair: boolean): Expr {
  const { at, args } = use
  return fold(use, variablesOf(args, isPair), {
    init: constant(at, 0n),
    step: call(at, '_?_:_', args.at(-1)!, call(at, '_+_', accumulated(at), constant(at, 1n)), accumulated(at)),
    result: call(at, '_==_', accumulated(at), constant(at, 1n)),
  })
}

/** Both `map` and `transformList`: an optional filter, then what each becomes. */
function collect(use: Expansion, isPair: boolean): Expr {
  const { at, args } = use
  const append = call(at, '_+_', accumulated(at), list(at, args.at(-1)!))
  const hasFilter = args.length > (isPair ? 3 : 2)
  return fold(use, variablesOf(args, isPair), {
    init: list(at),
    step: hasFilter ? call(at, '_?_:_', args.at(-2)!, append, accumulated(at)) : append,
  })
}

function filter(use: Expansion): Expr {
  const { at, args } = use
  const variables = variablesOf(args, false)
  return fold(use, variables, {
    init: list(at),
    step: call(at, '_?_:_', args[1]!, call(at, '_+_', accumulated(at), list(at, args[0]!)), accumulated(at)),
  })
}

function transformMap(use: Expansion, insert: (at: number, variables: Fold['variables'], result: Expr) => Expr): Expr {
  const { at, args } = use
  const variables = variablesOf(args, true)
  const inserted = insert(at, variables, args.at(-1)!)
  return fold(use, variables, {
    init: { kind: 'map', at, entries: [] },
    step: args.length > 3 ? call(at, '_?_:_', args[2]!, inserted, accumulated(at)) : inserted,
  })
}

/** The expression with a name for a value that is computed once. */
const binding = (at: number, accumulator: string, init: Expr, result: Expr): Fold => ({
  kind: 'fold',
  at,
  range: list(at),
  variables: ['#unused'],
  accumulator,
  init,
  condition: constant(at, false),
  step: ident(at, accumulator),
  result,
})

/** `x.optMap(v, expr)`: the expression with `v` bound to what the optional holds. */
function optionalMap(macro: string, { at, target, args }: Expansion, wrap: (at: number, expr: Expr) => Expr): Expr {
  const name = variableOf(args[0]!, `${macro}() variable name must be a simple identifier`)
  const bound = binding(at, name, { kind: 'call', at, name: 'value', target, args: [] }, args[1]!)
  const hasValue: Call = { kind: 'call', at, name: 'hasValue', target, args: [] }
  return call(at, '_?_:_', hasValue, wrap(at, bound), call(at, 'optional.none'))
}

/** `list.sortBy(v, key)`: the list by the keys that its elements have; it is evaluated once. */
function sortBy({ at, target, args }: Expansion): Expr {
  const name = '@sortInput'
  const input = ident(at, name)
  variableOf(args[0]!, 'argument is not an identifier')
  const keys = collect({ at, target: input, args }, false)
  return binding(at, name, target, { kind: 'call', at, name: '@sortByAssociatedKeys', target: input, args: [keys] })
}

const bind = ({ at, args: [name, value, result] }: Expansion): Expr =>
  binding(at, variableOf(name!, 'cel.bind() variable names must be simple identifiers'), value!, result!)

type Macro = (use: Expansion) => Expr

/** By name and number of arguments. */
const MACROS: Readonly<Record<string, Macro>> = {
  'all/2': (use) => all(use, false),
  'all/3': (use) => all(use, true),
  'exists/2': (use) => exists(use, false),
  'exists/3': (use) => exists(use, true),
  'exists_one/2': (use) => existsOne(use, false),
  'existsOne/3': (use) => existsOne(use, true),
  'exists_one/3': (use) => existsOne(use, true),
  'map/2': (use) => collect(use, false),
  'map/3': (use) => collect(use, false),
  'filter/2': filter,
  'transformList/3': (use) => collect(use, true),
  'transformList/4': (use) => collect(use, true),
  'transformMap/3': (use) => transformMap(use, (at, [key], value) => call(at, 'cel.@mapInsert', accumulated(at), ident(at, key), value)),
  'transformMap/4': (use) => transformMap(use, (at, [key], value) => call(at, 'cel.@mapInsert', accumulated(at), ident(at, key), value)),
  'transformMapEntry/3': (use) => transformMap(use, (at, _, entry) => call(at, 'cel.@mapInsert', accumulated(at), entry)),
  'transformMapEntry/4': (use) => transformMap(use, (at, _, entry) => call(at, 'cel.@mapInsert', accumulated(at), entry)),
  'sortBy/2': sortBy,
  'optMap/2': (use) => optionalMap('optMap', use, (at, expr) => call(at, 'optional.of', expr)),
  'optFlatMap/2': (use) => optionalMap('optFlatMap', use, (_, expr) => expr),
}

/** What a call becomes: its expansion, a fault, or undefined when it is an ordinary call. */
export function expandMacro(
  at: number,
  name: string,
  target: Expr | undefined,
  args: readonly Expr[],
  { hasBindings = false }: ParseOptions,
): Expr | Issue | undefined {
  if (name === 'has' && args.length === 1 && !target) {
    const [argument] = args
    if (argument?.kind === 'select' && !argument.isTest) return { ...argument, at, isTest: true }
    return { at: argument!.at, message: 'invalid argument to has() macro' }
  }
  const isBinding = hasBindings && name === 'bind' && args.length === 3 && target?.kind === 'ident' && target.name === 'cel'
  const macro = isBinding ? bind : target && MACROS[`${name}/${args.length}`]
  if (!target || !macro) return undefined
  try {
    return macro({ at, target, args })
  } catch (error) {
    if (error instanceof MacroFault) return error.issue
    throw error
  }
}
