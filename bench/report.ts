/** Figures as lines for a person and as bench/RESULTS.md. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'

/** One server's figures of a case, in the order of its runs. */
export interface Side {
  readonly figures: readonly number[]
  readonly note: string
}

export interface Result {
  readonly name: string
  readonly title: string
  readonly unit: string
  readonly better: 'less' | 'more'
  readonly proa: Side
  /** Missing when proa was measured alone. */
  readonly upstream?: Side
  readonly target?: number
  readonly wantedRatio?: number
}

export interface Ratio {
  readonly median: number
  readonly min: number
  readonly max: number
}

export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

/** How many times better proa was than upstream in the run beside it: above 1 it was better. */
export function ratioOf({ better, proa, upstream }: Result): Ratio | undefined {
  if (!upstream) return undefined
  const ratios = proa.figures.map((figure, run) => (better === 'less' ? upstream.figures[run]! / figure : figure / upstream.figures[run]!))
  return { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) }
}

const number = (value: number): string => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(1))
const amount = (value: number, unit: string): string => `${number(value)}${unit.startsWith('/') ? unit : ` ${unit}`}`
const middle = (side: Side | undefined, unit: string): string => (side ? amount(median(side.figures), unit) : '')

function ratioText(ratio: Ratio | undefined): string {
  if (!ratio) return ''
  const [low, mid, high] = [ratio.min, ratio.median, ratio.max].map((value) => value.toFixed(2))
  return low === high ? `${mid} x` : `${mid} x (${low} to ${high})`
}

/** What was to be reached, as a figure or as a ratio, and whether it was. */
function targetText(result: Result): string {
  const { better, unit, proa, target, wantedRatio } = result
  const [figure, ratio] = [median(proa.figures), ratioOf(result)?.median]
  const text = (wanted: string, isMet: boolean): string => `${wanted}: ${isMet ? 'met' : 'missed'}`
  return [
    ...(target === undefined
      ? []
      : [text(`${better === 'more' ? '≥' : '≤'} ${amount(target, unit)}`, better === 'more' ? figure >= target : figure <= target)]),
    ...(wantedRatio === undefined || ratio === undefined ? [] : [text(`≥ ${wantedRatio} x`, ratio >= wantedRatio)]),
  ].join(', ')
}

export function renderLine(result: Result): string {
  const { title, unit, proa, upstream } = result
  const target = targetText(result)
  const comparison = upstream ? `   upstream ${middle(upstream, unit).padStart(12)}   ${ratioText(ratioOf(result)).padEnd(24)}` : ''
  return `${title.padEnd(50)} ${middle(proa, unit).padStart(12)}${comparison}${target ? `   target ${target}` : ''}${proa.note ? `   ${proa.note}` : ''}`.trimEnd()
}

export const machine = (): string =>
  `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GB, Linux ${release()}, Node ${process.versions.node}`

/** What is known of a case: its last figures beside upstream, or why it could not be measured then. */
export interface Entry {
  readonly title: string
  readonly result?: Result
  readonly failure?: string
  readonly date: string
  readonly commit: string
  readonly machine: string
}

export type Size = 'short' | 'full'
/** By size and case. */
export type Entries = Readonly<Record<Size, Readonly<Record<string, Entry>>>>

const runsOf = ({ figures, note }: Side): string => `${figures.map(number).join(', ')}${note ? ` (${note})` : ''}`

function renderEntry({ title, result, failure, date, commit }: Entry): string {
  const measured = result
    ? [
        middle(result.proa, result.unit),
        middle(result.upstream, result.unit),
        ratioText(ratioOf(result)),
        targetText(result),
        runsOf(result.proa),
        result.upstream ? runsOf(result.upstream) : '',
      ]
    : [`not measured: ${failure}`, '', '', '', '', '']
  return `| ${[title, ...measured, `${date} ${commit}`].join(' | ')} |`
}

/** `order` has the names of the cases; of others nothing is told. */
export function renderResults(entries: Entries, order: readonly string[]): string {
  const section = (size: Size, title: string): string => {
    const rows = order.flatMap((name) => entries[size][name] ?? [])
    if (rows.length === 0) return ''
    const machines = [...new Set(rows.map((row) => row.machine))]
    return `
## ${title}

${machines.map((one) => `On ${one}.`).join('\n')}

| what | proa | upstream | ratio (spread) | target | proa's runs | upstream's runs | when, commit |
|---|---|---|---|---|---|---|---|
${rows.map(renderEntry).join('\n')}
`
  }
  return `# Benchmarks

Made by \`npm run bench -- --write\`, which replaces what it measures anew; not written by hand. [docs/benchmarks.md](../docs/benchmarks.md)
says how they are made and how to read them. A ratio above 1 means that proa was better.
${section('short', 'Short sizes')}${section('full', 'Large clusters (`--full`)')}`
}

const figures = join(import.meta.dirname, 'results.json')

const commitOf = (): string => execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: import.meta.dirname, encoding: 'utf8' }).trim()

/** Keeps what was measured now, beside what is known of other cases, and makes RESULTS.md of all. */
export function writeResults(
  size: Size,
  measured: readonly { readonly name: string; readonly title: string; readonly result?: Result; readonly failure?: string }[],
  order: readonly string[],
): void {
  const known: Entries = existsSync(figures) ? (JSON.parse(readFileSync(figures, 'utf8')) as Entries) : { short: {}, full: {} }
  const origin = { date: new Date().toISOString().slice(0, 10), commit: commitOf(), machine: machine() }
  const fresh = Object.fromEntries(measured.map(({ name, ...rest }): [string, Entry] => [name, { ...rest, ...origin }]))
  const entries: Entries = { ...known, [size]: { ...known[size], ...fresh } }
  writeFileSync(figures, `${JSON.stringify(entries, undefined, 1)}\n`)
  writeFileSync(join(import.meta.dirname, 'RESULTS.md'), renderResults(entries, order))
}
