import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCatalogue, readCatalogue, selectTests, sliceFor } from './catalogue.ts'
import { createOutcomeReader } from './outcomes.ts'
import type { Outcome } from './outcomes.ts'
import { compareWithPassing, parsePassing, renderAreas, renderPassing, renderResults, renderTotals, totalsOf } from './report.ts'
import { exactFocus } from './suite.ts'

const names = ['[sig-x] Things work [Conformance]', '[sig-x] Things [It-like] work twice [Conformance]', '[sig-y] Waits [Conformance]']
const catalogue = parseCatalogue(
  [
    'area\ttier\tserial\tslow\tfile\ttest',
    `api: things\tno-nodes\t\t\tx/a.go\t${names[0]}`,
    `api: things\tfake-nodes\tserial\t\tx/a.go\t${names[1]}`,
    `node: waits\tcontainers\t\tslow\ty/b.go\t${names[2]}`,
    '',
  ].join('\n'),
)

const output = `Running Suite: Kubernetes e2e suite
SSSSSSSSSSSS
------------------------------
• [0.215 seconds]
${names[0]} [sig-x, Conformance]
k8s.io/kubernetes@v1.36.3/test/e2e/x/a.go:53

  Timeline >>
  [FAILED] this line is part of the timeline
  << Timeline
------------------------------
SSS
------------------------------
• [FAILED] [2.088 seconds]
[sig-x] Things [It-like] [It] work twice [Conformance] [sig-x, Conformance]
k8s.io/kubernetes@v1.36.3/test/e2e/x/a.go:70

  Timeline >>
  [FAILED] in [It] - a.go:71
  << Timeline

  [FAILED] Expected
      <int64>: 2
  to be equivalent to
      <int>: 1
  In [It] at: a.go:71
------------------------------
• [INTERRUPTED] [28.186 seconds]
${names[2]} [sig-y, Conformance]
  << Timeline

  [INTERRUPTED] Interrupted by User
------------------------------
• [TIMEDOUT] [70.569 seconds]
${names[2]} [sig-y, Conformance]
  << Timeline

  [TIMEDOUT] A suite timeout occurred
------------------------------
`

function read(text: string): Outcome[] {
  const reader = createOutcomeReader(names)
  return text.split('\n').flatMap((line) => reader.line(line) ?? [])
}

test('outcomes are read from ginkgo’s output as blocks end; a test that was interrupted, or met by the end of the run, has none', () => {
  assert.deepEqual(read(output), [
    { name: names[0], result: 'passed', seconds: 0.215 },
    { name: names[1], result: 'failed', seconds: 2.088, message: 'Expected <int64>: 2 to be equivalent to <int>: 1' },
  ])
})

test('a test that passed when it was tried again has passed, and tells how often it was tried', () => {
  const flaky = `↺ [FLAKEY TEST - TOOK 2 ATTEMPTS TO PASS] [3.5 seconds]\n${names[0]} [sig-x, Conformance]\n${'-'.repeat(30)}\n`
  assert.deepEqual(read(flaky), [{ name: names[0], result: 'passed', seconds: 3.5, attempts: 2 }])
})

test('output that is cut within a block gives no outcome for it', () => {
  const cut = output.slice(0, output.indexOf('  << Timeline'))
  assert.deepEqual(read(cut), [])
})

test('selection: tiers hold what needs less, areas by their beginnings, focus, names', () => {
  const selected = (selection: Parameters<typeof selectTests>[1]) => selectTests(catalogue, selection).map((one) => names.indexOf(one.name))
  assert.deepEqual(selected({ tier: 'no-nodes' }), [0])
  assert.deepEqual(selected({ tier: 'fake-nodes' }), [0, 1])
  assert.deepEqual(selected({ tier: 'all' }), [0, 1, 2])
  assert.deepEqual(selected({ tier: 'all', skipSlow: true }), [0, 1])
  assert.deepEqual(selected({ tier: 'all', areas: ['NODE'] }), [2])
  assert.deepEqual(selected({ tier: 'all', focus: /twice/ }), [1])
  assert.deepEqual(selected({ tier: 'all', only: new Set([names[2]!]) }), [2])
})

test('a table that is not what is expected is refused with its line', () => {
  assert.throws(() => parseCatalogue('header\napi\tno-such-tier\t\t\tf\tn'), /tests\.tsv:2/)
})

test('the catalogue holds the 446 tests of the release, each once', () => {
  const all = readCatalogue()
  assert.equal(all.length, 446)
  assert.equal(new Set(all.map(({ name }) => name)).size, 446)
  assert.equal(selectTests(all, { tier: 'fake-nodes' }).length, 218)
})

test('slices of successive commits are the same for the same commit and go round', () => {
  const five = ['a', 'b', 'c', 'd', 'e']
  assert.deepEqual(sliceFor('0000000400', five, 3), ['e', 'a', 'b'])
  assert.deepEqual(sliceFor('ffffffff00', five, 9), five)
})

test('a focus names whole tests and nothing else', () => {
  const focus = new RegExp(exactFocus(names))
  for (const name of names) assert.match(name, focus)
  assert.doesNotMatch('[sig-y] Waits [Conformance] and more', focus)
  assert.doesNotMatch('sig-y Waits Conformance', focus)
})

test('a report counts by area, tells regressions from known failures and lists why', () => {
  const outcomes = new Map(read(output).map((outcome) => [outcome.name, outcome]))
  assert.equal(renderTotals(totalsOf(catalogue, outcomes)), '1 passed, 1 failed, 1 skipped')
  assert.match(renderAreas(catalogue, outcomes), /^api: things +1 +1 +0\nnode: waits +0 +0 +1$/m)
  assert.deepEqual(compareWithPassing(new Set([names[1]!]), outcomes), { regressions: [names[1]], newlyPassing: [names[0]] })
  assert.deepEqual(compareWithPassing(new Set(), outcomes).regressions, [])
  const facts = {
    date: '2026-01-01',
    commit: 'abc',
    runtime: 'simulated',
    nodes: 2,
    selection: 'tier all',
    suite: 'conformance',
    release: 'v1.36.3',
  } as const
  const text = renderResults(catalogue, outcomes, facts)
  assert.match(text, /\| api: things \| 1 \| 1 \| 0 \|/)
  assert.match(text, /\| Expected &lt;int64>: 2 to be/)
  assert.deepEqual(parsePassing(renderPassing(['b', 'a', 'b'])), ['a', 'b'])
})
