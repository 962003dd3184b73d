/**
 * `npm start`: brings a cluster up, runs examples/hello on it, waits, and prints what its service answered. The cluster stays up.
 * Flags of `proa up` may follow: `npm start -- --runtime simulated`.
 */
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { setTimeout as delay } from 'node:timers/promises'
import { parseAllDocuments } from 'yaml'
import { HELLO_IMAGE, helloImageArchive } from '../examples/hello/image.ts'
import type { KubeObject } from '../src/api/object.ts'
import { isApiError } from '../src/api/status.ts'
import { createProgress } from '../src/cli/progress.ts'
import { isAlreadyUp, reporter, upOptionsOf } from '../src/cli/up.ts'
import type { Client } from '../src/client/client.ts'
import { createClient } from '../src/client/create-client.ts'
import { createHttpTransport, optionsFromKubeconfig } from '../src/client/http/index.ts'
import { dataDirectory, readRecord } from '../src/cluster/data-directory.ts'
import { loadImageArchive } from '../src/cluster/images.ts'
import { launchServer } from '../src/cluster/launch.ts'
import { isUserError } from '../src/cluster/user-error.ts'

const ROLLOUT_TIMEOUT_MS = 120_000
const ANSWERS = 3
const MAX_QUESTIONS = 100

const progress = createProgress(0)

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      name: { type: 'string', default: 'default' },
      'data-dir': { type: 'string' },
      port: { type: 'string' },
      runtime: { type: 'string' },
    },
  })
  const options = upOptionsOf({
    name: values.name,
    ...(values['data-dir'] === undefined ? {} : { dataDir: values['data-dir'] }),
    ...(values.port === undefined ? {} : { port: Number(values.port) }),
    ...(values.runtime === 'containerd' || values.runtime === 'simulated' ? { runtime: values.runtime } : {}),
  })
  const directory = dataDirectory(options.dataRoot)
  if (!isAlreadyUp(options, progress)) await launchServer(options, true, reporter(progress))
  const isReal = readRecord(directory)?.runtime === 'containerd'
  if (!isReal)
    progress.step('nodes are simulated (real containers need root): pods are scheduled and become Ready, but nothing runs in them')
  const { transport, close } = createHttpTransport(optionsFromKubeconfig(readFileSync(directory.kubeconfig, 'utf8')))
  const client = createClient(transport)
  try {
    if (isReal) {
      await loadImageArchive(directory, await helloImageArchive())
      progress.step(`image ${HELLO_IMAGE} loaded`)
    }
    await apply(client)
    progress.step('examples/hello applied')
    const address = await untilAvailable(client)
    progress.step('its three pods are Ready')
    if (isReal) {
      const answers = await differentAnswers(address)
      process.stdout.write(`\nThe service at http://${address} answered:\n${answers.map((answer) => `  ${answer}\n`).join('')}\n`)
    }
    process.stdout.write(`kubeconfig: ${directory.kubeconfig}\n`)
    process.stdout.write(`try:        KUBECONFIG=${directory.kubeconfig} kubectl get pods -o wide\n`)
    process.stdout.write('stop:       npm stop\n')
  } finally {
    close()
  }
}

async function apply(client: Client): Promise<void> {
  const text = readFileSync(join(import.meta.dirname, '../examples/hello/hello.yaml'), 'utf8')
  for (const document of parseAllDocuments(text)) {
    const object = document.toJS() as KubeObject
    const kind = `${object.apiVersion}/${object.kind}`
    try {
      await client.create(kind, object)
    } catch (error) {
      if (!isApiError(error, 'AlreadyExists')) throw error
      await client.patch(kind, { namespace: 'default', name: object.metadata?.name ?? '' }, 'merge', object)
    }
  }
}

/** Waits for the Deployment; resolves with the service's address. */
async function untilAvailable(client: Client): Promise<string> {
  const deadline = performance.now() + ROLLOUT_TIMEOUT_MS
  const key = { namespace: 'default', name: 'hello' }
  for (;;) {
    const { status, metadata } = await client.get('apps/v1/Deployment', key)
    if (status?.availableReplicas === ANSWERS && status.observedGeneration === metadata?.generation) break
    if (performance.now() > deadline)
      throw new Error(`the pods of examples/hello did not become Ready: ${JSON.stringify(status)}; kubectl describe pods tells more`)
    await delay(20)
  }
  return (await client.get('v1/Service', key)).spec?.clusterIP ?? ''
}

/** Asks through the service until three different pods have answered. */
async function differentAnswers(address: string): Promise<readonly string[]> {
  const byPod = new Map<string, string>()
  for (let asked = 0; byPod.size < ANSWERS && asked < MAX_QUESTIONS; asked++) {
    const answer = await ask(address)
    byPod.set(/hello-[a-z0-9]+-[a-z0-9]+/.exec(answer)?.[0] ?? answer, answer)
  }
  return [...byPod.values()]
}

function ask(address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ host: address, port: 80, path: '/', agent: false, timeout: 5000 }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += part))
      response.on('end', () => resolve(text.trim()))
    })
    call.on('timeout', () => call.destroy(new Error(`the service at ${address} did not answer within 5 s`)))
    call.on('error', reject)
    call.end()
  })
}

try {
  await main()
} catch (error) {
  process.stderr.write(`proa: ${isUserError(error) ? error.message : error instanceof Error ? error.stack : String(error)}\n`)
  process.exitCode = 1
}
