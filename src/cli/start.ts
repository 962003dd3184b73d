/** What `npm start` does: a cluster, a program on it that really runs, and its answers. */
import { readFileSync } from 'node:fs'
import { dataDirectory, readRecord } from '../cluster/data-directory.ts'
import { runHello } from '../cluster/hello.ts'
import { launchServer } from '../cluster/launch.ts'
import { createProgress } from './progress.ts'
import { isAlreadyUp, reporter, upOptionsOf, type UpFlags } from './up.ts'

export async function start(flags: UpFlags): Promise<void> {
  const options = upOptionsOf(flags)
  const directory = dataDirectory(options.dataRoot)
  const progress = createProgress(0)
  if (!isAlreadyUp(options, progress)) await launchServer(options, true, reporter(progress))
  const record = readRecord(directory)
  if (record?.runtime === 'simulated') progress.step('nodes are simulated: pods are scheduled and become Ready, but no container runs (real ones need root)')
  const answers = await runHello(directory, readFileSync(directory.kubeconfig, 'utf8'), progress.step)
  process.stdout.write(`\n${answers.map((answer) => `  ${answer}`).join('\n')}\n\n`)
  process.stdout.write(`kubeconfig: ${directory.kubeconfig}\n`)
  process.stdout.write(`try:        export KUBECONFIG=${directory.kubeconfig}; kubectl get pods -o wide\n`)
  process.stdout.write('take down:  npm stop\n')
}
