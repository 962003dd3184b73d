/** Figures as lines for a person and as bench/RESULTS.md. */
import { writeFileSync } from 'node:fs'
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

export function renderLine(result: Result): string {
  const { title, unit, proa, upstream } = result
  const comparison = upstream ? `   upstream ${middle(upstream, unit).padStart(12)}   ${ratioText(ratioOf(result)).padEnd(24)}` : ''
  return `${title.padEnd(50)} ${middle(proa, unit).padStart(12)}${comparison}${proa.note ? `   ${proa.note}` : ''}`.trimEnd()
}

export interface Report {
  readonly isFull: boolean
  /** Why upstream was not measured, if it was not. */
  readonly alone: string | undefined
  readonly results: readonly Result[]
  readonly failures: readonly string[]
}

export const machine = (): string =>
  `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GB, Linux ${release()}, Node ${process.versions.node}`

const runsOf = ({ figures, note }: Side): string => `${figures.map(number).join(', ')}${note ? ` (${note})` : ''}`

export function renderResults({ isFull, alone, results, failures }: Report): string {
  const rows = results.map((result) => {
    const { title, unit, proa, upstream } = result
    const runs = upstream ? [runsOf(proa), runsOf(upstream)] : [runsOf(proa), '']
    return `| ${[title, middle(proa, unit), middle(upstream, unit), ratioText(ratioOf(result)), ...runs].join(' | ')} |`
  })
  return `# Benchmarks

Made by \`npm run bench -- ${isFull ? '--full ' : ''}--write\` on ${new Date().toISOString().slice(0, 10)}: ${machine()}.
[docs/benchmarks.md](../docs/benchmarks.md) says how they are made and how to read them. A ratio above 1 means that proa was better.
${alone ? `\nproa alone: ${alone}.\n` : ''}
| what | proa | upstream | ratio (spread) | proa's runs | upstream's runs |
|---|---|---|---|---|---|
${rows.join('\n')}
${failures.map((failure) => `\nNot measured: ${failure}.\n`).join('')}`
}

export function writeResults(report: Report): void {
  writeFileSync(join(import.meta.dirname, 'RESULTS.md'), renderResults(report))
}
