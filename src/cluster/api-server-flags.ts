/**
 * Flags of upstream's API server that `proa up` takes under the same names, as one table: the command line, the launcher and the
 * server process all read it, so that a flag is added by adding a row and reading its value.
 */
import { durationMs } from '../server/configuration/decode.ts'
import { UserError } from './user-error.ts'

export interface ApiServerFlag {
  readonly name: string
  /** `pairs`: two files and what they are for, given again and again. */
  readonly kind: 'file' | 'text' | 'number' | 'duration' | 'switch' | 'pairs'
  readonly help: string
}

/** What both backends of the audit log have: `audit-log-…` and `audit-webhook-…`. */
const AUDIT_BACKEND: readonly (readonly [suffix: string, kind: ApiServerFlag['kind'], help: string])[] = [
  ['mode', 'text', 'batch, blocking or blocking-strict (default: the log blocking, the webhook batch)'],
  ['batch-buffer-size', 'number', 'events that wait at most (default: 10000)'],
  ['batch-max-size', 'number', 'events in a batch (default: 1 of the log, 400 of the webhook)'],
  ['batch-max-wait', 'duration', 'how long a batch is waited for (default: 30s)'],
  ['batch-throttle-qps', 'number', 'batches a second (default: 10 of the webhook)'],
  ['batch-throttle-burst', 'number', 'batches at once after a pause (default: 15)'],
  ['truncate-enabled', 'switch', 'events that are too large lose their objects, or are dropped'],
  ['truncate-max-event-size', 'number', 'bytes of an event (default: 102400)'],
  ['truncate-max-batch-size', 'number', 'bytes of a batch (default: 10485760)'],
]

const auditBackendFlags: readonly ApiServerFlag[] = ['log', 'webhook'].flatMap((backend) =>
  AUDIT_BACKEND.map(([suffix, kind, help]) => ({ name: `audit-${backend}-${suffix}`, kind, help })),
)

