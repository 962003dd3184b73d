/**
 * What calls cost, as cel-go and Kubernetes count it (interpreter/runtimecost.go, apiserver pkg/cel/library/cost.go): one for most,
 * and for what must read text or lists something in proportion. Each way of counting has two sides: what a call with these values
 * has cost, and between which bounds it will be with values of which only the sizes are known. The two differ where upstream's do.
 */
import { fixed, MOST, ONE, plus, scale, times, type Estimate, type Operand, type Range } from './ranges.ts'
import { CelMap, CostLimitExceeded, isList, lengthOf, Opaque, Optional, utf8, type Value } from './values.ts'

export const LIST_COST = 10
export const MAP_COST = 30
export const STRUCT_COST = 40
/** Reading a code point, and a character of a pattern. */
const READ = 0.1
const PATTERN = 0.25

/** What a single evaluation has spent, and its variables. */
export interface Frame {
  readonly activation: Readonly<Record<string, unknown>>
  /** The variables of folds, by slot. */
  readonly locals: Value[]
  cost: number
  readonly limit: number
}

export function charge(frame: Frame, cost: number): void {
  frame.cost += cost
  if (frame.cost > frame.limit) throw new CostLimitExceeded()
}

export interface Cost {
  of(args: readonly Value[], result: Value): number
  /** The receiver is the first operand. */
  estimate(operands: readonly Operand[]): Estimate
}

/** How much there is to read: code points, bytes, elements; one for scalars. */
function sizeOf(value: Value): number {
  if (typeof value === 'string') return lengthOf(value)
  if (value === null || typeof value !== 'object') return 1
  if (isList(value) || value instanceof Uint8Array) return value.length
  if (value instanceof CelMap) return value.size
  if (value instanceof Opaque) return value.size
  return value instanceof Optional && value.value !== undefined ? sizeOf(value.value) : 1
}

const traversal = (size: number, passes = 1): number => Math.ceil(size * passes * READ)
const readFirst = ([first]: readonly Value[]): number => traversal(sizeOf(first!))
const readFirstTwice = ([first]: readonly Value[]): number => traversal(sizeOf(first!), 2)
const reading = (range: Range, passes = 1): Range => scale(range, READ * passes)

const counting = (of: Cost['of'], estimate: Cost['estimate']): Cost => ({ of, estimate })
/** The estimate from the sizes alone. */
const bySize = (of: Cost['of'], estimate: (...sizes: readonly Range[]) => Estimate): Cost =>
  counting(of, (operands) => estimate(...operands.map(({ size }) => size)))

export const constantCost = (cost: number): Cost => counting(() => cost, () => ({ cost: fixed(cost) })) // prettier-ignore
export const one = constantCost(1)

/** Text that is read once and becomes something of another kind. */
export const parsing = bySize(readFirst, (text) => ({ cost: reading(text) }))
export const parsingTwice = bySize(readFirstTwice, (text) => ({ cost: reading(text, 2) }))
/** Text that is read once and is as long afterwards. */
export const rewriting = bySize(readFirst, (text) => ({ cost: reading(text), size: text }))
export const encoding = bySize(readFirst, (text) => ({
  cost: reading(text),
  size: { min: text.min, max: Math.min(MOST, text.max * 4) },
}))
export const decoding = bySize(readFirst, (bytes) => ({
  cost: reading(bytes),
  size: { min: Math.floor(bytes.min / 4), max: bytes.max },
}))
export const quoting = bySize(readFirst, (text) => ({ cost: reading(text), size: plus(fixed(2), { min: text.min, max: text.max * 2 }) }))
/** The estimate counts what is looked for, the evaluation what it is looked for in. */
export const affixing = bySize(readFirst, (_, affix) => ({ cost: reading(affix) }))
export const containing = bySize(
  ([text, inner]) => traversal(sizeOf(text!)) * traversal(sizeOf(inner!)),
  (text, inner) => ({ cost: times(reading(text), reading(inner)) }),
)

