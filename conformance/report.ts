/** Pure texts made of outcomes: the table by area, RESULTS.md, passing.txt, and what a run means for it. */
import type { ConformanceTest } from './catalogue.ts'
import type { Outcome } from './outcomes.ts'

export interface Totals {
  readonly passed: number
  readonly failed: number
  /** Selected, but without an outcome: the run ended before. */
  readonly skipped: number
}

export interface RunFacts {
  readonly date: string
  readonly commit: string
  readonly runtime: string
  readonly nodes: number
  readonly selection: string
  readonly suite: string
  readonly release: string
}

export function totalsOf(tests: readonly ConformanceTest[], outcomes: ReadonlyMap<string, Outcome>): Totals {
  const count = (result: string | undefined) => tests.filter((test) => outcomes.get(test.name)?.result === result).length
  return { passed: count('passed'), failed: count('failed'), skipped: count(undefined) }
}

export const renderTotals = ({ passed, failed, skipped }: Totals): string => `${passed} passed, ${failed} failed, ${skipped} skipped`

function areaRows(tests: readonly ConformanceTest[], outcomes: ReadonlyMap<string, Outcome>): (Totals & { readonly area: string })[] {
  return [...Map.groupBy(tests, (test) => test.area)]
    .map(([area, ofArea]) => ({ area, ...totalsOf(ofArea, outcomes) }))
    .toSorted((a, b) => a.area.localeCompare(b.area))
}

export function renderAreas(tests: readonly ConformanceTest[], outcomes: ReadonlyMap<string, Outcome>): string {
  const rows = areaRows(tests, outcomes)
  const width = Math.max(4, ...rows.map(({ area }) => area.length))
  const row = (...cells: (string | number)[]) =>
    cells.map((cell, index) => (index === 0 ? String(cell).padEnd(width) : String(cell).padStart(8))).join('')
  return [row('area', 'passed', 'failed', 'skipped'), ...rows.map((r) => row(r.area, r.passed, r.failed, r.skipped))].join('\n')
}

/** Names that must pass and failed, and names that pass and are not listed yet. */
export function compareWithPassing(passing: ReadonlySet<string>, outcomes: ReadonlyMap<string, Outcome>) {
  const named = (result: Outcome['result'], isListed: boolean) =>
    [...outcomes.values()].filter((outcome) => outcome.result === result && passing.has(outcome.name) === isListed).map(({ name }) => name)
  return { regressions: named('failed', true), newlyPassing: named('passed', false) }
}

export const parsePassing = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'))

export const renderPassing = (names: Iterable<string>): string =>
  `# Tests of upstream that must pass, one name a line; npm run conformance -- --write adds those that newly pass.\n${[...new Set(names)]
    .toSorted()
    .join('\n')}\n`

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('`', "'").replaceAll('<', '&lt;')

export function renderResults(tests: readonly ConformanceTest[], outcomes: ReadonlyMap<string, Outcome>, facts: RunFacts): string {
  const failures = tests.filter((test) => outcomes.get(test.name)?.result === 'failed')
  return `# Conformance results

Made by \`npm run conformance -- --write\`; not written by hand.

${renderTotals(totalsOf(tests, outcomes))}

- Suite: Kubernetes ${facts.release}, tests of the suite ${facts.suite}; selected: ${facts.selection} (${tests.length} tests)
- Cluster: ${facts.nodes} ${facts.runtime} node${facts.nodes === 1 ? '' : 's'}
- Date: ${facts.date}, commit ${facts.commit}

| area | passed | failed | skipped |
|---|---:|---:|---:|
${areaRows(tests, outcomes)
  .map((row) => `| ${cell(row.area)} | ${row.passed} | ${row.failed} | ${row.skipped} |`)
  .join('\n')}

## Failures

${failures.length === 0 ? 'None.' : '| area | test | first line of the failure |\n|---|---|---|'}
${failures.map((test) => `| ${cell(test.area)} | ${cell(test.name)} | ${cell(outcomes.get(test.name)?.message ?? '')} |`).join('\n')}
`
    .trimEnd()
    .concat('\n')
}
