/** The audit flags of the API server as what it takes. Files are read before anything is started: a wrong one is told at once. */
import { readFileSync } from 'node:fs'
import type { Runtime } from '../base/runtime.ts'
import { loadConnection } from '../client/http/index.ts'
import type { AuditOptions } from '../server/audit/audit.ts'
import { readAuditPolicy, type AuditPolicy } from '../server/audit/policy.ts'
import {
  createSink,
  LOG_BATCH,
  truncating,
  WEBHOOK_BATCH,
  type AuditMode,
  type BatchOptions,
  type RunningSink,
  type WriteEvents,
} from '../server/audit/sinks.ts'
import { createAuditWebhook, type AuditWebhook } from '../server/audit/webhook.ts'
import { createAuditLog, type AuditLogFile } from '../server/http/audit-log.ts'
import type { Outgoing } from '../server/outgoing.ts'
import { durationOf, numberOf, type ApiServerSettings } from './api-server-flags.ts'
import { messageOf } from './followed-file.ts'
import type { Lifecycle } from './lifecycle.ts'
import { UserError } from './user-error.ts'

/** What both backends are told. */
interface Backend {
  readonly mode: AuditMode
  readonly batch: BatchOptions
  /** Absent: events are written as large as they are. */
  readonly maxEventBytes?: number
}

/** What the flags and their files say. */
export interface AuditSetup {
  readonly policy: AuditPolicy
  readonly log: (Backend & { readonly file: AuditLogFile }) | undefined
  readonly webhook: (Backend & { readonly target: AuditWebhook }) | undefined
}

const MODES: ReadonlySet<string> = new Set(['batch', 'blocking', 'blocking-strict'])
const INITIAL_BACKOFF = '10s'
const MAX_EVENT_BYTES = 100 * 1024
const MAX_BATCH_BYTES = 10 * 1024 * 1024
const THROTTLE_BURST = 15

/** Undefined when nothing is to be audited. */
export function readAuditSetup(settings: ApiServerSettings): AuditSetup | undefined {
  const file = settings['audit-policy-file']
  const path = settings['audit-log-path']
  const webhookFile = settings['audit-webhook-config-file']
  if (file === undefined || (path === undefined && webhookFile === undefined)) return undefined
  return {
    policy: readPolicy(file),
    log: path === undefined ? undefined : { file: logFileOf(path, settings), ...backendOf(settings, 'log', 'blocking', LOG_BATCH) },
    webhook:
      webhookFile === undefined
        ? undefined
        : { target: webhookOf(webhookFile, settings), ...backendOf(settings, 'webhook', 'batch', WEBHOOK_BATCH) },
  }
}

function backendOf(settings: ApiServerSettings, name: 'log' | 'webhook', mode: AuditMode, defaults: BatchOptions): Backend {
  const number = (suffix: string) => numberOf(settings, `audit-${name}-${suffix}`)
  const positive = (suffix: string, what: string, byDefault: number): number => {
    const value = number(suffix) ?? byDefault
    if (value <= 0) throw new UserError(`invalid audit ${what} ${value}, must be a positive number`)
    return value
  }
  const qps = number('batch-throttle-qps') ?? defaults.throttle?.qps
  const maxEventBytes = positive('truncate-max-event-size', `truncate ${name} max event size`, MAX_EVENT_BYTES)
  const maxBatchBytes = number('truncate-max-batch-size') ?? MAX_BATCH_BYTES
  if (maxBatchBytes < maxEventBytes)
    throw new UserError(
      `invalid audit truncate ${name} max batch size ${maxBatchBytes}, must be greater than max event size (${maxEventBytes})`,
    )
  return {
    mode: modeOf(settings, name, mode),
    batch: {
      bufferSize: positive('batch-buffer-size', `batch ${name} buffer size`, defaults.bufferSize),
      maxBatchSize: positive('batch-max-size', `batch ${name} max batch size`, defaults.maxBatchSize),
      maxBatchWaitMs: durationOf(settings, `audit-${name}-batch-max-wait`, `${defaults.maxBatchWaitMs}ms`),
      ...(qps === undefined
        ? {}
        : { throttle: { qps, burst: positive('batch-throttle-burst', `batch ${name} throttle burst`, THROTTLE_BURST) } }),
    },
    ...(settings[`audit-${name}-truncate-enabled`] === 'true' ? { maxEventBytes } : {}),
  }
}

function readPolicy(file: string): AuditPolicy {
  try {
    return readAuditPolicy(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new UserError(`loading audit policy file: ${messageOf(error)}: from file ${file}`)
  }
}

function modeOf(settings: ApiServerSettings, backend: 'log' | 'webhook', byDefault: AuditMode): AuditMode {
  const mode = settings[`audit-${backend}-mode`] ?? byDefault
  if (!MODES.has(mode)) throw new UserError(`invalid audit ${backend} mode ${mode}, allowed modes are "batch,blocking,blocking-strict"`)
  return mode as AuditMode
}

function logFileOf(path: string, settings: ApiServerSettings): AuditLogFile {
  const format = settings['audit-log-format'] ?? 'json'
  if (format !== 'json' && format !== 'legacy') throw new UserError(`invalid audit log format ${format}, allowed formats are "legacy,json"`)
  return {
    path,
    format,
    maxSizeMegabytes: numberOf(settings, 'audit-log-maxsize') || 100,
    maxBackups: numberOf(settings, 'audit-log-maxbackup') ?? 0,
    maxAgeDays: numberOf(settings, 'audit-log-maxage') ?? 0,
    isCompressed: settings['audit-log-compress'] === 'true',
  }
}

function webhookOf(file: string, settings: ApiServerSettings): AuditWebhook {
  try {
    const { server, ca, serverName, cert, key, insecureSkipTlsVerify, token } = loadConnection(file).options
    const bearerToken = typeof token === 'string' ? token : undefined
    return {
      url: server,
      tls: {
        ...(ca ? { ca } : {}),
        ...(serverName ? { serverName } : {}),
        ...(cert && key ? { cert, key } : {}),
        ...(insecureSkipTlsVerify ? { isUnverified: true } : {}),
      },
      ...(bearerToken ? { bearerToken } : {}),
      initialBackoffMs: durationOf(settings, 'audit-webhook-initial-backoff', INITIAL_BACKOFF),
    }
  } catch (error) {
    throw new UserError(`initializing audit webhook: ${messageOf(error)}: from file ${file}`)
  }
}

/** Starts the backends; they end, with all that they hold written, after the server. */
export function startAudit(runtime: Runtime, lifecycle: Lifecycle, outgoing: Outgoing, setup: AuditSetup): AuditOptions {
  const sinks: RunningSink[] = []
  const start = (sink: RunningSink, close: () => Promise<void>): void => {
    sinks.push(sink)
    lifecycle.start({ name: `audit ${sink.name}`, run: (signal) => sink.run(signal).finally(close) })
  }
  const { policy, log, webhook } = setup
  const create = (name: string, write: WriteEvents, { mode, batch, maxEventBytes }: Backend): RunningSink => {
    const sink = createSink(runtime, name, write, mode, batch)
    return maxEventBytes === undefined ? sink : truncating(runtime, sink, maxEventBytes)
  }
  if (log) {
    const file = createAuditLog(runtime.clock, log.file)
    start(create('log', file.write, log), () => file.close())
  }
  if (webhook) start(create('webhook', createAuditWebhook(runtime, outgoing, webhook.target), webhook), async () => {})
  return { policy, sinks }
}