const patternCost = ([text, pattern]: readonly Value[]): number => traversal(1 + sizeOf(text!)) * Math.ceil(sizeOf(pattern!) * PATTERN)
const patternEstimate = (text: Range, pattern: Range): Range => times(reading(plus(text, ONE)), scale(pattern, PATTERN))
export const matching = bySize(patternCost, (text, pattern) => ({ cost: patternEstimate(text, pattern) }))
/** In the worst case every character is a find of its own. */
export const finding = bySize(patternCost, (text, pattern) => ({
  cost: patternEstimate(text, pattern),
  size: { min: 0, max: text.max },
}))

export const replacing = bySize(readFirstTwice, (text, from, to) => ({
  cost: reading(text, 2),
  size: { min: shortestReplaced(text.min, from, to), max: longestReplaced(text.max, from, to) },
}))

/** What is empty is found around every character; otherwise the shortest finds become the longest replacements, where those grow. */
function longestReplaced(length: number, from: Range, to: Range): number {
  if (from.min === 0) return Math.min(MOST, (length + 1) * to.max + length)
  if (to.max <= from.min) return length
  return Math.min(MOST, Math.ceil(length / from.min) * to.max)
}

function shortestReplaced(length: number, from: Range, to: Range): number {
  if (from.max === 0) return (length + 1) * to.min + length
  return from.max <= to.min ? length : Math.ceil(length / from.max) * to.min
}

export const splitting = counting(readFirstTwice, ([text, , limit]) => ({
  cost: reading(text!.size, 2),
  size: { min: 0, max: typeof limit?.literal === 'bigint' ? Number(BigInt.asUintN(64, limit.literal)) : text!.size.max },
}))

export const joining = counting(
  (_, result) => traversal(sizeOf(result), 2),
  ([list, separator]) => {
    const gaps = { min: Math.max(0, list!.size.min - 1), max: Math.max(0, list!.size.max - 1) }
    const elements = list!.elements()
    const texts = elements ? times(list!.size, elements.size) : fixed(0)
    const size = separator ? plus(texts, times(separator.size, gaps)) : texts
    return { cost: reading(size), size }
  },
)

export const adding = bySize(
  ([a, b]) => traversal(sizeOf(a!) + sizeOf(b!)),
  (a, b) => ({ cost: reading(plus(a, b)), size: plus(a, b) }),
)
/** Constant, but the sizes add up. */
export const concatenating = bySize(() => 1, (a, b) => ({ cost: ONE, size: plus(a, b) })) // prettier-ignore

const readShorter = ([a, b]: readonly Value[]): number => traversal(Math.min(sizeOf(a!), sizeOf(b!)))
function comparingEstimate([a, b]: readonly Operand[]): Estimate {
  const max = Math.min(a!.size.max, b!.size.max)
  return { cost: reading({ min: max > 0 ? 1 : 0, max }) }
}
export const comparing = counting(readShorter, comparingEstimate)

/** Types of Kubernetes whose values are compared at once. */
const COMPARED_AT_ONCE = /^(?:net\.(?:IP|CIDR)|kubernetes\.(?:Quantity|Semver|authorization\.\w+))$/
const LONGEST_FORMAT = 64

export const equating = counting(
  (args) => (args[0] instanceof Opaque ? 1 : readShorter(args)),
  (operands) => {
    const [{ name }, other] = [operands[0]!.type, operands[1]!.type]
    if (name !== other.name || operands[0]!.type.kind !== 'object') return comparingEstimate(operands)
    if (COMPARED_AT_ONCE.test(name)) return { cost: ONE }
    if (name === 'kubernetes.NamedFormat') return { cost: reading({ min: 1, max: LONGEST_FORMAT }) }
    if (name !== 'kubernetes.URL') return comparingEstimate(operands)
    const { size } = operands[1]!
    return { cost: reading({ min: 1, max: size.max === MOST ? 1 : size.max }) }
  },
)

export const searching = bySize(([, list]) => sizeOf(list!), (_, list) => ({ cost: list })) // prettier-ignore

/** Going through everything a value holds. */
function deepTraversal(value: Value): number {
  if (typeof value === 'string') return Math.floor(utf8(value).length * READ)
  if (value instanceof Uint8Array) return Math.floor(value.length * READ)
  if (value === null || typeof value !== 'object') return 1
  if (isList(value)) return value.reduce((sum: number, item) => sum + deepTraversal(item), 0)
  if (value instanceof CelMap)
    return value.keys().reduce((sum: number, key) => sum + deepTraversal(key) + deepTraversal(value.get(key)!), 0)
  return 1
}
/** Comparing every element of a list, or reading a text. */
export const surveying = counting(
  ([first]) => deepTraversal(first!),
  ([whole]) => {
    const elements = whole!.elements()
    if (!elements) return { cost: reading(whole!.size) }
    const isText = elements.type.kind === 'string' || elements.type.kind === 'bytes'
    return { cost: times(whole!.size, isText ? plus(ONE, reading(elements.size)) : ONE) }
  },
)

