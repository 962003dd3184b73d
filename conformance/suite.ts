/** One call of ginkgo: the selected tests against a cluster, each outcome told as soon as it is known. */
import { spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { finished } from 'node:stream/promises'
import { createOutcomeReader } from './outcomes.ts'
import type { Outcome } from './outcomes.ts'

export interface SuiteOptions {
  readonly programs: Readonly<Record<'ginkgo' | 'e2e.test' | 'kubectl', string>>
  /** That all of the tests have; may be empty. */
  readonly labels: string
  readonly tests: readonly string[]
  readonly kubeconfig: string
  readonly nodes: number
  readonly parallel: number
  /** How often a test is tried until it passes. */
  readonly attempts: number
  /** As Go writes durations. */
  readonly timeout: string
  readonly reportDirectory: string
  readonly logFile: string
  readonly signal: AbortSignal
  started(pid: number): void
  outcome(outcome: Outcome): void
}

/** From SIGTERM, on which ginkgo still cleans up and reports, to SIGKILL. */
const STOP_GRACE_MS = 10_000

export const exactFocus = (names: readonly string[]): string =>
  names.map((name) => `${name.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`).join('|')

function argumentsOf({ programs, labels, tests, kubeconfig, nodes, parallel, attempts, timeout, reportDirectory }: SuiteOptions): string[] {
  const ginkgo = [
    '-v',
    '--no-color',
    `--procs=${parallel}`,
    `--timeout=${timeout}`,
    ...(attempts > 1 ? [`--flake-attempts=${attempts}`] : []),
    // Checked before the focus, which would cost seconds on all of upstream's tests in every process.
    ...(labels ? [`--label-filter=${labels}`] : []),
    `--focus=${exactFocus(tests)}`,
    `--output-dir=${reportDirectory}`,
    '--junit-report=junit.xml',
  ]
  const suite = [
    `--kubeconfig=${kubeconfig}`,
    `--kubectl-path=${programs.kubectl}`,
    '--provider=skeleton',
    `--num-nodes=${nodes}`,
    '--allowed-not-ready-nodes=-1',
    '--minStartupPods=-1',
    '--disable-log-dump',
    '--dump-logs-on-failure=false',
  ]
  return [...ginkgo, programs['e2e.test'], '--', ...suite]
}

/** Resolves with ginkgo's exit code; with 'stopped' when the signal came. Its processes are gone then in either case. */
export async function runSuite(options: SuiteOptions): Promise<number | 'stopped'> {
  const log = createWriteStream(options.logFile, { flags: 'a' })
  const child = spawn(options.programs.ginkgo, argumentsOf(options), { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  const code = new Promise<number>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => resolve(status ?? 1))
  })
  const killGroup = (name: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name)
    } catch (error) {
      // The group may be gone already; anything else is news.
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
    }
  }
  let killer: NodeJS.Timeout | undefined
  const stop = () => {
    killGroup('SIGTERM')
    killer = setTimeout(() => killGroup('SIGKILL'), STOP_GRACE_MS)
  }
  options.signal.addEventListener('abort', stop, { once: true })
  if (child.pid !== undefined) options.started(child.pid)
  if (options.signal.aborted) stop()
  child.stderr.on('data', (chunk: Buffer) => log.write(chunk))
  const reader = createOutcomeReader(options.tests)
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      log.write(`${line}\n`)
      const outcome = reader.line(line)
      if (outcome) options.outcome(outcome)
    }
    const status = await code
    return options.signal.aborted ? 'stopped' : status
  } finally {
    clearTimeout(killer)
    options.signal.removeEventListener('abort', stop)
    killGroup('SIGKILL')
    log.end()
    await finished(log)
  }
}
