/**
 * Proa's decisions are upstream's: on 1,000 random clusters the same nodes are feasible, the node that upstream chose is among those
 * that score best here, pods that fit nowhere are told the same text, and the same pods are pushed aside. What upstream decided is
 * recorded in decisions.json by record.ts, so that this runs without its program; a few clusters are tried with it when it is built.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createDefaultProfile } from '../../src/scheduler/profile.ts'
import { costOf } from '../../src/scheduler/plugins/default-preemption.ts'
import { makeCluster } from './clusters.ts'
import { noScheduler, recordClusters } from './recording.ts'
import type { Outcome } from './recording.ts'
import { createReplay } from './replay.ts'

type Row = readonly [text: number, ...nominatedAndVictims: string[]]
const file = JSON.parse(readFileSync(join(import.meta.dirname, 'decisions.json'), 'utf8')) as {
  readonly texts: readonly string[]
  readonly clusters: readonly (readonly Row[])[]
}

const recorded: readonly (readonly Outcome[])[] = file.clusters.map((rows) =>
  rows.map(([text, nominated, ...victims]) => ({ text: file.texts[text]!, nominated, victims })),
)

function compare(seed: number, outcomes: readonly Outcome[]): void {
  const cluster = makeCluster(seed)
  const replay = createReplay(cluster, createDefaultProfile())
  for (const [i, outcome] of outcomes.entries()) {
    const where = `cluster ${seed}, ${cluster.waiting[i]!.metadata!.name}`
    const { feasible, best, message, candidates } = replay.opinionOf(i)
    if (outcome.text.startsWith('node-')) {
      assert.ok(feasible.includes(outcome.text), `${where}: upstream chose ${outcome.text}; here ${feasible.join() || message} fits`)
      assert.ok(best.includes(outcome.text), `${where}: upstream chose ${outcome.text} of ${feasible.join()}; here ${best.join()} is best`)
    } else assert.equal(message ?? `fits on ${feasible.join()}`, outcome.text, where)
    if (outcome.nominated) {
      const same = candidates.find(({ node }) => node === outcome.nominated)
      assert.ok(same, `${where}: upstream makes room on ${outcome.nominated}, here one of ${candidates.map(({ node }) => node).join()}`)
      assert.deepEqual(same.victims.map(({ uid }) => uid).toSorted(), outcome.victims, `${where}: whom to push aside`)
      for (const other of candidates) assert.ok(costOf(same, other) <= 0, `${where}: ${other.node} costs less than ${same.node}`)
    } else assert.deepEqual(candidates, [], `${where}: nobody is to be pushed aside`)
    replay.follow(i, outcome)
  }
}

test('1,000 recorded clusters', () => {
  assert.equal(recorded.length, 1000)
  const failures: string[] = []
  for (const [i, outcomes] of recorded.entries()) {
    try {
      compare(i + 1, outcomes)
    } catch (error) {
      failures.push((error as Error).message)
    }
  }
  assert.equal(failures.length, 0, `${failures.length} clusters differ:\n${failures.slice(0, 5).join('\n')}`)
})

test('some clusters with the program itself', { skip: noScheduler() }, async () => {
  const seeds = [2001, 2002, 2003, 2004, 2005]
  for (const [i, outcomes] of (await recordClusters(seeds)).entries()) compare(seeds[i]!, outcomes)
})
