/**
 * What a run leaves on disk: its plan, each outcome as soon as it is known, ginkgo's logs, JUnit. A run that was killed is continued
 * from it, and what a killed run left running is found by it: the marks of its processes and its cluster are written before they start.
 */
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheRoot } from '../upstream/programs.ts'
import type { Suite } from './catalogue.ts'
import { removeCluster } from './cluster.ts'
import type { Outcome } from './outcomes.ts'

export interface Plan {
  readonly suite: Suite
  readonly tests: readonly string[]
  readonly selection: string
  readonly runtime: 'simulated' | 'containerd'
  readonly nodes: number
  /** What was judged: the commit at the run's start, and whether the tree differed from it. */
  readonly commit: string
  readonly parallel: number
  readonly attempts: number
  readonly timeout: string
}

export interface RunDirectory {
  readonly path: string
  readonly plan: Plan
  /** Of this run and of those that it continues. */
  readonly outcomes: Map<string, Outcome>
  record(outcome: Outcome): void
  /** Nothing is left to do: not continued any more. */
  finish(): void
}

interface Mark {
  readonly runner: number
  readonly suite?: number
  readonly clusterData: string
}

const KEPT_RUNS = 20
const runsRoot = join(cacheRoot, 'runs')
const planFile = (path: string): string => join(path, 'plan.json')
const isUnfinished = (path: string): boolean => existsSync(planFile(path)) && !existsSync(join(path, 'finished'))
const markFile = (path: string): string => join(path, 'running.json')
const runs = (): string[] =>
  existsSync(runsRoot)
    ? readdirSync(runsRoot)
        .toSorted()
        .map((name) => join(runsRoot, name))
    : []

function open(path: string, plan: Plan): RunDirectory {
  const file = join(path, 'outcomes.jsonl')
  const outcomes = new Map<string, Outcome>()
  // The last line may be half written when the run was killed: its test runs again.
  for (const line of existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : []) {
    const outcome = JSON.parse(line) as Outcome
    outcomes.set(outcome.name, outcome)
  }
  return {
    path,
    plan,
    outcomes,
    record(outcome) {
      outcomes.set(outcome.name, outcome)
      appendFileSync(file, `${JSON.stringify(outcome)}\n`)
    },
    finish: () => writeFileSync(join(path, 'finished'), ''),
  }
}

export function createRun(plan: Plan): RunDirectory {
  for (const old of runs()
    .slice(0, -KEPT_RUNS)
    .filter((run) => !existsSync(markFile(run))))
    rmSync(old, { recursive: true, force: true })
  const path = join(runsRoot, new Date().toISOString().replaceAll(':', '-'))
  mkdirSync(path, { recursive: true })
  writeFileSync(planFile(path), JSON.stringify(plan))
  return open(path, plan)
}

/** The newest run that did not come to its end and is not under way elsewhere (sweep first). One that another version of the runner planned cannot be continued. */
export function continueRun(): RunDirectory | undefined {
  const path = runs().findLast((run) => isUnfinished(run) && !existsSync(markFile(run)))
  if (path === undefined) return undefined
  const plan = JSON.parse(readFileSync(planFile(path), 'utf8')) as Partial<Plan>
  return plan.commit === undefined || plan.nodes === undefined || plan.attempts === undefined ? undefined : open(path, plan as Plan)
}

export const markRunning = (path: string, mark: Mark): void => writeFileSync(markFile(path), JSON.stringify(mark))
export const unmarkRunning = (path: string): void => rmSync(markFile(path), { force: true })

/** Whether a process is what we started, not one that got its number later. */
function isOurs(pid: number, word: string): boolean {
  const file = `/proc/${pid}/cmdline`
  return existsSync(file) && readFileSync(file, 'utf8').includes(word)
}

/** Ends what runs that were killed (kill -9, power) left behind. */
export async function sweepLeftovers(step: (text: string) => void): Promise<void> {
  for (const path of runs().filter((run) => existsSync(markFile(run)))) {
    const mark = JSON.parse(readFileSync(markFile(path), 'utf8')) as Mark
    if (isOurs(mark.runner, 'conformance/run.ts')) continue
    step(`removing what a killed run left: ${mark.clusterData}`)
    if (mark.suite !== undefined && isOurs(mark.suite, 'ginkgo')) process.kill(-mark.suite, 'SIGKILL')
    await removeCluster(mark.clusterData)
    unmarkRunning(path)
  }
}
