/**
 * Upstream's kube-apiserver and proa's, side by side and without controllers: whatever is stored was written by the test. Each is
 * started once a process.
 */
import { readFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { after } from 'node:test'
import { apiServerPrograms, startBuiltApiServer } from '../../upstream/api-server.ts'
import { parseEndpoint, type Endpoint } from '../../upstream/endpoint.ts'
import { builtPrograms } from '../../upstream/programs.ts'
import { startLoneServer } from '../api-server.ts'
import { ask, type Answer, type Question } from './exchange.ts'

export interface Server {
  readonly name: 'upstream' | 'proa'
  ask(question: Question): Promise<Answer>
  /** Its administrator's, as text. */
  readonly kubeconfig: string
}

export interface Servers {
  readonly upstream: Server
  readonly proa: Server
}

/** The kubeconfig of an upstream server that runs already, so that scenarios can be tried without starting it again and again. */
const running = process.env['PROA_UPSTREAM_KUBECONFIG']

const closing: (() => Promise<void>)[] = []
after(async () => {
  for (const close of closing.toReversed()) await close()
})

/** Why scenarios are skipped, or false. */
export function noUpstream(): string | false {
  if (running) return false
  const built = builtPrograms(apiServerPrograms)
  return 'missing' in built && `upstream's programs are not built: ${built.missing.join(', ')} (npm run bench builds them)`
}

function server(name: Server['name'], kubeconfig: string): Server {
  const endpoint: Endpoint = parseEndpoint(kubeconfig)
  const agent = new Agent({ keepAlive: true })
  closing.push(async () => agent.destroy())
  return { name, kubeconfig, ask: (question) => ask(endpoint, agent, question) }
}

async function startUpstream(flags: readonly string[] = []): Promise<Server> {
  if (running && flags.length === 0) return server('upstream', readFileSync(running, 'utf8'))
  const { kubeconfig, stop } = await startBuiltApiServer(flags)
  closing.push(stop)
  return server('upstream', kubeconfig)
}

async function startProa(options?: Parameters<typeof startLoneServer>[1]): Promise<Server> {
  const { kubeconfig, stop } = await startLoneServer(undefined, options)
  closing.push(stop)
  return server('proa', kubeconfig)
}

let started: Promise<Servers> | undefined

export function startServers(): Promise<Servers> {
  started ??= Promise.all([startUpstream(), startProa()]).then(([upstream, proa]) => ({ upstream, proa }))
  return started
}

/** Servers that forget their history after so many seconds: pages and revisions from before are too old. */
export async function startForgetfulServers(seconds: number): Promise<Servers> {
  const [upstream, proa] = await Promise.all([
    startUpstream([`--etcd-compaction-interval=${seconds}s`]),
    startProa({ housekeeping: { compactionPeriodMs: seconds * 1000 } }),
  ])
  return { upstream, proa }
}
