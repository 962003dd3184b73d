/**
 * `npm run bench`: measures proa and upstream's own programs from outside, as a client over TLS, in turn, and says how they stand to
 * each other. It never fails because something was slow.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { isUserError } from '../src/cluster/user-error.ts'
import { controlPlanePrograms, findPrograms } from '../upstream/programs.ts'
import { cases } from './cases.ts'
import type { Case } from './cases.ts'
import { stopEverything } from '../upstream/processes.ts'
import { hotspots, readMainProfile } from './profile.ts'
import { machine, ratioOf, renderLine, writeResults } from './report.ts'
import type { Result } from './report.ts'
import { startProa } from './target.ts'
import type { Start } from './target.ts'
import { startUpstream } from './upstream.ts'

const HELP = `npm run bench -- [CASE...] [flags]

Without CASE all are measured, upstream's programs beside proa's, in turn. The first time Go builds upstream's programs.

  --full       the sizes of a large cluster (1,000 to 5,000 nodes): instead of the short ones, which take some nine minutes in all
  --alone      measure proa alone
  --runs=N     so many runs of each case instead of its own number
  --json       print the figures as JSON
  --write      keep the figures in bench/results.json, beside those of other cases, and make bench/RESULTS.md of all
  --profile    proa alone, one run, and where its time went

cases:
${cases.map((entry) => `  ${entry.name.padEnd(24)} ${entry.title(false)}; --full: ${entry.title(true)}`).join('\n')}
`

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    full: { type: 'boolean', default: false },
    alone: { type: 'boolean', default: false },
    runs: { type: 'string' },
    json: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const say = (text: string) => process.stderr.write(`${text}\n`)
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

function refuse(why: string): never {
  say(why)
  process.exit(2)
}

if (flags.help) {
  process.stdout.write(HELP)
  process.exit(0)
}
const unknown = positionals.filter((name) => !cases.some((entry) => entry.name === name))
if (unknown.length > 0) refuse(`no benchmark ${unknown.join(', ')}; there are: ${cases.map(({ name }) => name).join(', ')}`)
if (flags.runs !== undefined && !/^[1-9]\d?$/.test(flags.runs)) refuse('--runs takes a number from 1 to 99')

const interruption = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    say(`${signal}: ending what was started`)
    interruption.abort()
    void stopEverything().then(() => process.exit(130))
  })
}

/** Upstream's side, or why there is none. */
async function findUpstream(): Promise<Start | string> {
  if (flags.alone) return 'asked for with --alone'
  if (flags.profile) return 'a profile is of proa'
  try {
    return startUpstream(await findPrograms(controlPlanePrograms, say, interruption.signal))
  } catch (error) {
    if (!isUserError(error) || interruption.signal.aborted) throw error
    return messageOf(error).split('\n')[0]!
  }
}

async function profiled(entry: Case, note: (text: string) => void): Promise<number> {
  const profileDirectory = mkdtempSync(join(tmpdir(), 'proa-profile-'))
  try {
    const figure = await entry.measure((options) => startProa({ ...options, profileDirectory }), flags.full, note)
    say(`${entry.name}: functions with the most time of their own`)
    for (const { place, share } of hotspots(readMainProfile(profileDirectory), 25))
      say(`  ${(share * 100).toFixed(1).padStart(5)}%  ${place}`)
    return figure
  } finally {
    rmSync(profileDirectory, { recursive: true })
  }
}

/** proa, upstream, proa, upstream ...: what slows the machine down for a while slows both. */
async function run(entry: Case, upstream: Start | undefined): Promise<Result> {
  const figures = { proa: [] as number[], upstream: [] as number[] }
  const notes = { proa: '', upstream: '' }
  const count = flags.profile ? 1 : flags.runs ? Number(flags.runs) : entry.runs
  for (let i = 0; i < count; i++) {
    const note = (text: string) => (notes.proa = text)
    figures.proa.push(flags.profile && !entry.isAlone ? await profiled(entry, note) : await entry.measure(startProa, flags.full, note))
    if (upstream && !entry.isAlone) figures.upstream.push(await entry.measure(upstream, flags.full, (text) => (notes.upstream = text)))
  }
  return {
    name: entry.name,
    title: entry.title(flags.full),
    unit: entry.unit,
    better: entry.better,
    proa: { figures: figures.proa, note: notes.proa },
    ...(entry.target === undefined ? {} : { target: entry.target }),
    ...(entry.wantedRatio === undefined ? {} : { wantedRatio: entry.wantedRatio }),
    ...(figures.upstream.length > 0 ? { upstream: { figures: figures.upstream, note: notes.upstream } } : {}),
  }
}

const upstream = await findUpstream()
const alone = typeof upstream === 'string' ? upstream : undefined
if (alone !== undefined) say(`proa alone: ${alone}`)
if (flags.write && alone !== undefined) refuse('--write keeps figures beside upstream, and there are none')
const results: Result[] = []
const failures: { readonly name: string; readonly title: string; readonly failure: string }[] = []
for (const entry of cases) {
  if (positionals.length > 0 && !positionals.includes(entry.name)) continue
  try {
    const result = await run(entry, typeof upstream === 'string' ? undefined : upstream)
    results.push(result)
    if (!flags.json) process.stdout.write(`${renderLine(result)}\n`)
  } catch (error) {
    // The signal's handler ends the process when everything is ended.
    if (interruption.signal.aborted) await new Promise(() => {})
    // A server that breaks is a failure of its own kind: told, and the others are still measured.
    // Its first line: the rest is where in the load process it was thrown.
    failures.push({ name: entry.name, title: entry.title(flags.full), failure: messageOf(error).split('\n')[0]! })
    say(`${entry.name}: not measured: ${messageOf(error)}`)
    process.exitCode = 1
  }
}
if (flags.json) {
  const figures = results.map((result) => ({ ...result, ratio: ratioOf(result) }))
  process.stdout.write(`${JSON.stringify({ machine: machine(), isFull: flags.full, alone, results: figures, failures }, undefined, 2)}\n`)
}
if (flags.write) {
  const measured = results.map((result) => ({ name: result.name, title: result.title, result }))
  writeResults(
    flags.full ? 'full' : 'short',
    [...measured, ...failures],
    cases.map(({ name }) => name),
  )
  say('wrote bench/RESULTS.md')
}
