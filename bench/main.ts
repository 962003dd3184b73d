/**
 * `npm run bench -- [NAME...] [--json] [--write] [--profile] [--runs=N]`: measures the server from outside, as a client over TLS,
 * and says how the figures stand to their targets. It never fails because something was slow. `--write` makes bench/RESULTS.md of
 * the figures; `--profile` also says where the server's time went.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cases } from './cases.ts'
import type { Case } from './cases.ts'
import { hotspots, readMainProfile } from './profile.ts'
import { median, renderLine, renderSummary, writeResults } from './report.ts'
import type { Result } from './report.ts'
import { startProa } from './target.ts'

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean' }, write: { type: 'boolean' }, profile: { type: 'boolean' }, runs: { type: 'string' } },
})

const unknown = positionals.filter((name) => !cases.some((entry) => entry.name === name))
if (unknown.length > 0) {
  process.stderr.write(`no benchmark ${unknown.join(', ')}; there are: ${cases.map(({ name }) => name).join(', ')}\n`)
  process.exit(2)
}
const say = (text: string) => process.stderr.write(`${text}\n`)

async function run(entry: Case): Promise<Result> {
  const figures: number[] = []
  const notes: string[] = []
  const count = flags.runs ? Number(flags.runs) : flags.profile ? 1 : entry.runs
  for (let i = 0; i < count; i++) {
    const profileDirectory = flags.profile ? mkdtempSync(join(tmpdir(), 'proa-profile-')) : undefined
    const start = (options = {}) => startProa({ ...options, ...(profileDirectory ? { profileDirectory } : {}) })
    figures.push(await entry.measure(start, (note) => notes.push(note)))
    if (!profileDirectory) continue
    say(`${entry.name}: functions with the most time of their own`)
    for (const { place, share } of hotspots(readMainProfile(profileDirectory), 25))
      say(`  ${(share * 100).toFixed(1).padStart(5)}%  ${place}`)
    rmSync(profileDirectory, { recursive: true })
  }
  return {
    name: entry.name,
    title: entry.title,
    unit: entry.unit,
    better: entry.better,
    target: entry.target,
    figure: median(figures),
    figures,
    note: notes.at(-1) ?? '',
  }
}

const results: Result[] = []
const failures: string[] = []
for (const entry of cases) {
  if (positionals.length > 0 && !positionals.includes(entry.name)) continue
  try {
    const result = await run(entry)
    results.push(result)
    if (!flags.json) process.stdout.write(`${renderLine(result)}\n`)
  } catch (error) {
    // A server that breaks is a failure of its own kind: told, and the others are still measured.
    // Its first line: the rest is where in the load process it was thrown.
    const why = (error instanceof Error ? error.message : String(error)).split('\n')[0]!
    failures.push(`${entry.title}: ${why}`)
    say(`${entry.name}: not measured: ${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = 1
  }
}
process.stdout.write(flags.json ? `${JSON.stringify(results, undefined, 2)}\n` : `${renderSummary(results)}\n`)
if (flags.write) {
  writeResults(results, failures)
  say('wrote bench/RESULTS.md')
}
