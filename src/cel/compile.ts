/**
 * The Common Expression Language (github.com/google/cel-spec) with the libraries that Kubernetes v1.36 adds to it
 * (apiserver/pkg/cel/environment): an expression is parsed and checked against declared variables once, and then evaluated any
 * number of times, each time within a budget.
 */
import { formatIssue, type Call, type Expr, type Issue } from './ast.ts'
import { check, type Checked, type Environment, type TypeProvider } from './checker.ts'
import type { Frame } from './cost.ts'
import { estimateCost, type Sizes } from './estimate.ts'
import { compileTree, type Compiled } from './evaluate.ts'
import type { Functions, Overload } from './function.ts'
import { arithmetic, inlined, timestampOf } from './library/arithmetic.ts'
import { authorization } from './library/authz.ts'
import { insertion, lists, optionals, sets } from './library/collections.ts'
import { formats, quantities, versions } from './library/kubernetes.ts'
import { addresses, urls } from './library/network.ts'
import { compilePattern, regex } from './library/patterns.ts'
import { standard } from './library/standard.ts'
import { text } from './library/text.ts'
import { formatFault } from './library/text-format.ts'
import { parseDuration, parseTimestamp } from './library/time-text.ts'
import type { ParseOptions } from './macros.ts'
import { parse } from './parser.ts'
import type { Range } from './ranges.ts'
import type { Type } from './types.ts'
import { CostLimitExceeded, EvaluationError, type Value } from './values.ts'

/** What one evaluation may cost (apiserver/pkg/apis/cel: PerCallLimit). */
export const PER_CALL_LIMIT = 1_000_000

export interface Program {
  /** What the expression makes. */
  readonly type: Type
  /** What an evaluation may cost, if the sizes of its variables were told. */
  readonly estimatedCost?: Range
  /**
   * Variables that are absent fail where they are used. JSON values are taken as they are. Beyond `costLimit` it ends with an error.
   */
  evaluate(activation: Readonly<Record<string, unknown>>, options?: { readonly costLimit?: number }): Evaluation
}

export type Evaluation = { readonly value: Value; readonly cost: number } | { readonly error: string; readonly cost: number }

export interface CompileOptions extends ParseOptions {
  /** Functions beyond the libraries. */
  readonly functions?: Readonly<Record<string, readonly Overload[]>>
  /** What the variables may hold, for an estimate of the cost. */
  readonly sizes?: Sizes
}

export interface CompileFailure {
  /** Whether what is written out cannot be converted, as in int('x'): that is told otherwise. */
  readonly isConstant?: true
  /** Every fault with its place in the source, as upstream prints them. */
  readonly errors: string
}

const LIBRARIES: readonly Readonly<Record<string, readonly Overload[]>>[] = [
  inlined,
  arithmetic,
  standard,
  text,
  lists,
  sets,
  optionals,
  insertion,
  regex,
  urls,
  addresses,
  quantities,
  versions,
  formats,
  authorization,
]

let merged: Functions | undefined

/** Made when the first expression is compiled: most starts have none. */
function allFunctions(): Functions {
  if (merged) return merged
  const functions = new Map<string, readonly Overload[]>()
  for (const library of LIBRARIES) {
    for (const [name, overloads] of Object.entries(library)) functions.set(name, [...(functions.get(name) ?? []), ...overloads])
  }
  merged = functions
  return functions
}

const NO_TYPES: TypeProvider = { fieldOf: () => undefined, hasType: () => false }

/** Compiles against declared variables; `types` knows the fields of their object types. */
export function compile(
  source: string,
  variables: Readonly<Record<string, Type>>,
  types: TypeProvider = NO_TYPES,
  { functions: more, sizes, ...parseOptions }: CompileOptions = {},
): Program | CompileFailure {
  const parsed = parse(source, parseOptions)
  if ('issues' in parsed) return failed(source, parsed.issues)
  const functions = more ? new Map([...allFunctions(), ...Object.entries(more)]) : allFunctions()
  const environment: Environment = { variables, functions, types }
  const checked = check(parsed.expr, environment)
  if ('issues' in checked) return failed(source, checked.issues)
  const faults = literalFaults(parsed.expr, checked)
  if (faults.length > 0) return failed(source, faults)
  const run = planned(parsed.expr, checked)
  if (typeof run === 'string') return { errors: run, isConstant: true }
  return {
    type: checked.type,
    ...(sizes ? { estimatedCost: estimateCost(parsed.expr, checked, sizes) } : {}),
    evaluate(activation, { costLimit = PER_CALL_LIMIT } = {}) {
      const frame: Frame = { activation, locals: [], cost: 0, limit: costLimit }
      try {
        const value = run(frame)
        return { value, cost: frame.cost }
      } catch (error) {
        if (error instanceof EvaluationError || error instanceof CostLimitExceeded) return { error: error.message, cost: frame.cost }
        throw error
      }
    },
  }
}

/** What is written out is computed at once: that may fail. */
function planned(expr: Expr, checked: Checked): Compiled | string {
  try {
    return compileTree(expr, checked)
  } catch (error) {
    if (error instanceof EvaluationError) return error.message
    throw error
  }
}

const failed = (source: string, issues: readonly Issue[]): CompileFailure => ({
  errors: issues.map((issue) => formatIssue(source, issue)).join('\n'),
})

/** Durations, timestamps and patterns that are written out are tried at once, as upstream's validators do. */
function literalFaults(root: Expr, { typeOf }: Checked): readonly Issue[] {
  const faults: Issue[] = []
  visit(root, (expr) => {
    if (expr.kind !== 'call') return
    const [list] = expr.args
    if (expr.name === 'format' && expr.target?.kind === 'constant' && typeof expr.target.value === 'string' && list?.kind === 'list') {
      const fault = formatFault(expr.target.value, list.elements.map(typeOf))
      if (fault) faults.push({ at: fault.index === undefined ? expr.at : list.elements[fault.index]!.at, message: fault.message })
    }
    const trial = trialOf(expr)
    const literal = trial && expr.args.at(-1)
    if (!trial || literal?.kind !== 'constant') return
    try {
      if (typeof literal.value === 'string') trial(literal.value)
      else if (typeof literal.value === 'bigint' && expr.name === 'timestamp') timestampOf(literal.value * 1_000_000_000n)
      else if (expr.name === 'duration') throw new EvaluationError('no text')
    } catch {
      faults.push({ at: literal.at, message: `invalid ${expr.name} argument` })
    }
  })
  return faults
}

function trialOf({ name, target, args }: Call): ((text: string) => unknown) | undefined {
  if (name === 'matches') return compilePattern
  if (target || args.length !== 1) return undefined
  return name === 'duration' ? parseDuration : name === 'timestamp' ? parseTimestamp : undefined
}

function visit(expr: Expr, see: (expr: Expr) => void): void {
  see(expr)
  for (const child of childrenOf(expr)) visit(child, see)
}

function childrenOf(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case 'constant':
    case 'ident':
      return []
    case 'select':
      return [expr.operand]
    case 'call':
      return expr.target ? [expr.target, ...expr.args] : expr.args
    case 'list':
      return expr.elements
    case 'map':
      return expr.entries.flatMap(({ key, value }) => [key, value])
    case 'struct':
      return expr.fields.map(({ value }) => value)
    case 'fold':
      return [expr.range, expr.init, expr.condition, expr.step, expr.result]
  }
}