/** A list is made: what that costs by the size of what is gone through. */
const allocating = (factor: number, size: Range): Estimate => ({ cost: plus(scale(size, factor), fixed(1 + LIST_COST)), size })
const listing = (of: Cost['of'], estimate: Cost['estimate']): Cost =>
  counting((args, result) => 1 + LIST_COST + Math.floor(of(args, result)), estimate)
const literalOr = (operand: Operand | undefined, otherwise: number): number =>
  typeof operand?.literal === 'bigint' ? Math.max(0, Number(operand.literal)) : otherwise
const resultSize = (_: readonly Value[], result: Value): number => sizeOf(result)
const square = (size: Range): Range => times(size, size)

/** Comparing each with each; texts take longer. */
function comparingAll(list: Value): number {
  const [first] = list as readonly Value[]
  return sizeOf(list) ** 2 * (typeof first === 'string' || first instanceof Uint8Array ? 2 + READ : 2)
}

export const copying = listing(resultSize, ([list]) => allocating(1, list!.size))
export const slicing = listing(resultSize, ([list, start, end]) => {
  const length = literalOr(end, list!.size.max) - literalOr(start, 0)
  return allocating(1, fixed(length < 0 ? MOST + length : length))
})
export const flattening = listing(
  ([list, depth = 1n]) => sizeOf(list!) * Number(depth),
  ([list, depth]) => allocating(depth ? literalOr(depth, MOST) : 1, list!.size),
)
export const ranging = listing(resultSize, ([count]) => allocating(1, fixed(literalOr(count, MOST))))
export const distinguishing = listing(([list]) => comparingAll(list!), ([list]) => allocating(2, square(list!.size))) // prettier-ignore
/** By the operand that holds what is compared. */
export const sorting = (type: string, by: 0 | 1): Cost =>
  listing(
    (args) => comparingAll(args[by]!),
    (operands) => allocating(type === 'string' || type === 'bytes' ? 2 + READ : 2, square(operands[by]!.size)),
  )

/** Each element of one with each of the other. */
export const crossing = (factor: number): Cost =>
  bySize(
    ([a, b]) => 1 + Math.floor(sizeOf(a!) * sizeOf(b!) * factor),
    (a, b) => ({ cost: plus(scale(times(a, b), factor), ONE) }),
  )

/** A selector is a list of requirements, the shortest of which has two characters. */
const selectorEstimate = (size: Range): Range => plus(fixed(LIST_COST), reading(size), scale(scale(size, 0.5), LIST_COST + STRUCT_COST))
export const selecting = bySize(
  ([, selector]) => selectorEstimate(fixed(sizeOf(selector!))).max,
  (_, selector) => ({ cost: selectorEstimate(selector) }),
)

const ADDRESS_SIZE: Range = { min: 4, max: 16 }
/** Comparing prefixes bit by bit; a text must be parsed besides. */
export const enclosing = (isText: boolean, isPrefix: boolean): Cost =>
  counting(
    ([own, other]) => traversal(2 * sizeOf(own!)) + (isPrefix ? traversal(sizeOf(own!)) + 1 : 0) + (isText ? traversal(sizeOf(other!)) : 0),
    ([, other]) => ({
      cost: plus(
        reading(plus(ADDRESS_SIZE, ADDRESS_SIZE)),
        isPrefix ? plus(reading(ADDRESS_SIZE), ONE) : fixed(0),
        isText ? reading(other!.size) : fixed(0),
      ),
    }),
  )

const LONGEST_PATTERN = 128
export const validating = counting(
  ([format, text]) => traversal(1 + sizeOf(text!)) * Math.ceil((format instanceof Opaque ? format.patternSize : 0) * PATTERN),
  ([, text]) => ({ cost: scale(reading(text!.size), LONGEST_PATTERN * PATTERN) }),
)
