/**
 * What can be run: every conformance test of the pinned release with its area, and what it needs, read from tests.tsv; besides, in tables
 * of their own, upstream's tests of what conformance does not ask for. The tiers say
 * what upstream's own control plane needed for it: no node at all, nodes that only pretend, or running containers. Tests are known
 * by their full names, as ginkgo prints them.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export const tiers = ['no-nodes', 'fake-nodes', 'containers'] as const
type Tier = (typeof tiers)[number]

export interface ConformanceTest {
  readonly name: string
  readonly area: string
  readonly tier: Tier
  /** Ginkgo runs these alone, after the others. */
  readonly isSerial: boolean
  /** Upstream calls it slow, or it was seen to take more than a minute. */
  readonly isSlow: boolean
  /** In upstream's test/e2e. */
  readonly file: string
}

export interface Selection {
  readonly focus?: RegExp
  /** Beginnings of area names, without regard to case. */
  readonly areas?: readonly string[]
  /** This tier and those that need less; 'all' is every test. */
  readonly tier: Tier | 'all'
  readonly skipSlow?: boolean
  /** Only these names. */
  readonly only?: ReadonlySet<string>
}

export function parseCatalogue(text: string): ConformanceTest[] {
  const [, ...lines] = text.trimEnd().split('\n')
  return lines.map((line, index) => {
    const [area, tier, serial, slow, file, name] = line.split('\t')
    const known = tiers.find((one) => one === tier)
    if (!area || !known || !file || !name) throw new Error(`tests.tsv:${index + 2}: not six columns with a known tier: ${line}`)
    return { name, area, tier: known, isSerial: serial === 'serial', isSlow: slow === 'slow', file }
  })
}

/** By name, the labels that all tests of a suite have, and the files of this folder that hold them, which have passed, and the last results. */
export const suites = {
  conformance: { labels: 'Conformance', tests: 'tests.tsv', passing: 'passing.txt', results: 'RESULTS.md' },
  'network-policy': { labels: '', tests: 'network-policy.tsv', passing: 'network-policy-passing.txt', results: 'NETWORK-POLICY.md' },
} as const
export type Suite = keyof typeof suites
export const suiteNames: readonly Suite[] = ['conformance', 'network-policy']

export const readCatalogue = (suite: Suite = 'conformance'): ConformanceTest[] =>
  parseCatalogue(readFileSync(join(import.meta.dirname, suites[suite].tests), 'utf8'))

export function selectTests(all: readonly ConformanceTest[], selection: Selection): ConformanceTest[] {
  const highest = selection.tier === 'all' ? tiers.length : tiers.indexOf(selection.tier)
  const areas = selection.areas?.map((area) => area.toLowerCase())
  return all.filter(
    (test) =>
      tiers.indexOf(test.tier) <= highest &&
      (!areas || areas.some((area) => test.area.toLowerCase().startsWith(area))) &&
      (!selection.focus || selection.focus.test(test.name)) &&
      (!selection.only || selection.only.has(test.name)) &&
      !(selection.skipSlow && test.isSlow),
  )
}

/**
 * A part of the names that moves with the commit: the same commit always gives the same part, and over some commits every name has
 * its turn. The hash's first 32 bits choose where the part begins; it goes on at the start when it reaches the end.
 */
export function sliceFor(commit: string, names: readonly string[], size: number): string[] {
  if (names.length <= size) return [...names]
  const start = Number.parseInt(commit.slice(0, 8), 16) % names.length
  return Array.from({ length: size }, (_, index) => names[(start + index) % names.length]!)
}
