/** Figures as lines for a person and as bench/RESULTS.md. */
import { writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'

export interface Result {
  readonly name: string
  readonly title: string
  readonly unit: string
  readonly better: 'less' | 'more'
  readonly target: number
  /** The median of `figures`. */
  readonly figure: number
  readonly figures: readonly number[]
  readonly note: string
}

export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

/** How many times better than the target: above 1 it is reached. */
export const ratioOf = ({ better, figure, target }: Result): number => (better === 'less' ? target / figure : figure / target)

const number = (value: number): string => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(1))
const amount = (value: number, unit: string): string => `${number(value)}${unit.startsWith('/') ? unit : ` ${unit}`}`

export function renderLine(result: Result): string {
  const { title, unit, figure, target, note } = result
  return `${title.padEnd(42)} ${amount(figure, unit).padStart(12)}   target ${amount(target, unit).padStart(10)}   ${ratioOf(result).toFixed(2)} x${note ? `   (${note})` : ''}`
}

export function renderSummary(results: readonly Result[]): string {
  const reached = results.filter((result) => ratioOf(result) >= 1).length
  return `${reached} of ${results.length} targets reached`
}

export function writeResults(results: readonly Result[], failures: readonly string[]): void {
  const rows = results.map((result) => {
    const { title, unit, figure, target, figures, note } = result
    return `| ${title} | ${amount(figure, unit)} | ${amount(target, unit)} | ${ratioOf(result).toFixed(2)} | ${figures.map(number).join(', ')} | ${note} |`
  })
  const text = `# Benchmarks

Made by \`npm run bench -- --write\` on ${new Date().toISOString().slice(0, 10)}: ${cpus().length} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GB, Linux ${release()}, Node ${process.versions.node}. The load runs
in a process of its own on the same machine, over TLS. A ratio above 1 means that the target is reached; where the targets come
from stands in \`bench/cases.ts\`.

| what | median | target | ratio | runs | note |
|---|---|---|---|---|---|
${rows.join('\n')}

${renderSummary(results)}.
${failures
  .map(
    (failure) => `
Not measured: ${failure}.
`,
  )
  .join('')}`
  writeFileSync(join(import.meta.dirname, 'RESULTS.md'), text)
}
