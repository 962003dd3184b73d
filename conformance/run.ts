/**
 * `npm run conformance -- [--suite conformance|network-policy] [--focus RE] [--areas a,b] [--tier no-nodes|fake-nodes|all] [--parallel N] [--runtime simulated|containerd]
 * [--nodes N] [--passing] [--slice N] [--attempts N] [--timeout 1h] [--build-within 15m] [--resume] [--write] [--list]`
 *
 * Upstream's conformance tests against a fresh cluster of this checkout. Exit codes: 0 when no test of passing.txt failed or stayed
 * without an outcome, 1 when one did or the run could not be made, 2 for wrong usage, 130 when it was stopped.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { isUserError, UserError } from '../src/cluster/user-error.ts'
import { readCatalogue, selectTests, sliceFor, suiteNames, suites, tiers } from './catalogue.ts'
import type { Selection, Suite } from './catalogue.ts'
import { findPrograms, RELEASE, suitePrograms } from '../upstream/programs.ts'
import { loadImages, removeCluster, startCluster } from './cluster.ts'
import { findImageArchive } from './images.ts'
import { compareWithPassing, parsePassing, renderAreas, renderPassing, renderResults, renderTotals, totalsOf } from './report.ts'
import { startRegistry, type Registry } from './registry.ts'
import { continueRun, createRun, markRunning, sweepLeftovers, unmarkRunning } from './run-directory.ts'
import type { Plan, RunDirectory } from './run-directory.ts'
import { runSuite } from './suite.ts'

const root = join(import.meta.dirname, '..')
const fileOf = (suite: Suite, what: 'passing' | 'results') => join(import.meta.dirname, suites[suite][what])
/** The tests mostly wait; a process needs 200 MB. */
const PROCESSES_PER_CORE = 6
const MOST_PROCESSES = 24
/** Fewer, and tests of what lies between nodes fail or are skipped. */
const NODES = 2

const step = (text: string) => process.stderr.write(`conformance: ${text}\n`)

function readFlags() {
  try {
    return parseArgs({
      options: {
        suite: { type: 'string', default: 'conformance' },
        focus: { type: 'string' },
        areas: { type: 'string' },
        tier: { type: 'string' },
        parallel: { type: 'string' },
        runtime: { type: 'string', default: 'simulated' },
        nodes: { type: 'string' },
        timeout: { type: 'string', default: '3h' },
        attempts: { type: 'string', default: '1' },
        slice: { type: 'string' },
        passing: { type: 'boolean' },
        'build-within': { type: 'string' },
        'skip-slow': { type: 'boolean' },
        resume: { type: 'boolean' },
        write: { type: 'boolean' },
        list: { type: 'boolean' },
      },
    }).values
  } catch (error) {
    throw usage(error instanceof Error ? error.message : String(error))
  }
}
type Flags = ReturnType<typeof readFlags>

class UsageError extends UserError {}
const usage = (text: string) => new UsageError(text)

function oneOf<T extends string>(flag: string, value: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value)
  if (!found) throw usage(`--${flag} is one of ${choices.join(', ')}, not ${value}`)
  return found
}

function countOf(flag: string, value: string): number {
  const count = Number(value)
  if (!/^\d+$/.test(value) || count < 1) throw usage(`--${flag} is a number from 1 on, not ${value}`)
  return count
}

const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000 } as const

function millisecondsOf(flag: string, value: string): number {
  const [, count, unit] = /^(\d+)([smh])$/.exec(value) ?? []
  if (unit !== 's' && unit !== 'm' && unit !== 'h') throw usage(`--${flag} is a time such as 90s, 15m or 1h, not ${value}`)
  return Number(count) * UNIT_MS[unit]
}

