/** The scheduler as a cluster runs it: its configuration read, and the way to its extenders. */
import { readFileSync } from 'node:fs'
import type { Runtime } from '../base/runtime.ts'
import type { Client } from '../client/client.ts'
import { createEventRecorder } from '../client/events.ts'
import type { Informers } from '../client/informers.ts'
import { API_VERSION, readConfiguration } from '../scheduler/config/configuration.ts'
import type { PluginFactory } from '../scheduler/config/configuration.ts'
import type { ExtenderConfig, ExtenderTls } from '../scheduler/extender-config.ts'
import type { AskExtender } from '../scheduler/extender.ts'
import type { SchedulerMetrics } from '../scheduler/metrics.ts'
import { runScheduler } from '../scheduler/scheduler.ts'
import { createOutgoing } from '../server/http/outgoing.ts'
import type { Outgoing, OutgoingTls } from '../server/outgoing.ts'
import { UserError } from './user-error.ts'

export interface SchedulerSetup {
  /** A KubeSchedulerConfiguration of kubescheduler.config.k8s.io/v1: YAML, or an object. */
  readonly configuration?: string | object
  /** Plugins of your own, by name. One that no profile of the configuration names takes part in all of them. */
  readonly plugins?: Readonly<Record<string, PluginFactory>>
}

/** Reads and checks the file; a UserError says what is wrong with it. */
export function readSchedulerFile(path: string): SchedulerSetup {
  try {
    const configuration = readFileSync(path, 'utf8')
    readConfiguration(configuration)
    return { configuration }
  } catch (error) {
    throw new UserError(`${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

/** An extender's answer about 15,000 nodes in full is some tens of megabytes. */
const MAXIMUM_ANSWER_BYTES = 256 * 1024 * 1024

const pem = (data: string | undefined, file: string | undefined): string | undefined =>
  data ? Buffer.from(data, 'base64').toString() : file ? readFileSync(file, 'utf8') : undefined

/** Without an authority of its own an extender is not verified, as upstream does. */
function outgoingTls(tls: ExtenderTls | undefined): OutgoingTls {
  const ca = pem(tls?.caData, tls?.caFile)
  const cert = pem(tls?.certData, tls?.certFile)
  const key = pem(tls?.keyData, tls?.keyFile)
  return {
    ...(tls?.serverName ? { serverName: tls.serverName } : {}),
    ...(ca ? { ca } : {}),
    ...(cert ? { cert } : {}),
    ...(key ? { key } : {}),
    ...(tls?.insecure || !ca ? { isUnverified: true } : {}),
  }
}

async function readJson(body: AsyncIterable<Uint8Array>): Promise<unknown> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > MAXIMUM_ANSWER_BYTES) throw new Error(`the answer is larger than ${MAXIMUM_ANSWER_BYTES} bytes`)
    chunks.push(chunk)
  }
  return JSON.parse(Buffer.concat(chunks).toString()) as unknown
}

function createAsking(runtime: Runtime, outgoing: Outgoing, configs: readonly ExtenderConfig[]): AskExtender {
  const tlsOf = new Map(configs.map((config) => [config, config.isHttps ? outgoingTls(config.tls) : undefined]))
  return async (config, address, body, signal) => {
    const url = new URL(address)
    const tls = tlsOf.get(config) ?? (url.protocol === 'https:' ? outgoingTls(config.tls) : undefined)
    const over = new AbortController()
    const cancel = runtime.clock.setTimeout(
      () => over.abort(new Error(`no answer from ${address} within ${config.timeoutMs} ms`)),
      config.timeoutMs,
    )
    try {
      const { status, body: answer } = await outgoing.send({
        host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
        port: url.port ? Number(url.port) : tls ? 443 : 80,
        ...(tls ? { tls } : {}),
        method: 'POST',
        path: `${url.pathname}${url.search}`,
        headers: [
          ['host', url.host],
          ['content-type', 'application/json'],
        ],
        body: Buffer.from(JSON.stringify(body)),
        signal: AbortSignal.any([signal, over.signal]),
      })
      if (status !== 200) throw new Error(`failed ${url.pathname.split('/').at(-1)} with extender at URL ${address}, code ${status}`)
      return await readJson(answer)
    } catch (error) {
      throw over.signal.aborted ? (over.signal.reason as Error) : error
    } finally {
      cancel()
    }
  }
}

/** Throws at once when the configuration is wrong; `run` then schedules until the signal aborts. */
export function createScheduler(
  runtime: Runtime,
  client: Client,
  informers: Informers,
  setup: SchedulerSetup = {},
  metrics?: SchedulerMetrics,
): { run(signal: AbortSignal): Promise<void> } {
  const fallback = { apiVersion: API_VERSION, kind: 'KubeSchedulerConfiguration' }
  const { plugins } = setup
  const { profiles, backOff, extenders } = readConfiguration(setup.configuration ?? fallback, plugins ? { plugins } : {})
  return {
    async run(signal) {
      const recorders = new Map(
        profiles.map(({ schedulerName }) => [schedulerName, createEventRecorder(runtime, client, { component: schedulerName })]),
      )
      const events = recorders.values().next().value!
      const outgoing = createOutgoing(runtime)
      const ask = createAsking(runtime, outgoing, extenders)
      const options = {
        informers,
        events,
        recorders,
        profiles,
        backOff,
        ...(metrics ? { metrics } : {}),
        ...(extenders.length > 0 ? { extenders: { configs: extenders, ask } } : {}),
      }
      await runScheduler(runtime, client, options, signal)
      outgoing.close()
      for (const recorder of recorders.values()) recorder.close()
    },
  }
}
