/**
 * `npm test`: every test that fits this machine. Unit tests (beside the code) share one process; those under test/ and examples/
 * get one each, one after another, because they start clusters. Names may be given to narrow the run: `npm test -- store`.
 * The last line is `N passed, N failed, N skipped`.
 */
import { globSync } from 'node:fs'
import { join, relative } from 'node:path'
import { run } from 'node:test'
import { inspect } from 'node:util'

const root = join(import.meta.dirname, '..')
const wanted = process.argv.slice(2)
const matches = (file: string): boolean => wanted.length === 0 || wanted.some((part) => file.includes(part))
const unit = globSync('{src,tools,conformance}/**/*.test.ts', { cwd: root }).filter(matches).toSorted()
const whole = globSync('{test,examples,bench}/**/*.test.ts', { cwd: root }).filter(matches).toSorted()

/** A test, or a file that starts a cluster, that takes longer hangs. */
const HANG_MS = 300_000

const totals = { passed: 0, failed: 0, skipped: 0 }
const failures: string[] = []

/** Runs a group of files and prints failures whole, skips with their reason, and a line for each file when `isVerbose`. */
async function runFiles(files: readonly string[], isolation: 'none' | 'process', isVerbose: boolean): Promise<void> {
  const paths = files.map((file) => join(root, file))
  const stream = run({
    files: paths,
    isolation,
    concurrency: isolation === 'none' ? true : 1,
    timeout: HANG_MS,
    execArgv: ['--conditions=development'],
  })
  const fileOf = (file: string | undefined): string => (file ? relative(root, file) : '')
  stream.on('test:pass', (event) => {
    if (event.details.type === 'suite' || event.name === event.file) return
    if (event.skip !== undefined) {
      totals.skipped++
      const why = typeof event.skip === 'string' && event.skip ? event.skip : 'no reason given'
      console.log(`skipped  ${fileOf(event.file)}: ${event.name} (${why})`)
      return
    }
    totals.passed++
    if (isVerbose) console.log(`ok       ${fileOf(event.file)}: ${event.name} (${Math.round(event.details.duration_ms)} ms)`)
  })
  stream.on('test:fail', (event) => {
    const cause = event.details.error.cause
    const isRepeat = event.details.type === 'suite' && /subtest/.test(String(event.details.error.message))
    if (isRepeat) return
    totals.failed++
    const text = cause instanceof Error ? (cause.stack ?? cause.message) : inspect(cause ?? event.details.error)
    failures.push(`${fileOf(event.file)}: ${event.name}\n${text}`)
    console.log(`FAILED   ${fileOf(event.file)}: ${event.name}\n${text.replaceAll(/^/gm, '         ')}`)
  })
  stream.on('test:stderr', (event) => process.stderr.write(event.message))
  stream.resume()
  await new Promise<void>((resolve, reject) => {
    stream.on('end', resolve)
    stream.on('error', reject)
  })
}

const startedAt = performance.now()
if (unit.length) {
  console.log(`unit tests: ${unit.length} files`)
  await runFiles(unit, 'none', false)
}
if (whole.length) {
  console.log(`whole-cluster tests: ${whole.length} files`)
  await runFiles(whole, 'process', true)
}
if (unit.length + whole.length === 0) {
  console.error(`no test file matches ${wanted.join(' ')}`)
  process.exitCode = 1
}
if (failures.length) console.log(`\nfailed:\n${failures.map((text) => `  ${text.split('\n')[0]}`).join('\n')}`)
console.log(`in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`)
// Something may hold the process open after a failure; the verdict is known.
process.exit(totals.failed > 0 || process.exitCode ? 1 : 0)