function patternOf(text: string): RegExp {
  try {
    return new RegExp(text)
  } catch (error) {
    throw usage(`--focus: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function commitOf(): string {
  const git = (...args: string[]) => spawnSync('git', args, { cwd: root, encoding: 'utf8' }).stdout?.trim() ?? ''
  const commit = git('rev-parse', 'HEAD')
  if (!commit) return '0'.repeat(40)
  return git('status', '--porcelain', '--', 'src') ? `${commit} with changes in src/` : commit
}

function readPassing(suite: Suite): string[] {
  const file = fileOf(suite, 'passing')
  return existsSync(file) ? parsePassing(readFileSync(file, 'utf8')) : []
}

function planOf(flags: Flags, suite: Suite): Plan {
  const runtime = oneOf('runtime', flags.runtime, ['simulated', 'containerd'])
  const tier = oneOf('tier', flags.tier ?? (runtime === 'simulated' ? 'fake-nodes' : 'all'), [...tiers, 'all'])
  const selection: Selection = {
    tier,
    ...(flags.focus === undefined ? {} : { focus: patternOf(flags.focus) }),
    ...(flags.areas === undefined ? {} : { areas: flags.areas.split(',').map((area) => area.trim()) }),
    ...(flags.passing || flags.slice !== undefined ? { only: new Set(readPassing(suite)) } : {}),
    ...(flags['skip-slow'] ? { skipSlow: true } : {}),
  }
  const selected = selectTests(readCatalogue(suite), selection).map(({ name }) => name)
  const commit = commitOf()
  const tests = flags.slice === undefined ? selected : sliceFor(commit, selected, countOf('slice', flags.slice))
  const said = ['focus', 'areas', 'slice', 'passing', 'skip-slow'] as const
  return {
    suite,
    tests,
    selection: [
      `tier ${tier}`,
      ...said.filter((flag) => flags[flag] !== undefined).map((flag) => (flags[flag] === true ? flag : `${flag} ${flags[flag]}`)),
    ].join(', '),
    runtime,
    nodes: flags.nodes === undefined ? NODES : countOf('nodes', flags.nodes),
    commit,
    parallel:
      flags.parallel === undefined
        ? Math.min(MOST_PROCESSES, availableParallelism() * PROCESSES_PER_CORE)
        : countOf('parallel', flags.parallel),
    attempts: countOf('attempts', flags.attempts),
    timeout: flags.timeout,
  }
}

interface Needs {
  readonly programs: Record<(typeof suitePrograms)[number], string>
  /** An archive for nodes that run containers. */
  readonly images?: string
}

/**
 * With a time within which all must be had, nothing when it is not: a machine without Go, or with little time, still lands changes.
 * What was compiled by then is kept by the Go client, so the next run begins there.
 */
async function findNeeds(runtime: Plan['runtime'], buildWithin: string | undefined, stopped: AbortSignal): Promise<Needs | undefined> {
  const limit = buildWithin === undefined ? undefined : AbortSignal.timeout(millisecondsOf('build-within', buildWithin))
  const signal = limit ? AbortSignal.any([stopped, limit]) : stopped
  try {
    const programs = await findPrograms(suitePrograms, step, signal)
    return runtime === 'containerd' ? { programs, images: await findImageArchive(step, signal) } : { programs }
  } catch (error) {
    if (!limit || stopped.aborted || !isUserError(error)) throw error
    const reason = limit.aborted ? `the programs were not built within ${buildWithin}; the next run goes on from there` : error.message
    step(`SKIPPED, no test of upstream ran: ${reason}`)
    return undefined
  }
}

/** Starts a cluster, runs what the run has no outcome of yet, and takes the cluster down, whatever happens between. */
async function runTests(run: RunDirectory, needs: Needs, signal: AbortSignal): Promise<number | 'stopped' | 'complete'> {
  const tests = run.plan.tests.filter((name) => !run.outcomes.has(name))
  if (tests.length === 0) return 'complete'
  const { runtime, nodes } = run.plan
  const dataDir = mkdtempSync(join(tmpdir(), 'proa-conformance-'))
  const mark = { runner: process.pid, clusterData: dataDir }
  markRunning(run.path, mark)
  let registry: Registry | undefined
  try {
    step(`starting a cluster of ${nodes} ${runtime} node${nodes === 1 ? '' : 's'}`)
    await startCluster({ runtime, nodes, dataDir, signal })
    if (needs.images !== undefined && !signal.aborted) {
      step('loading the images into the cluster')
      await loadImages(needs.images, { dataDir, signal })
      registry = await startRegistry(needs.images, dataDir)
    }
    if (signal.aborted) return 'stopped'
    const reportDirectory = join(run.path, 'reports', new Date().toISOString().replaceAll(':', '-'))
    mkdirSync(reportDirectory, { recursive: true })
    step(`running ${tests.length} tests in ${run.plan.parallel} processes; log: ${join(run.path, 'ginkgo.log')}`)
    let done = 0
    return await runSuite({
      programs: needs.programs,
      labels: suites[run.plan.suite].labels,
      tests,
      nodes,
      reportDirectory,
      signal,
      kubeconfig: join(dataDir, 'kubeconfig'),
      parallel: run.plan.parallel,
      attempts: run.plan.attempts,
      timeout: run.plan.timeout,
      logFile: join(run.path, 'ginkgo.log'),
      started: (suite) => markRunning(run.path, { ...mark, suite }),
      outcome(outcome) {
        run.record(outcome)
        done++
        const result = outcome.attempts === undefined ? outcome.result : `${outcome.result} at attempt ${outcome.attempts}`
        step(`${String(done).padStart(3)}/${tests.length} ${result} ${outcome.name}${outcome.message ? `: ${outcome.message}` : ''}`)
      },
    })
  } finally {
    step('taking the cluster down')
    await registry?.close()
    await removeCluster(dataDir)
    unmarkRunning(run.path)
  }
}

/** Prints what came of a run and, when asked, writes it into the tree. Returns whether passing.txt held. */
function report(run: RunDirectory, isWriting: boolean): boolean {
  const { suite } = run.plan
  const wanted = new Set(run.plan.tests)
  const tests = readCatalogue(suite).filter(({ name }) => wanted.has(name))
  const passing = new Set(readPassing(suite))
  const { regressions, newlyPassing } = compareWithPassing(passing, run.outcomes)
  const unseen = tests.filter(({ name }) => passing.has(name) && !run.outcomes.has(name))
  const facts = {
    date: new Date().toISOString().slice(0, 10),
    commit: run.plan.commit,
    runtime: run.plan.runtime,
    nodes: run.plan.nodes,
    selection: run.plan.selection,
    suite,
    release: RELEASE,
  }
  const results = renderResults(tests, run.outcomes, facts)
  writeFileSync(join(run.path, 'RESULTS.md'), results)
  if (isWriting) {
    writeFileSync(fileOf(suite, 'results'), results)
    writeFileSync(fileOf(suite, 'passing'), renderPassing([...passing, ...newlyPassing]))
  }
  const list = (title: string, names: readonly string[]) =>
    names.length > 0 && process.stdout.write(`\n${title}\n${names.map((name) => `  ${name}`).join('\n')}\n`)
  process.stdout.write(`${renderAreas(tests, run.outcomes)}\n`)
  list(isWriting ? 'newly passing:' : 'pass and are not in the list of those that do (--write adds them):', newlyPassing)
  list('REGRESSIONS, failed although they have passed:', regressions)
  process.stdout.write(`\nresults: ${run.path}\n${renderTotals(totalsOf(tests, run.outcomes))}\n`)
  return regressions.length === 0 && unseen.length === 0
}

async function main(): Promise<number> {
  const flags = readFlags()
  const fresh = planOf(flags, oneOf('suite', flags.suite, suiteNames))
  if (flags.list) {
    process.stdout.write(fresh.tests.map((name) => `${name}\n`).join(''))
    return 0
  }
  await sweepLeftovers(step)
  const continued = flags.resume ? continueRun() : undefined
  if (flags.resume && !continued) throw new UserError('there is no unfinished run to resume')
  if (!continued && fresh.tests.length === 0) throw usage('no test is selected')
  const stopping = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (!stopping.signal.aborted) step('stopping; npm run conformance -- --resume goes on from here')
      stopping.abort()
    })
  }
  const needs = await findNeeds((continued?.plan ?? fresh).runtime, flags['build-within'], stopping.signal)
  if (!needs) return 0
  const run = continued ?? createRun(fresh)
  if (continued) step(`continuing ${run.path}: ${run.outcomes.size} of ${run.plan.tests.length} tests are done`)
  const end = await runTests(run, needs, stopping.signal)
  const hasHeld = report(run, flags.write ?? false)
  if (end === 'stopped') return 130
  // Ginkgo ends early, with tests left, when its time is over or it crashed: then the run can be continued.
  if (run.plan.tests.every((name) => run.outcomes.has(name))) run.finish()
  return hasHeld ? 0 : 1
}

try {
  process.exitCode = await main()
} catch (error) {
  if (!isUserError(error)) throw error
  process.stderr.write(`conformance: ${error.message}\n`)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