export const apiServerFlags: readonly ApiServerFlag[] = [
  { name: 'admission-control-config-file', kind: 'file', help: 'what admission plugins are told (AdmissionConfiguration)' },
  { name: 'enable-admission-plugins', kind: 'text', help: 'admission plugins that are off by default, joined by commas' },
  { name: 'disable-admission-plugins', kind: 'text', help: 'admission plugins to leave out, joined by commas' },
  { name: 'anonymous-auth', kind: 'text', help: 'false: requests without credentials are refused (default: true)' },
  { name: 'authentication-config', kind: 'file', help: 'identity providers whose tokens count (AuthenticationConfiguration)' },
  { name: 'authentication-token-webhook-config-file', kind: 'file', help: 'a kubeconfig: who is asked about tokens' },
  { name: 'authentication-token-webhook-cache-ttl', kind: 'duration', help: 'how long its answers count (default: 2m)' },
  { name: 'token-auth-file', kind: 'file', help: 'tokens known beforehand: a line of token,user,uid,"groups" each' },
  { name: 'authorization-config', kind: 'file', help: 'who is asked for leave (AuthorizationConfiguration; default: Node, RBAC)' },
  { name: 'authorization-mode', kind: 'text', help: 'the same without a file: any of Node, RBAC, ABAC, Webhook, AlwaysAllow, AlwaysDeny' },
  { name: 'authorization-policy-file', kind: 'file', help: 'of mode ABAC: a line of JSON a rule' },
  { name: 'authorization-webhook-config-file', kind: 'file', help: 'of mode Webhook, a kubeconfig: who is asked' },
  { name: 'authorization-webhook-version', kind: 'text', help: 'of its SubjectAccessReviews: v1 or v1beta1 (default)' },
  { name: 'authorization-webhook-cache-authorized-ttl', kind: 'duration', help: 'how long its yes counts (default: 5m)' },
  { name: 'authorization-webhook-cache-unauthorized-ttl', kind: 'duration', help: 'how long its no counts (default: 30s)' },
  { name: 'max-requests-inflight', kind: 'number', help: 'requests that read and are served at once (default: 400)' },
  { name: 'max-mutating-requests-inflight', kind: 'number', help: 'those that write (default: 200); fair queuing counts the sum' },
  { name: 'enable-priority-and-fairness', kind: 'text', help: 'false: who finds no place is turned away (default: true)' },
  { name: 'tls-sni-cert-key', kind: 'pairs', help: 'cert,key[:name,...]: shown to who asks for these names; may be given several times' },
  { name: 'tls-min-version', kind: 'text', help: 'VersionTLS12 (default) or VersionTLS13' },
  { name: 'tls-cipher-suites', kind: 'text', help: 'of TLS 1.2, joined by commas; by their IANA names' },
  { name: 'audit-policy-file', kind: 'file', help: 'what the audit log tells of (audit.k8s.io/v1 Policy)' },
  { name: 'audit-log-path', kind: 'file', help: 'the audit log, a line of JSON an event; - is standard output' },
  { name: 'audit-log-maxsize', kind: 'number', help: 'megabytes after which the log is put aside (default: 100)' },
  { name: 'audit-log-maxbackup', kind: 'number', help: 'how many logs put aside are kept (default: all)' },
  { name: 'audit-log-maxage', kind: 'number', help: 'for how many days they are kept (default: for ever)' },
  { name: 'audit-log-compress', kind: 'switch', help: 'compress what is put aside' },
  { name: 'audit-log-format', kind: 'text', help: 'json (default), or legacy: a line of text an event' },
  { name: 'audit-webhook-config-file', kind: 'file', help: 'a kubeconfig: where audit events are sent' },
  { name: 'audit-webhook-initial-backoff', kind: 'duration', help: 'the wait before a second attempt (default: 10s)' },
  ...auditBackendFlags,
  { name: 'etcd-servers', kind: 'text', help: 'keep the state in an etcd (3.4 or newer): URLs joined by commas' },
  { name: 'etcd-cafile', kind: 'file', help: 'the authority of its certificates' },
  { name: 'etcd-certfile', kind: 'file', help: 'the certificate by which it knows this server' },
  { name: 'etcd-keyfile', kind: 'file', help: 'the key of that certificate' },
  { name: 'encryption-provider-config', kind: 'file', help: 'how objects are encrypted at rest (EncryptionConfiguration)' },
  { name: 'encryption-provider-config-automatic-reload', kind: 'switch', help: 'follow that file: keys are rotated without a restart' },
  { name: 'event-ttl', kind: 'duration', help: 'how long events stay (default: 1h)' },
  { name: 'etcd-compaction-interval', kind: 'duration', help: 'how long history is kept (default: 5m)' },
  { name: 'profiling', kind: 'text', help: 'false: no profiles and no flags under /debug (default: true)' },
]

/** Values by the name of the flag; those of files are absolute paths, several values are lines. */
export type ApiServerSettings = Readonly<Partial<Record<string, string>>>

/** A number from a setting. */
export function numberOf(settings: ApiServerSettings, name: string): number | undefined {
  const text = settings[name]
  if (text === undefined) return undefined
  if (!/^\d+(\.\d+)?$/.test(text)) throw new UserError(`--${name} must be a number, not ${JSON.stringify(text)}`)
  return Number(text)
}

/** A duration from a setting ("1m30s"), in milliseconds. */
export function durationOf(settings: ApiServerSettings, name: string, byDefault: string): number {
  try {
    return durationMs(settings[name] ?? byDefault)
  } catch (error) {
    throw new UserError(`--${name}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** "true" or "false". */
export function truthOf(settings: ApiServerSettings, name: string): boolean | undefined {
  const text = settings[name]
  if (text !== undefined && text !== 'true' && text !== 'false')
    throw new UserError(`--${name} must be true or false, not ${JSON.stringify(text)}`)
  return text === undefined ? undefined : text === 'true'
}
