/** The audit flags of the API server as what it takes. Files are read before anything is started: a wrong one is told at once. */
import { readFileSync } from 'node:fs'
import type { Runtime } from '../base/runtime.ts'
import { loadConnection } from '../client/http/index.ts'
import type { AuditOptions } from '../server/audit/audit.ts'
import { readAuditPolicy, type AuditPolicy } from '../server/audit/policy.ts'
import { createSink, LOG_BATCH, WEBHOOK_BATCH, type AuditMode, type RunningSink } from '../server/audit/sinks.ts'
import { createAuditWebhook, type AuditWebhook } from '../server/audit/webhook.ts'
import { createAuditLog, type AuditLogFile } from '../server/http/audit-log.ts'
import type { Outgoing } from '../server/outgoing.ts'
import { durationOf, numberOf, type ApiServerSettings } from './api-server-flags.ts'
import { messageOf } from './followed-file.ts'
import type { Lifecycle } from './lifecycle.ts'
import { UserError } from './user-error.ts'

/** What the flags and their files say. */
export interface AuditSetup {
  readonly policy: AuditPolicy
  readonly log: { readonly file: AuditLogFile; readonly mode: AuditMode } | undefined
  readonly webhook: { readonly target: AuditWebhook; readonly mode: AuditMode; readonly batch: typeof WEBHOOK_BATCH } | undefined
}

const MODES: ReadonlySet<string> = new Set(['batch', 'blocking', 'blocking-strict'])
const INITIAL_BACKOFF = '10s'

/** Undefined when nothing is to be audited. */
export function readAuditSetup(settings: ApiServerSettings): AuditSetup | undefined {
  const file = settings['audit-policy-file']
  const path = settings['audit-log-path']
  const webhookFile = settings['audit-webhook-config-file']
  if (file === undefined || (path === undefined && webhookFile === undefined)) return undefined
  return {
    policy: readPolicy(file),
    log: path === undefined ? undefined : { file: logFileOf(path, settings), mode: modeOf(settings, 'audit-log-mode', 'blocking') },
    webhook:
      webhookFile === undefined
        ? undefined
        : {
            target: webhookOf(webhookFile, settings),
            mode: modeOf(settings, 'audit-webhook-mode', 'batch'),
            batch: {
              ...WEBHOOK_BATCH,
              maxBatchSize: numberOf(settings, 'audit-webhook-batch-max-size') ?? WEBHOOK_BATCH.maxBatchSize,
              maxBatchWaitMs: durationOf(settings, 'audit-webhook-batch-max-wait', '30s'),
              throttle: { qps: numberOf(settings, 'audit-webhook-batch-throttle-qps') ?? WEBHOOK_BATCH.throttle!.qps, burst: 15 },
            },
          },
  }
}

function readPolicy(file: string): AuditPolicy {
  try {
    return readAuditPolicy(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new UserError(`loading audit policy file: ${messageOf(error)}: from file ${file}`)
  }
}

function modeOf(settings: ApiServerSettings, name: string, byDefault: AuditMode): AuditMode {
  const mode = settings[name] ?? byDefault
  if (!MODES.has(mode)) throw new UserError(`invalid audit mode ${mode}, allowed modes are "batch,blocking,blocking-strict"`)
  return mode as AuditMode
}

function logFileOf(path: string, settings: ApiServerSettings): AuditLogFile {
  return {
    path,
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
  if (log) {
    const file = createAuditLog(runtime.clock, log.file)
    start(createSink(runtime, 'log', file.write, log.mode, LOG_BATCH), () => file.close())
  }
  if (webhook)
    start(
      createSink(runtime, 'webhook', createAuditWebhook(runtime, outgoing, webhook.target), webhook.mode, webhook.batch),
      async () => {},
    )
  return { policy, sinks }
}
